"""Workers: real processes, which accept from one socket."""

import asyncio
import functools
import logging
import os
import signal
import socket
import sys
from pathlib import Path

import pytest

from asgi_ref.listen import listen
from asgi_ref.workers import READY, RETIRES, Retire, Workers, described, tie

pytestmark = pytest.mark.skipif(
    os.name != "posix", reason="processes that hand down open files"
)

ROOT = Path(__file__).resolve().parents[1]
PATIENCE = 30  # seconds before something that never comes is an error

# It tells in a file what it does, and does what clients ask of it.
WORKER = """
import os, signal, socket, sys, threading, time

sys.path.insert(0, {root!r})
from asgi_ref.workers import READY, RETIRES, tie

log = open({log!r}, "a", buffering=1)
pid = os.getpid()
print("begins", pid, *sys.argv[1:-4], file=log)
if os.path.exists({broken!r}):
    sys.exit(3)
if os.path.exists({stuck!r}):
    time.sleep(1000)
if os.path.exists({deaf!r}):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
_, fd, _, parent_fd = sys.argv[-4:]
stopping = threading.Event()
say = tie(int(parent_fd), stopping.set)
sock = socket.socket(fileno=int(fd))


def serve():
    while True:
        client, _ = sock.accept()
        with client:
            word = client.recv(20).decode()
            if word == "die":
                os._exit(7)
            if word == "retire":
                say(RETIRES)
            if word == "deaf":
                stopping.is_set = lambda: False
                print("deaf", pid, file=log)
            answer = len(os.read(0, 1)) if word == "read" else pid
            client.sendall(str(answer).encode())


threading.Thread(target=serve, daemon=True).start()
if os.path.exists({slow!r}):
    stopping.wait()
    sys.exit(0)
print("serves", pid, file=log)
say(READY)
while not stopping.is_set():
    stopping.wait(0.01)
print("stops", pid, file=log)
os._exit(0)
"""


def on_a_loop(test):
    """Run a coroutine function as a plain, bounded test."""

    @functools.wraps(test)
    def run(*arguments, **named):
        asyncio.run(asyncio.wait_for(test(*arguments, **named), PATIENCE))

    return run


class House:
    """Workers that run in this loop, and what they have told."""

    def __init__(self, folder, count, first=()):
        self.log, self.broken = folder / "log", folder / "broken"
        self.slow, self.stuck = folder / "slow", folder / "stuck"
        self.log.touch()
        names = {"root": ROOT, "log": self.log, "slow": self.slow}
        names |= {"stuck": self.stuck, "deaf": folder / "deaf"}
        names = {name: str(names[name]) for name in names}
        program = folder / "worker.py"
        program.write_text(WORKER.format(**names, broken=str(self.broken)))
        self.sock = listen(port=0)
        command = [sys.executable, str(program)]
        self.workers = Workers(command, self.sock, count, first)
        self.task = None

    async def __aenter__(self):
        self.task = asyncio.create_task(self.workers.run())
        return self

    async def __aexit__(self, *error):
        while not self.task.done():  # thrice: in good order, end, kill
            self.workers.stop()
            await asyncio.wait([self.task], timeout=5)
        self.sock.close()

    def told(self, word):
        """Return the pids of the workers that have told this."""
        lines = [line.split() for line in self.log.read_text().splitlines()]
        return [int(line[1]) for line in lines if line[0] == word]

    async def until(self, word, count):
        """Wait until so many workers have told this; return their pids."""
        while len(pids := self.told(word)) < count:
            await asyncio.sleep(0.005)
        assert len(pids) == count
        return pids

    async def ask(self, word):
        """Say a word to whoever accepts; return its pid, 0 if it died."""
        streams = asyncio.open_connection(*self.sock.getsockname())
        reader, writer = await streams
        writer.write(word.encode())
        answer = await reader.read()
        writer.close()
        return int(answer or 0)


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


@on_a_loop
async def test_all_accept_from_one_socket_and_stop_in_good_order(tmp_path):
    async with House(tmp_path, 3, first=["--first"]) as house:
        pids = await house.until("serves", 3)
        assert len(set(pids)) == 3
        assert os.getpid() not in pids
        assert await house.ask("who") in pids
        house.workers.stop()
        assert await house.task == 0
        assert sorted(house.told("stops")) == sorted(pids)
    begins = [
        line
        for line in house.log.read_text().splitlines()
        if line.startswith("begins")
    ]
    assert [line.split()[2:] for line in begins] == [["--first"], [], []]


@on_a_loop
async def test_the_first_is_ready_before_the_others_begin(tmp_path):
    async with House(tmp_path, 2) as house:
        await house.until("serves", 2)
        lines = house.log.read_text().splitlines()
        order = [line.split()[0] for line in lines]
        assert order == ["begins", "serves", "begins", "serves"]


@on_a_loop
async def test_who_dies_is_replaced(tmp_path, logged):
    async with House(tmp_path, 2) as house:
        before = await house.until("serves", 2)
        assert await house.ask("die") == 0
        after = await house.until("serves", 3)
        assert await house.ask("who") in after
        house.workers.stop()
        assert await house.task == 0
        stopped = house.told("stops")
    assert len(stopped) == 2
    assert after[2] in stopped
    (died,) = set(before) - set(stopped)
    messages = [r.getMessage() for r in logged.records]
    what = f"workers   pid {died} ended by itself, exit status 7"
    assert messages.count(what) == 1


@on_a_loop
async def test_who_retires_serves_until_its_follower_does(tmp_path, logged):
    async with House(tmp_path, 1) as house:
        (old,) = await house.until("serves", 1)
        assert await house.ask("retire") == old
        await house.until("stops", 1)
        lines = house.log.read_text().splitlines()
        new = house.told("serves")[1]
        assert lines[2:] == [f"begins {new}", f"serves {new}", f"stops {old}"]
        assert await house.ask("who") == new
    assert not [r for r in logged.records if r.levelname == "ERROR"]


@on_a_loop
async def test_a_hangup_renews_all_one_after_the_other(tmp_path):
    async with House(tmp_path, 2) as house:
        old = await house.until("serves", 2)
        os.kill(os.getpid(), signal.SIGHUP)
        assert sorted(await house.until("stops", 2)) == sorted(old)
        assert not set(house.told("serves")[2:]) & set(old)
        lines = house.log.read_text().splitlines()[4:]
        words = [line.split()[0] for line in lines]
        # The second one begins after the first one serves.
        begins = [n for n, word in enumerate(words) if word == "begins"]
        serves = [n for n, word in enumerate(words) if word == "serves"]
        assert begins[0] < serves[0] < begins[1] < serves[1]


@on_a_loop
async def test_a_follower_that_cannot_start_changes_nothing(tmp_path, logged):
    async with House(tmp_path, 1) as house:
        (old,) = await house.until("serves", 1)
        house.broken.touch()
        os.kill(os.getpid(), signal.SIGHUP)
        await house.until("begins", 2)
        said = f"workers   pid {old} stays"
        while said not in [r.getMessage() for r in logged.records]:
            await asyncio.sleep(0.005)
        assert await house.ask("who") == old
        # The next try is another matter.
        house.broken.unlink()
        house.workers.renew()
        assert await house.until("stops", 1) == [old]


@on_a_loop
async def test_a_worker_that_was_replaced_is_not_waited_for_forever(tmp_path):
    async with House(tmp_path, 1) as house:
        house.workers._patience = 0.05
        await house.until("serves", 1)
        (old,) = house.workers._alive
        await house.ask("deaf")
        house.workers.renew()
        await house.until("serves", 2)
        assert await old.process.wait() == -signal.SIGKILL
        assert not house.told("stops")


@on_a_loop
async def test_a_first_worker_that_cannot_start_ends_it_all(tmp_path):
    async with House(tmp_path, 4) as house:
        house.broken.touch()
        assert await house.task == 3
        assert len(house.told("begins")) == 1


@on_a_loop
async def test_a_place_whose_worker_died_is_tried_again(tmp_path, monkeypatch):
    monkeypatch.setattr("asgi_ref.workers.PAUSE", 0.01)
    async with House(tmp_path, 1) as house:
        await house.until("serves", 1)
        house.broken.touch()
        await house.ask("die")
        while len(house.told("begins")) < 4:
            await asyncio.sleep(0.005)
        house.broken.unlink()
        new = (await house.until("serves", 2))[1]
        assert await house.ask("who") == new


@on_a_loop
async def test_who_dies_young_is_not_replaced_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr("asgi_ref.workers.PAUSE", 1000)
    async with House(tmp_path, 1) as house:
        await house.until("serves", 1)
        (watching,) = house.workers._alive.values()
        await house.ask("die")
        await watching
        for _ in range(10):
            await asyncio.sleep(0)
        assert not house.workers._alive
        house.workers.stop()
        assert await house.task == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@on_a_loop
async def test_the_second_signal_forces(tmp_path, number, logged):
    async with House(tmp_path, 1) as house:
        await house.until("serves", 1)
        await house.ask("deaf")
        os.kill(os.getpid(), number)
        while not house.workers._stopping.is_set():
            await asyncio.sleep(0.005)
        assert not house.task.done()
        os.kill(os.getpid(), number)
        assert await house.task == 0
        assert not house.told("stops")
    assert not [r for r in logged.records if r.levelname == "ERROR"]


@on_a_loop
async def test_a_stop_while_the_first_one_starts(tmp_path):
    async with House(tmp_path, 2) as house:
        house.slow.touch()
        await house.until("begins", 1)
        house.workers.stop()
        assert await house.task == 0
        assert len(house.told("begins")) == 1


@on_a_loop
async def test_a_stop_while_one_imports_does_not_wait_for_it(tmp_path):
    async with House(tmp_path, 1) as house:
        await house.until("serves", 1)
        house.stuck.touch()
        house.workers.renew()
        while len(house.told("begins")) < 2:
            await asyncio.sleep(0.005)
        house.workers.stop()
        assert await house.task == 0


@on_a_loop
async def test_a_worker_does_not_read_what_is_typed(tmp_path):
    typed, keyboard = os.pipe()
    os.write(keyboard, b"yes\n")
    before = os.dup(0)
    os.dup2(typed, 0)
    try:
        async with House(tmp_path, 1) as house:
            await house.until("serves", 1)
            assert await house.ask("read") == 0
    finally:
        os.dup2(before, 0)
        for fd in typed, keyboard, before:
            os.close(fd)


@on_a_loop
async def test_whom_the_second_signal_does_not_end_is_killed(
    tmp_path, monkeypatch, logged
):
    monkeypatch.setattr("asgi_ref.workers.FORCED", 0.01)
    (tmp_path / "deaf").touch()
    async with House(tmp_path, 1) as house:
        (pid,) = await house.until("serves", 1)
        await house.ask("deaf")
        house.workers.stop()
        house.workers.stop()
        assert await house.task == 0
    told = [r.getMessage() for r in logged.records]
    assert told == [f"workers   pid {pid} killed"]


@on_a_loop
async def test_when_no_process_can_be_started_the_others_stay(
    tmp_path, logged
):
    async with House(tmp_path, 1) as house:
        (old,) = await house.until("serves", 1)
        command = list(house.workers._command)
        house.workers._command[0] = str(tmp_path / "gone")
        files = len(os.listdir("/dev/fd"))
        house.workers.renew()
        said = f"workers   pid {old} stays"
        while said not in [r.getMessage() for r in logged.records]:
            await asyncio.sleep(0.005)
        assert len(os.listdir("/dev/fd")) == files
        assert await house.ask("who") == old
        house.workers._command = command
        house.workers.renew()
        assert await house.until("stops", 1) == [old]


@on_a_loop
async def test_when_the_first_one_cannot_be_started_it_is_over(tmp_path):
    with listen(port=0) as sock:
        workers = Workers([str(tmp_path / "gone")], sock, 1)
        assert await workers.run() == 1


def test_a_worker_ends_with_its_parent(tmp_path):
    """Whoever kills the parent leaves no orphans."""
    ended, ends = os.pipe()
    parent = (
        "import os, subprocess, sys, socket, time\n"
        "ours, theirs = socket.socketpair()\n"
        "fds = theirs.fileno(), int(sys.argv[1])\n"
        "subprocess.Popen([sys.executable, '-c', sys.argv[2], *map(str,\n"
        "    fds)], pass_fds=fds)\n"
        "theirs.close()\n"
        "ours.recv(1)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    child = (
        "import sys, threading\n"
        f"sys.path.insert(0, {str(ROOT)!r})\n"
        "from asgi_ref.workers import READY, tie\n"
        "over = threading.Event()\n"
        "tie(int(sys.argv[1]), over.set)(READY)\n"
        "over.wait()\n"
    )

    async def run():
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", parent, str(ends), child), pass_fds=[ends]
        )
        os.close(ends)
        assert await process.wait() == -9
        # The pipe's other end is open as long as the child lives.
        reader = asyncio.StreamReader()
        with os.fdopen(ended, "rb") as pipe:
            loop = asyncio.get_running_loop()
            await loop.connect_read_pipe(
                lambda: asyncio.StreamReaderProtocol(reader), pipe
            )
            assert await reader.read() == b""

    asyncio.run(asyncio.wait_for(run(), PATIENCE))


def test_a_tie_says_and_hears():
    ours, theirs = socket.socketpair()
    with ours:
        ours.settimeout(PATIENCE)
        told = []
        stopped = asyncio.Event()

        async def run():
            loop = asyncio.get_running_loop()
            say = tie(
                theirs.detach(),
                lambda: loop.call_soon_threadsafe(stopped.set),
            )
            say(READY)
            say(RETIRES)
            told.append(ours.recv(1) + ours.recv(1))
            assert not stopped.is_set()
            ours.shutdown(socket.SHUT_WR)
            await stopped.wait()
            ours.close()
            say(READY)  # nobody hears it

        asyncio.run(asyncio.wait_for(run(), PATIENCE))
    assert told == [READY + RETIRES]


def test_exit_statuses_in_words():
    assert described(3) == "exit status 3"
    assert described(-9) == "killed by SIGKILL"


@on_a_loop
async def test_retiring_is_asked_once_and_the_rest_is_served():
    seen, asked = [], []

    async def app(scope, receive, send):
        seen.append((scope["type"], receive, send, len(asked)))

    retire = Retire(app, 2, lambda: asked.append("retire"))
    for kind in "lifespan", "http", "websocket", "http":
        await retire({"type": kind}, "receive", "send")
    assert [each[0] for each in seen] == [
        *("lifespan", "http", "websocket", "http")
    ]
    assert {each[1:3] for each in seen} == {("receive", "send")}
    assert [each[3] for each in seen] == [0, 0, 1, 1]
