"""Reload: real files, real processes, and what a browser is told."""

import asyncio
import logging
import os
import py_compile
import queue
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from asgi_ref.lifespan import StartupFailed
from asgi_ref.reload import (
    Files,
    Supervisor,
    broken,
    command,
    described,
    forget_compiled,
    headline,
    in_short,
)
from asgi_ref.server import Server, Settings
from asgi_ref.target import TargetError, load
from asgi_ref.transport import MemoryTransport

ROOT = Path(__file__).resolve().parents[1]
STOPPED = -signal.SIGTERM if os.name == "posix" else 1
PATIENCE = 20  # seconds before something that never comes is an error

posix = pytest.mark.skipif(
    os.name != "posix", reason="processes that hand down open files"
)

# The files that are watched.


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An application's folder, which is the current one."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "main.py").write_text("1")
    return tmp_path


def test_nothing_has_changed_at_first(folder):
    files = Files()
    assert len(files) == 1
    assert files.changed() == set()


def test_what_comes_changes_and_goes(folder):
    files = Files()
    Path("more.py").write_text("1")
    assert files.changed() == {"more.py"}
    Path("main.py").write_text("22")
    assert files.changed() == {"main.py"}
    assert files.changed() == set()
    Path("main.py").unlink()
    Path("more.py").write_text("333")
    assert files.changed() == {"main.py", "more.py"}
    assert len(files) == 1


def test_an_older_time_is_a_change(folder):
    files = Files()
    os.utime("main.py", (1, 1))
    assert files.changed() == {"main.py"}


def test_another_file_under_the_same_name_is_a_change(folder):
    info = os.stat("main.py")
    files = Files()
    Path("main.tmp").write_text("2")
    os.utime("main.tmp", ns=(info.st_atime_ns, info.st_mtime_ns))
    os.replace("main.tmp", "main.py")
    assert os.stat("main.py").st_mtime_ns == info.st_mtime_ns
    assert files.changed() == {"main.py"}


def test_what_is_left_out(folder):
    for path in [
        ".hidden.py",
        ".git/hook.py",
        "__pycache__/main.py",
        "node_modules/gyp/gyp.py",
        "env/lib/six.py",
        "notes.txt",
    ]:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text("1")
    Path("env/pyvenv.cfg").touch()
    Path("app").mkdir()
    Path("app/views.py").write_text("1")
    files = Files()
    assert len(files) == 2
    for path in Path().rglob("*"):
        if path.is_file():
            path.write_text("22")
    assert files.changed() == {"main.py", os.path.join("app", "views.py")}


def test_include_and_exclude(folder):
    for path in "page.html", "app/page.html", "app/old.py", "old/x.py":
        Path(path).parent.mkdir(exist_ok=True)
        Path(path).touch()
    assert len(Files()) == 3
    assert len(Files(include=["*.html"])) == 5
    assert len(Files(include=["app/*.html"])) == 4
    assert len(Files(exclude=["old"])) == 2
    assert len(Files(exclude=["old*"])) == 1
    assert len(Files(exclude=["app/*"])) == 2
    assert len(Files(["."], ["*.html"], ["app", "*.py"])) == 1


def test_a_hidden_file_that_is_asked_for_by_name(folder):
    (folder / ".env").touch()
    assert ".env" not in " ".join(Files([folder]).changed())
    files = Files([folder], [".env"])
    (folder / ".env").write_text("A=1")
    assert files.changed() == {str(folder / ".env")}


def test_several_folders(folder):
    for path in "app/a.py", "lib/b.py":
        Path(path).parent.mkdir()
        Path(path).touch()
    files = Files(["app", "lib", "./lib/", "missing"])
    assert len(files) == 2
    Path("lib/b.py").write_text("1")
    assert files.changed() == {os.path.join("lib", "b.py")}
    assert len(Files([str(folder), ".."], exclude=["nothing"])) >= 3


def test_a_link_that_leads_nowhere_is_no_file(folder):
    Path("gone.py").symlink_to("nowhere")
    assert len(Files()) == 1


def test_in_short():
    assert in_short(["a"]) == "a"
    assert in_short(list("abc")) == "a, b, c"
    assert in_short(list("abcde")) == "a, b, c and 2 more"


# What Python has compiled.


def imported(name):
    """Return what a new Python finds in a module's `answer`."""
    keep = {k: v for k, v in os.environ.items() if "BYTECODE" not in k}
    keep.pop("PYTHONPYCACHEPREFIX", None)
    done = subprocess.run(
        [sys.executable, "-c", f"import {name}; print({name}.answer)"],
        capture_output=True,
        env=keep,
        check=True,
        timeout=PATIENCE,
    )
    return done.stdout.decode().strip()


def test_what_was_compiled_in_the_same_second_is_forgotten(folder):
    file = folder / "main.py"
    for digit in "12":
        file.write_text(f"answer = {digit}")
        os.utime(file, (1_000_000_000, 1_000_000_000))
        assert imported("main") == "1"  # that is the trap
    forget_compiled("main.py")
    assert imported("main") == "2"


def test_nothing_was_compiled(folder):
    forget_compiled("main.py")
    forget_compiled("nothing.py")
    forget_compiled("page.html")
    py_compile.compile("main.py")
    forget_compiled("main.py")
    assert not list(folder.glob("__pycache__/*"))


# The supervisor, with time in our hands.


def idle():
    """Start a child that does nothing."""
    return subprocess.Popen(
        [sys.executable, "-c", "input()"], stdin=subprocess.PIPE
    )


def speaking(program):
    """Start a child; return when it has said something."""
    words, pipe = [sys.executable, "-c", program], subprocess.PIPE
    child = subprocess.Popen(words, stdin=pipe, stdout=pipe)
    child.stdout.readline()
    return child


class Play:
    """Runs a supervisor; each of its sleeps is one act of ours."""

    def __init__(self, *acts, start=idle, patience=PATIENCE):
        self.acts = list(acts)
        self.children = []
        self.start = start
        self.slept = []
        self.supervisor = Supervisor(
            self.begin, Files(), 0.25, patience, self.sleep
        )
        assert self.supervisor.run() == 0
        for child in self.children:
            assert child.returncode is not None
            for pipe in child.stdin, child.stdout:
                if pipe:
                    pipe.close()

    def begin(self):
        self.children.append(self.start())
        return self.children[-1]

    def sleep(self, seconds):
        self.slept.append(seconds)
        act = self.acts.pop(0) if self.acts else self.supervisor.stop
        act()

    def last(self):
        """Return the child that runs."""
        return self.children[-1]


def save(*names):
    """Return an act that saves files."""

    def act():
        for name in names:
            with open(name, "a") as file:
                file.write("#")

    return act


def nothing():
    """Let time pass."""


@pytest.fixture
def logged(caplog):
    """What the package logs, whatever logging was set up before."""
    log = logging.getLogger("asgi_ref")
    before = log.level, log.propagate
    log.addHandler(caplog.handler)
    log.setLevel(logging.INFO)
    log.propagate = False
    yield caplog
    log.level, log.propagate = before
    log.removeHandler(caplog.handler)


def test_nothing_changes_nothing_happens(folder, logged):
    play = Play(nothing, nothing)
    assert len(play.children) == 1
    assert play.slept == [0.25] * 3
    assert not logged.messages


def test_a_change_is_a_new_child(folder, logged):
    play = Play(nothing, save("main.py"), nothing)
    assert len(play.children) == 2
    assert logged.messages == ["reload    main.py changed"]


def test_what_was_compiled_is_forgotten(folder):
    def compiled():
        py_compile.compile("main.py")
        py_compile.compile("b.py")
        save("main.py")()

    Path("b.py").touch()
    Play(compiled, nothing)
    (left,) = folder.glob("__pycache__/*")
    assert left.name.startswith("b.")


def test_it_waits_until_nothing_changes(folder, logged):
    acts = save("main.py"), save("b.py"), save("a.py", "main.py"), nothing
    play = Play(*acts)
    assert len(play.children) == 2
    assert logged.messages == ["reload    a.py, b.py, main.py changed"]


def test_the_old_child_has_ended_before_the_new_one_starts(folder):
    ended = []

    def start():
        ended.append([child.returncode is not None for child in children])
        children.append(idle())
        return children[-1]

    children = []
    Play(save("main.py"), nothing, save("main.py"), nothing, start=start)
    assert ended == [[], [True], [True, True]]


def test_a_child_that_died_is_replaced_after_a_change(folder, logged):
    def dies():
        return subprocess.Popen([sys.executable, "-c", "exit(7)"])

    def ended():
        play.last().wait(PATIENCE)

    play = Play.__new__(Play)
    acts = ended, nothing, nothing, save("main.py"), nothing, ended, nothing
    play.__init__(*acts, start=dies)
    died = "reload    the server ended by itself, exit status 7"
    died += "; waiting for a change"
    assert logged.messages == [died, "reload    main.py changed", died]
    assert len(play.children) == 2


def test_a_signal_while_a_child_starts(folder):
    def start():
        play.supervisor.stop()
        return idle()

    play = Play.__new__(Play)
    play.__init__(start=start)
    (child,) = play.children
    assert child.returncode == STOPPED
    assert play.slept == []


@posix
def test_a_child_is_told_once(folder):
    told = "import signal, sys, time; told = []\n"
    told += "signal.signal(15, lambda *_: told.append(1)); print(flush=1)\n"
    told += "while not told: time.sleep(0.01)\n"
    told += "print(flush=1); time.sleep(0.2); sys.exit(len(told))"

    def stop():
        play.supervisor.stop()
        play.last().stdout.readline()  # it was told

    play = Play.__new__(Play)
    play.__init__(stop, start=lambda: speaking(told))
    assert play.last().returncode == 1


@posix
def test_a_child_that_does_not_end_is_killed(folder, logged):
    deaf = "import signal; signal.signal(15, signal.SIG_IGN); print(flush=1)"

    words = f"{deaf}; input()"
    play = Play(start=lambda: speaking(words), patience=0.1)
    assert play.children[0].returncode == -signal.SIGKILL
    assert logged.messages == ["reload    killed: it did not end in 0.1 s"]


def test_described():
    assert described(7) == "exit status 7"
    assert described(-signal.SIGTERM) == "killed by SIGTERM"


# All of it, with a small server that is found in place of ours.

CHILD = """
import os, signal, socket, sys, threading

main, told = {}, []


def say(*words):
    os.write(1, (" ".join(map(str, words)) + os.linesep).encode())


def on_sigterm(*_):
    told.append(1)
    say("told", len(told))
    if len(told) >= main.get("ends_after", 1):
        os._exit(0)


def watch(fd):
    socket.socket(fileno=fd).recv(1)
    say("orphan")
    os._exit(0)


signal.signal(signal.SIGTERM, on_sigterm)
_, fd, _, parent_fd = sys.argv[-4:]
threading.Thread(target=watch, args=[int(parent_fd)], daemon=True).start()
exec(open("code/main.py").read(), main)
say("serves", main["answer"], *sys.argv[1:-4])
sock = socket.socket(fileno=int(fd))
while True:
    client, _ = sock.accept()
    with client:
        client.sendall(main["answer"].encode())
"""
PARENT = """
import logging, sys
sys.path.insert(0, {root!r})
from asgi_ref.listen import listen
from asgi_ref.reload import Files, Supervisor, starter

logging.basicConfig(level="INFO", format="%(message)s", stream=sys.stdout)
sock = listen(port=0)
print(sock.getsockname()[1], flush=True)
start = starter(["main:app", "--reload"], sock)
status = Supervisor(start, Files(["code"]), 0.02, {patience}).run()
print("status", status, flush=True)
"""


class House:
    """A parent, its child, and what both say."""

    def __init__(self, folder, main, patience=PATIENCE):
        self.main = folder / "code" / "main.py"
        self.main.parent.mkdir()
        (folder / "asgi_ref").mkdir()
        (folder / "asgi_ref" / "__init__.py").touch()
        (folder / "asgi_ref" / "__main__.py").write_text(CHILD)
        program = PARENT.format(root=str(ROOT), patience=patience)
        (folder / "parent.py").write_text(program)
        self.save(main)
        self.process = subprocess.Popen(
            [sys.executable, "parent.py"],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            process_group=0,  # as a terminal would start it
            env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"},
        )
        self.lines = queue.Queue()
        self.reader = threading.Thread(target=self.read)
        self.reader.start()
        self.port = int(self.says())

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.process.kill()  # then the child ends, too
        self.process.wait(PATIENCE)
        self.reader.join(PATIENCE)
        self.process.stdout.close()

    def read(self):
        for line in self.process.stdout:
            self.lines.put(line.decode().rstrip())
        self.lines.put("end")

    def says(self):
        """Return the next line that one of them has printed."""
        return self.lines.get(timeout=PATIENCE)

    def save(self, text):
        """Save as editors do: not half of it."""
        new = self.main.with_suffix(".new")
        new.write_text(text)
        new.replace(self.main)

    def connect(self):
        address = "127.0.0.1", self.port
        client = socket.create_connection(address, PATIENCE)
        client.settimeout(PATIENCE)
        return client

    def ask(self):
        with self.connect() as client:
            return client.recv(100).decode()


SERVES = "serves %s --timeout-graceful-shutdown 1 main:app --reload"


@posix
def test_a_change_and_an_end(tmp_path):
    with House(tmp_path, "answer = 'one'") as house:
        assert house.says() == SERVES % "one"
        assert house.ask() == "one"
        house.save("answer = 'two'")
        said = [house.says() for _ in range(3)]
        changed = f"reload    {os.path.join('code', 'main.py')} changed"
        assert said == [changed, "told 1", SERVES % "two"]
        assert house.ask() == "two"
        house.process.terminate()
        assert [house.says() for _ in range(3)] == [
            "told 1",
            "status 0",
            "end",
        ]
        assert house.process.wait(PATIENCE) == 0


@posix
def test_who_comes_while_there_is_no_child_waits(tmp_path):
    with House(tmp_path, "import os; os._exit(7)") as house:
        assert "exit status 7" in house.says()
        with house.connect() as client:
            house.save("answer = 'late'")
            assert client.recv(100) == b"late"


@posix
def test_a_segmentation_fault(tmp_path):
    text = "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"
    with House(tmp_path, text) as house:
        assert "killed by SIGSEGV; waiting" in house.says()


@posix
@pytest.mark.parametrize("to", ["the parent", "both"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal(tmp_path, to, number):
    if to == "both" and number == signal.SIGTERM:
        pytest.skip("no terminal does that")
    with House(tmp_path, "answer, ends_after = 'one', 2") as house:
        house.says()
        for times in 1, 2:
            if to == "both":
                os.killpg(house.process.pid, number)
            else:
                house.process.send_signal(number)
            assert house.says() == f"told {times}"
        assert [house.says(), house.says()] == ["status 0", "end"]


@posix
def test_ctrl_c_while_the_application_is_imported(tmp_path):
    text = "print('imports', flush=True); import time; time.sleep(60)"
    with House(tmp_path, text) as house:
        assert house.says() == "imports"
        os.killpg(house.process.pid, signal.SIGINT)
        assert [house.says() for _ in range(3)] == [
            "told 1",
            "status 0",
            "end",
        ]


@posix
def test_a_child_does_not_outlive_its_parent(tmp_path):
    with House(tmp_path, "answer = 'one'") as house:
        house.says()
        house.process.kill()
        assert [house.says(), house.says()] == ["orphan", "end"]


def test_the_command_line_of_a_child():
    typed = ["main:app", "--reload", "--port", "80"]
    begins = [sys.executable, "-m", "asgi_ref"]
    begins += ["--timeout-graceful-shutdown", "1", *typed]
    ends = ["--fd", "7", "--parent-fd", "8"]
    assert command(typed, 7, 8) == begins + ends
    assert command(typed) == [*begins, "--parent-fd", "-1"]


# An application that cannot be served.


def error_of(folder, text, factory=False):
    """Return why an application cannot be loaded."""
    sys.modules.pop("main_27", None)
    (folder / "main_27.py").write_text(text)
    with pytest.raises(TargetError) as caught:
        load("main_27:app", str(folder), factory)
    return caught.value


@pytest.fixture(autouse=True)
def path(monkeypatch):
    monkeypatch.setattr(sys, "path", sys.path[:])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("\n  def (:\n", "IndentationError, main_27.py line 2:  def (:"),
        ("def (:\n", "SyntaxError, main_27.py line 1:  def (:"),
        ("1 / 0", "ZeroDivisionError: division by zero (main_27.py:1)"),
        ("", 'main_27.py has no "app".'),
        ("app = 7", "main_27:app is an int, not an app"),
    ],
)
def test_an_error_in_one_line(tmp_path, logged, text, line):
    error = error_of(tmp_path, text)
    assert headline(error) == line
    broken(error)
    assert logged.messages == [
        f"reload    {line}\n                    still listening;"
        " answering 503 with this error until it is fixed"
    ]


def test_a_factory_and_a_module_that_is_not_there(tmp_path):
    error = error_of(tmp_path, "def app(): return 1 / 0", True)
    assert "raised ZeroDivisionError: division by zero" in headline(error)
    with pytest.raises(TargetError) as caught:
        load("missing_27:app", str(tmp_path))
    assert headline(caught.value).startswith('No module named "missing_27"')


def test_a_startup_that_failed(logged):
    error = StartupFailed("RuntimeError: db is down (main.py:12)")
    line = "Startup failed: RuntimeError: db is down (main.py:12)"
    assert headline(error) == line
    assert request(broken(error))[2].decode().strip() == line


def request(app, accept=None):
    """Serve a stand-in in memory; return status line, fields and body."""
    return asyncio.run(asyncio.wait_for(_request(app, accept), PATIENCE))


async def _request(app, accept):
    server = Server(app, Settings(access_log=False))
    transport = MemoryTransport(clock=lambda: 0.0)
    line = f"Accept: {accept}\r\n" if accept else ""
    head = f"GET /any HTTP/1.1\r\nHost: a\r\n{line}Connection: close\r\n\r\n"
    transport.feed(head.encode())
    task = server.attend(transport)
    if accept == "text/event-stream":
        while b":\n\n" not in transport.sent:
            await asyncio.sleep(0)
        assert not task.done()
        transport.feed(b"")
    await task
    head, _, body = bytes(transport.sent).decode().partition("\r\n\r\n")
    line, *fields = head.lower().split("\r\n")
    return line, dict(f.split(": ") for f in fields), body.encode()


BROKEN = TargetError("main could not be imported:\n  <b> & 'c'")


def test_whoever_asks_gets_the_error():
    for accept in None, "*/*", "application/json":
        line, fields, body = request(broken(BROKEN), accept)
        assert line == "http/1.1 503 service unavailable"
        assert fields["content-type"] == "text/plain; charset=utf-8"
        assert fields["cache-control"] == "no-store"
        assert body.decode() == f"{BROKEN}\n"


def test_a_browser_gets_a_page():
    accept = "text/html,application/xhtml+xml,*/*;q=0.8"
    line, fields, body = request(broken(BROKEN), accept)
    assert line.startswith("http/1.1 503 ")
    assert fields["content-type"] == "text/html; charset=utf-8"
    assert b"  &lt;b&gt; &amp; &#x27;c&#x27;</pre>" in body
    assert b"new EventSource(location)" in body


def test_the_page_waits_for_the_end_of_a_stream():
    line, fields, _ = request(broken(BROKEN), "text/event-stream")
    assert line.startswith("http/1.1 200 ")
    assert fields["content-type"].startswith("text/event-stream")


def test_a_text_that_cannot_be_encoded():
    assert request(broken(TargetError("\udc80")))[2] == b"?\n"


def called(app, kind, *messages):
    """Call an application; return what it sends."""
    sent, inbox = [], list(messages)

    async def receive():
        return {"type": inbox.pop(0)}

    async def send(message):
        sent.append(message["type"])

    asyncio.run(app({"type": kind, "headers": []}, receive, send))
    return sent


def test_a_stand_in_starts_and_stops():
    told = "lifespan.startup", "lifespan.shutdown"
    sent = called(broken(BROKEN), "lifespan", *told)
    assert sent == [f"{kind}.complete" for kind in told]


def test_a_websocket_is_denied():
    app = broken(BROKEN)
    assert called(app, "websocket", "websocket.connect") == ["websocket.close"]
