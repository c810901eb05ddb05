"""The command line, as a person meets it: a process, a banner, a log."""

import http.client
import json
import os
import queue
import re
import signal
import socket
import ssl
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from asgi_ref import __version__

pytestmark = pytest.mark.skipif(
    os.name != "posix", reason="signals, unix sockets, file descriptors"
)

ROOT = Path(__file__).resolve().parents[1]
PATIENCE = 20  # seconds before something that never comes is an error
CLOCK = r"\d\d:\d\d:\d\d"

HELLO = """
async def app(scope, receive, send):
    start = {"type": "http.response.start", "status": 200}
    await send(start)
    await send({"type": "http.response.body", "body": b"hello\\n"})
"""

LIFESPAN = """
async def app(scope, receive, send):
    assert scope["type"] == "lifespan"
    await receive()
    print("started", flush=True)
    await send({"type": "lifespan.startup.complete"})
    await receive()
    print("stopped", flush=True)
    await send({"type": "lifespan.shutdown.complete"})
"""

# It goes on, whatever the server says.
ENDLESS = """
import asyncio

async def app(scope, receive, send):
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200})
    body = {"type": "http.response.body", "body": b".", "more_body": True}
    await send(body)
    await asyncio.Event().wait()
"""


class Lines:
    """The lines that a process writes, as they come."""

    def __init__(self, pipe):
        self.seen = []
        self._queue = queue.Queue()
        # Somebody must always read: a full pipe would stop the server.
        self._reader = threading.Thread(target=self._read, args=(pipe,))
        self._reader.daemon = True
        self._reader.start()

    def _read(self, pipe):
        with pipe:
            for line in pipe:
                self._queue.put(line)
        self._queue.put(None)

    def until(self, part):
        """Return the next line that contains `part`."""
        while True:
            line = self._queue.get(timeout=PATIENCE)
            if line is None:
                raise AssertionError(f"no {part!r} in:\n{self.text()}")
            self.seen.append(line)
            if part in line:
                return line

    def rest(self):
        """Wait for the end, return everything that was written."""
        while (line := self._queue.get(timeout=PATIENCE)) is not None:
            self.seen.append(line)
        self._queue.put(None)
        return self.text()

    def text(self):
        return "".join(self.seen)


class Run:
    """One `python -m asgi_ref ...` in a process of its own."""

    def __init__(self, folder, *arguments, **options):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "asgi_ref", *arguments],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **{"stdin": subprocess.DEVNULL, **options},
        )
        self.out = Lines(self.process.stdout)
        self.log = Lines(self.process.stderr)
        self.address = None

    def ready(self):
        """Wait until it serves; learn its address from the banner."""
        line = self.out.until("  open  ")
        found = re.search(r"https?://(127\.0\.0\.1):(\d+)", line)
        if found:
            self.address = found[1], int(found[2])
        self.log.until("startup")
        return line

    def signal(self, number=signal.SIGINT):
        self.process.send_signal(number)

    def ended(self):
        """Wait for the end, return the exit status."""
        return self.process.wait(PATIENCE)

    def stop(self):
        self.signal()
        return self.ended()

    def refused(self, status):
        """Wait for the end; return what it said why it does not run."""
        assert self.ended() == status
        assert self.out.rest() == ""  # no banner
        return self.log.rest()

    def get(self, path="/"):
        """Return status and body of a GET."""
        connection = http.client.HTTPConnection(*self.address, PATIENCE)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def say(self, data):
        """Return a connection on which these bytes were sent."""
        client = socket.create_connection(self.address, PATIENCE)
        client.sendall(data)
        return client


@pytest.fixture
def start(tmp_path):
    """Return a function that writes main.py and starts a server."""
    # Python inherits "ignore Ctrl+C" when the tests run in the background.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    runs = []

    def run(*arguments, app=None, target="main:app", **options):
        if app is not None:
            (tmp_path / "main.py").write_text(textwrap.dedent(app))
            arguments = (target, *arguments)
        runs.append(Run(tmp_path, *arguments, **options))
        return runs[-1]

    yield run
    for each in runs:
        each.process.kill()
        each.process.wait()
    signal.signal(signal.SIGINT, before)


def request(path="/", host="x"):
    return f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()


# A run, start to stop.


def test_without_arguments_it_serves_the_demo(start):
    server = start("--port", "0")
    first = server.out.until("asgi_ref")
    assert first.startswith(f"asgi_ref {__version__}   asgi_ref.demo:app")
    second = server.ready()
    assert "Ctrl+C stops, twice forces" in second
    status, body = server.get("/hello")
    assert (status, body) == (200, b"Hello, world!\n")
    assert server.stop() == 0


def test_the_app_of_the_folder(start):
    server = start("--port", "0", app=HELLO)
    first = server.out.until("asgi_ref")
    assert "main:app  (ASGI 3, ./main.py)" in first
    server.ready()
    assert server.get() == (200, b"hello\n")


def test_an_app_in_another_folder(start, tmp_path):
    (tmp_path / "src" / "shop").mkdir(parents=True)
    (tmp_path / "src" / "shop" / "web.py").write_text(HELLO)
    server = start("shop.web:app", "--app-dir", "src", "--port", "0")
    assert "shop.web:app  (ASGI 3, ./src/shop/web.py)" in (
        server.out.until("asgi_ref")
    )
    server.ready()
    assert server.get() == (200, b"hello\n")


def test_an_asgi_2_app(start):
    app = """
    def app(scope):
        async def instance(receive, send):
            text = scope["asgi"]["version"].encode()
            await send({"type": "http.response.start", "status": 200})
            await send({"type": "http.response.body", "body": text})
        return instance
    """
    server = start("--port", "0", app=app)
    assert "(ASGI 2, ./main.py)" in server.out.until("asgi_ref")
    server.ready()
    assert server.get() == (200, b"2.0")


def test_the_interface_that_was_said_is_not_guessed(start):
    app = f"""
import functools

{HELLO}

@functools.wraps(lambda: None)  # what it hides takes no arguments
async def wrapped(*arguments):
    await app(*arguments)
"""
    flags = "--port", "0", "--interface", "asgi3"
    server = start(*flags, app=app, target="main:wrapped")
    server.ready()
    assert server.get() == (200, b"hello\n")


def test_a_factory(start):
    app = f"{HELLO}\ndef make_app():\n    return app\n"
    flags = "--factory", "--port", "0"
    server = start(*flags, app=app, target="main:make_app")
    server.ready()
    assert server.get() == (200, b"hello\n")


def test_an_env_file_is_read_before_the_app(start, tmp_path):
    (tmp_path / ".env").write_text("ASGI_REF_TEST=from file\n")
    app = "import os\nprint(os.environ['ASGI_REF_TEST'], flush=True)\n"
    server = start("--port", "0", "--env-file", ".env", app=app + HELLO)
    server.out.until("from file")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_in_good_order(start, number):
    server = start("--port", "0", app=LIFESPAN)
    server.ready()
    server.signal(number)
    assert server.ended() == 0
    assert server.out.rest().endswith("started\nstopped\n")
    assert "Traceback" not in server.log.rest()


def test_the_order_of_a_start(start):
    # First what can go wrong, then the address, then the app's startup.
    app = f"print('imported', flush=True)\n{LIFESPAN}"
    server = start("--port", "0", app=app)
    server.ready()
    server.stop()
    lines = server.out.rest().splitlines()
    assert lines[0] == "imported"
    assert lines[1].startswith("asgi_ref ")
    assert lines[2].startswith("  open      http://127.0.0.1:")
    assert lines[3:] == ["started", "stopped"]


def test_the_banner_is_output_and_the_log_is_not(start):
    server = start("--port", "0", app=LIFESPAN)
    server.ready()
    server.stop()
    assert "startup" not in server.out.rest()
    assert "http://" not in server.log.rest()


def test_how_long_the_startup_took(start):
    server = start("--port", "0", app=LIFESPAN)
    server.ready()
    line = server.log.seen[-1]
    assert re.fullmatch(
        rf"{CLOCK}  startup   lifespan complete, \d+ ms\n", line
    )


# Exit statuses.


def test_2_bad_usage(start):
    text = start("main:app", "--prot", "0").refused(2)
    assert "did you mean --port?" in text


def test_2_a_header_that_cannot_be_sent(start):
    text = start("--port", "0", "--header", "two words: x").refused(2)
    assert "two words" in text
    assert "Traceback" not in text


def test_3_no_such_module(start):
    text = start("mian:app").refused(3)
    assert 'No module named "mian"' in text
    assert "Traceback" not in text


def test_3_an_error_in_the_app(start):
    text = start("--port", "0", app="import json\n\n1 / 0\n").refused(3)
    assert 'main.py", line 3' in text
    assert "ZeroDivisionError: division by zero" in text
    assert "asgi_ref" not in text


def test_3_the_app_says_that_it_cannot_start(start):
    app = """
    async def app(scope, receive, send):
        await receive()
        message = {"type": "lifespan.startup.failed", "message": "no disk"}
        await send(message)
    """
    server = start("--port", "0", app=app)
    assert server.ended() == 3
    assert "Startup failed: no disk" in server.log.rest()


RAISES = """
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        raise RuntimeError("db is down")
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": b"hello"})
"""


def test_3_the_startup_raises(start):
    server = start("--port", "0", "--lifespan", "on", app=RAISES)
    assert server.ended() == 3
    text = server.log.rest()
    assert "Startup failed: RuntimeError: db is down (main.py:5)" in text
    assert "unsupported" not in text


def test_the_startup_raises_and_lifespan_is_optional(start):
    # The specification: "the server must continue".
    server = start("--port", "0", app=RAISES)
    server.ready()
    line = server.log.seen[-1]
    assert "RuntimeError: db is down (main.py:5)" in line
    assert server.get() == (200, b"hello")
    assert server.stop() == 0


def test_1_the_port_is_taken(start):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        text = start("--port", str(port), app=HELLO).refused(1)
    assert f"Port {port} is taken" in text
    assert "--port 0" in text
    if sys.platform == "linux":
        name = Path("/proc/self/comm").read_text().strip()
        assert f"by pid {os.getpid()} ({name})" in text


def test_1_no_such_host(start):
    text = start("--host", "no.such.host.invalid", app=HELLO).refused(1)
    assert "no.such.host.invalid" in text
    assert "Traceback" not in text


def test_2_no_such_env_file(start):
    text = start("--env-file", "nope.env", app=HELLO).refused(2)
    assert "nope.env" in text
    assert "Traceback" not in text


# Where it listens.


def talk(client, path="/"):
    """Return a whole response, read from a connected socket."""
    client.settimeout(PATIENCE)
    client.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
    data = b""
    while piece := client.recv(65536):
        data += piece
    return data


def ask_unix(path):
    """Return a whole response, from a server on a unix socket."""
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
        return talk(client)


def test_a_unix_socket(start, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the path of a socket must be short
    server = start("--uds", "app.sock", app=HELLO)
    assert "unix:app.sock" in server.ready()
    assert ask_unix("app.sock").endswith(b"\r\n\r\nhello\n")
    assert "unix socket  GET /  200 OK" in server.log.until("GET /")
    assert server.stop() == 0
    assert not os.path.exists("app.sock")


def test_a_unix_socket_that_a_dead_server_left_behind(
    start, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind("app.sock")
    server = start("--uds", "app.sock", app=HELLO)
    server.ready()
    assert ask_unix("app.sock").endswith(b"hello\n")


def test_a_unix_socket_where_another_server_answers(
    start, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as other:
        other.bind("app.sock")
        other.listen()
        text = start("--uds", "app.sock", app=HELLO).refused(1)
        assert "app.sock: another server answers there" in text
    assert os.path.exists("app.sock")


def test_a_file_is_not_replaced_by_a_socket(start, tmp_path):
    file = tmp_path / "notes.txt"
    file.write_text("keep me")
    text = start("--uds", "notes.txt", app=HELLO).refused(1)
    assert "notes.txt: exists and is not a socket" in text
    assert file.read_text() == "keep me"


def test_a_file_descriptor(start):
    with socket.create_server(("127.0.0.1", 0)) as mine:
        number = mine.fileno()
        server = start("--fd", str(number), app=HELLO, pass_fds=[number])
        server.ready()
        assert server.address == mine.getsockname()
        assert server.get() == (200, b"hello\n")
        assert server.stop() == 0


def test_a_file_descriptor_that_is_not_open(start):
    assert "fd 99: " in start("--fd", "99", app=HELLO).refused(1)


def test_every_interface_shows_an_address_that_can_be_clicked(start):
    server = start("--host", "0.0.0.0", "--port", "0", app=HELLO)
    line = server.ready()
    assert server.get() == (200, b"hello\n")
    assert "0.0.0.0" in line  # and says that it is not the only one


def test_ipv6_in_brackets(start):
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("no IPv6 here")
    server = start("--host", "::1", "--port", "0", app=HELLO)
    port = int(re.search(r"http://\[::1\]:(\d+) ", server.ready())[1])
    with socket.create_connection(("::1", port), PATIENCE) as client:
        assert talk(client).endswith(b"hello\n")
    assert "  [::1]:" in server.log.until("GET /")


# The log.


def test_a_line_of_the_access_log(start):
    server = start("--port", "0", app=HELLO)
    server.ready()
    with server.say(request("/items/7?q=a")) as client:
        client.recv(1)
        peer = "127.0.0.1:%d" % client.getsockname()[1]
        line = server.log.until("GET")
    assert re.fullmatch(
        rf"{CLOCK}  {re.escape(peer)}  GET /items/7\?q=a  200 OK  6 B"
        r"  \d+\.\d ms\n",
        line,
    )


@pytest.mark.parametrize(
    "flags", ["--no-access-log", "--log-level=warning", "--log-level=error"]
)
def test_without_access_log(start, flags):
    # Nothing else in this log is worth a line, so there is no "startup".
    server = start("--port", "0", flags, "--lifespan", "off", app=HELLO)
    server.address = find_address(server.out.until("  open  "))
    assert server.get() == (200, b"hello\n")
    assert server.stop() == 0
    assert "GET" not in server.log.rest()


def find_address(line):
    """Return the address in a line of the banner."""
    host, port = re.search(r"http://([\d.]+):(\d+)", line).groups()
    return host, int(port)


def test_colours_if_they_are_asked_for(start):
    server = start("--port", "0", "--use-colors", app=RAISES)
    server.ready()
    assert server.log.seen[-1].startswith("\x1b[33m")


def test_a_header_of_ones_own(start):
    server = start("--port", "0", "--header", "X-Node: a", app=HELLO)
    server.ready()
    with server.say(request()) as client:
        assert b"\r\nX-Node: a\r\n" in client.recv(65536)


def test_an_error_in_the_app(start):
    app = "async def app(scope, receive, send):\n    {}['key']\n"
    server = start("--port", "0", app=app)
    server.ready()
    assert server.get("/broken")[0] == 500
    assert "KeyError: 'key' (main.py:2)" in server.log.until("KeyError")
    server.log.until("Traceback")
    server.log.until('main.py", line 2')
    server.log.until("GET /broken  500 Internal Server Error")


def test_returned_without_answering(start):
    app = "async def app(scope, receive, send):\n    return\n"
    server = start("--port", "0", app=app)
    server.ready()
    assert server.get("/x")[0] == 500
    line = server.log.until("without answering")
    assert "app returned without answering GET /x" in line
    assert re.search(r"\(main\.py:[12]\)", line)


def test_headers_that_are_str(start):
    app = """
    async def app(scope, receive, send):
        headers = [("content-type", "text/plain")]
        start = {"type": "http.response.start", "status": 200}
        await send({**start, "headers": headers})
    """
    server = start("--port", "0", app=app)
    server.ready()
    assert server.get()[0] == 500
    line = server.log.until("headers must be")
    assert "headers must be (bytes, bytes); got ('content-type', " in line
    assert "main.py:5" in line


def test_body_before_start(start):
    app = """
    async def app(scope, receive, send):
        await send({"type": "http.response.body", "body": b"x"})
    """
    server = start("--port", "0", app=app)
    server.ready()
    assert server.get()[0] == 500
    line = server.log.until("http.response.body")
    assert "http.response.start" in line  # what must come before it
    assert "main.py:3" in line


def test_more_body_than_was_said(start):
    app = """
    async def app(scope, receive, send):
        start = {"type": "http.response.start", "status": 200}
        await send({**start, "headers": [(b"content-length", b"10")]})
        await send({"type": "http.response.body", "body": b"twelve bytes"})
    """
    server = start("--port", "0", app=app)
    server.ready()
    assert server.get()[0] == 500
    line = server.log.until("content-length")
    assert "more body than content-length said" in line
    assert "12 > 10" in line
    assert "main.py:5" in line


def test_tls_on_a_plain_port(start):
    server = start("--port", "0", app=HELLO)
    server.ready()
    with server.say(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"):
        line = server.log.until("0x16")
    assert "TLS" in line
    assert "plain port" in line
    assert "use http://" in line


# On the way out.


def test_an_idle_connection_does_not_hold_the_exit(start):
    server = start("--port", "0", "--no-timeouts", app=HELLO)
    server.ready()
    with server.say(request()) as client:
        client.recv(1)
        assert server.stop() == 0


def test_the_second_signal_forces(start):
    server = start(
        "--port", "0", "--timeout-graceful-shutdown", "600", app=ENDLESS
    )
    server.ready()
    with server.say(request("/events")) as client:
        assert client.recv(65536)
        server.signal()
        line = server.log.until("stopping")
        assert "waiting up to 600 s for" in line
        assert "GET /events" in line
        server.signal()
        assert server.ended() == 0


def test_the_time_to_stop_is_bounded(start):
    server = start(
        "--port", "0", "--timeout-graceful-shutdown", "0.1", app=ENDLESS
    )
    server.ready()
    with server.say(request("/events")) as client:
        assert client.recv(65536)
        assert server.stop() == 0


def test_a_request_in_flight_is_finished(start):
    app = """
    async def app(scope, receive, send):
        assert scope["type"] == "http"
        print("asked", flush=True)
        await receive()
        await receive()  # until the server stops
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"finished"})
    """
    server = start("--port", "0", app=app)
    server.ready()
    with server.say(request()) as client:
        server.out.until("asked")
        server.signal()
        data = b""
        while piece := client.recv(65536):
            data += piece
    assert data.endswith(b"finished")
    assert server.ended() == 0


def test_a_long_poll_that_is_over_is_not_an_error(start):
    app = """
    from asgi_ref import demo

    async def app(scope, receive, send):
        print("asked", scope.get("path"), flush=True)
        await demo.app(scope, receive, send)
    """
    server = start("--port", "0", app=app)
    server.ready()
    with server.say(request("/wait")):
        server.out.until("asked /wait")
        assert server.stop() == 0
    text = server.log.rest()
    assert "waiting up to 5 s for" in text
    assert "without answering" not in text
    assert "Traceback" not in text


def test_ctrl_c_while_the_app_is_imported(start):
    app = """
    import threading
    print("importing", flush=True)
    threading.Event().wait(60)
    """
    server = start("--port", "0", app=app)
    server.out.until("importing")
    assert server.stop() == 0
    assert "Traceback" not in server.log.rest()


HANGS = """
import asyncio

async def app(scope, receive, send):
    await receive()
    if "{when}" == "shutdown":
        await send({{"type": "lifespan.startup.complete"}})
        await receive()
    print("hangs", flush=True)
    {hang}
"""


@pytest.mark.parametrize("when", ["startup", "shutdown"])
def test_a_lifespan_that_hangs_can_be_forced_to_end(start, when):
    app = HANGS.format(when=when, hang="await asyncio.Event().wait()")
    server = start("--port", "0", app=app)
    if when == "startup":
        server.out.until("hangs")
    else:
        server.ready()
        server.signal()
        server.out.until("hangs")
    server.signal()
    assert server.ended() == 0


@pytest.mark.parametrize("when", ["startup", "shutdown"])
def test_a_lifespan_that_blocks_can_be_forced_to_end(start, when):
    """Not even the event loop comes round."""
    app = HANGS.format(when=when, hang="time.sleep(3600)")
    server = start("--port", "0", app="import time\n" + app)
    if when == "shutdown":
        server.ready()
        server.signal()
    server.out.until("hangs")
    server.signal()
    server.signal(signal.SIGTERM)  # two of a kind may become one
    assert server.ended() == 0
    assert "forced: the application did not let go" in server.log.rest()


# WSGI: the blocking server behind the same command line.

WSGI = """
import threading

def app(environ, start_response):
    print("asked", environ["PATH_INFO"], flush=True)
    start_response("200 OK", [("Content-Type", "text/plain")])
    if environ["PATH_INFO"] == "/forever":
        yield b"."
        threading.Event().wait()
    yield environ["SCRIPT_NAME"].encode()
"""


def start_wsgi(start, *flags):
    flags = "--interface", "wsgi", "--port", "0", *flags
    server = start(*flags, app=WSGI)
    first = server.out.until("asgi_ref")
    assert "main:app  (WSGI, ./main.py)" in first
    assert "Ctrl+C stops, twice forces" in server.ready()
    return server


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_wsgi_app_with_the_flag(start, number):
    server = start_wsgi(start, "--root-path", "/api/", "--threads", "2")
    assert server.get("/api/x") == (200, b"/api")
    server.signal(number)
    assert server.ended() == 0
    log = server.log.rest()
    assert re.search(
        rf"{CLOCK}  127\.0\.0\.1:\d+  GET /api/x  200 OK  4 B  \d+\.\d ms", log
    )
    assert "Traceback" not in log


def test_the_flags_reach_the_blocking_server(start):
    server = start_wsgi(
        *(start, "--threads", "1", "--no-access-log", "--header", "X-One: 1"),
        *("--no-server-header", "--limit-head", "200"),
    )
    with server.say(request("/" + "x" * 300)) as client:
        assert client.recv(65536).startswith(b"HTTP/1.1 414 ")
    with server.say(request()) as client:
        head = client.recv(65536).lower()
    assert b"\r\nx-one: 1\r\n" in head
    assert b"\r\nserver:" not in head
    assert server.stop() == 0
    assert " 200 OK " not in server.log.rest()


def test_the_second_signal_forces_the_blocking_server(start):
    server = start_wsgi(start, "--timeout-graceful-shutdown", "600")
    with server.say(request("/forever")) as client:
        assert client.recv(65536)
        server.signal()
        assert "up to 600 s for GET /forever" in server.log.until("stopping")
        server.signal()
        assert server.ended() == 0


def test_a_unix_socket_of_the_blocking_server_is_removed(start, tmp_path):
    path = tmp_path / "app.sock"
    server = start("--interface", "wsgi", "--uds", str(path), app=WSGI)
    server.out.until("unix:")
    server.log.until("startup")
    assert server.stop() == 0
    assert not path.exists()


def test_a_wsgi_app_without_the_flag(start):
    server = start("--port", "0", app=WSGI)
    said = server.refused(3)
    assert "--interface wsgi" in said
    assert "asgi_ref.bridge.AsgiFromWsgi" in said


def test_an_asgi_app_with_the_flag(start):
    server = start("--port", "0", "--interface", "wsgi", app=HELLO)
    said = server.refused(3)
    assert "main:app is an ASGI app" in said
    assert "asgi_ref.bridge.WsgiFromAsgi" in said


def test_threads_are_for_wsgi(start):
    server = start("--port", "0", "--threads", "3", app=HELLO)
    assert "--threads: only with --interface wsgi" in server.refused(2)


# What holds on, whatever is done to it.

SWALLOWS = """
import asyncio

async def app(scope, receive, send):
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200})
    body = {"type": "http.response.body", "body": b".", "more_body": True}
    await send(body)
    while True:
        try:
            await asyncio.sleep(0.1)
        except BaseException:
            pass
"""
BUSY = ENDLESS.replace("await asyncio.Event().wait()", "while True: pass")


def begin(run):
    """Send a request, and wait for the first of its answer."""
    client = socket.create_connection(run.address)
    client.settimeout(PATIENCE)
    client.sendall(b"GET /held HTTP/1.1\r\nHost: a\r\n\r\n")
    while not client.recv(1000).endswith(b".\r\n"):
        pass
    return client


@pytest.mark.parametrize("app", [SWALLOWS, BUSY], ids=["swallows", "busy"])
def test_twice_forces_whatever_the_application_does(start, app):
    run = start("--port", "0", app=app)
    run.ready()
    with begin(run):
        run.signal()
        run.signal(signal.SIGTERM)  # two of a kind may become one
        assert run.ended() == 0
    assert "forced: GET /held did not let go" in run.log.rest()


def test_one_signal_is_enough_in_the_end(start):
    """A container's runtime sends one, and later kills."""
    run = start(
        "--port", "0", "--timeout-graceful-shutdown", "0", app=SWALLOWS
    )
    run.ready()
    with begin(run):
        run.signal(signal.SIGTERM)
        assert run.ended() == 0
    assert "forced: GET /held did not let go" in run.log.rest()


# Parts that are joined when they are asked for.

CERTIFICATES = ROOT / "tests" / "certificates"

PID = """
import os

async def app(scope, receive, send):
    assert scope["type"] == "http"
    start = {"type": "http.response.start", "status": 200}
    await send(start)
    body = str(os.getpid()).encode()
    await send({"type": "http.response.body", "body": body})
"""

SCOPE = """
import json

async def app(scope, receive, send):
    assert scope["type"] == "http"
    tls = scope["extensions"].get("tls")
    seen = {"client": scope["client"], "scheme": scope["scheme"], "tls": tls}
    start = {"type": "http.response.start", "status": 200}
    await send(start)
    body = json.dumps(seen).encode()
    await send({"type": "http.response.body", "body": body})
"""


def says(text):
    """Return a program whose application says a text."""
    return HELLO.replace("hello\\n", text)


def change(folder, text):
    """Save main.py as an editor does: whole, under another name first."""
    (folder / "main.py.new").write_text(textwrap.dedent(text))
    os.replace(folder / "main.py.new", folder / "main.py")


def test_reload(start, tmp_path):
    flags = "--port", "0", "--reload", "--reload-delay", "0.02"
    server = start(*flags, app=says("one"))
    assert "main:app  (ASGI 3, ./main.py)" in server.out.until("asgi_ref")
    server.ready()
    assert server.out.until("watching") == "  watching  . (1 file)\n"
    assert server.get() == (200, b"one")
    change(tmp_path, says("another"))
    assert "reload    main.py changed" in server.log.until("reload")
    server.log.until("startup")
    assert server.get() == (200, b"another")
    change(tmp_path, "def (:\n")
    server.log.until("SyntaxError, main.py line 1:  def (:")
    server.log.until("still listening; answering 503 with this error")
    status, body = server.get()
    assert status == 503
    assert b"SyntaxError" in body
    change(tmp_path, says("mended"))
    server.log.until("startup")
    assert server.get() == (200, b"mended")
    assert server.stop() == 0
    assert "Traceback" not in server.log.rest()
    assert server.out.rest().count("asgi_ref") == 1  # one banner


def test_reload_and_a_startup_that_fails(start, tmp_path):
    broken = """
        async def app(scope, receive, send):
            await receive()
            text = {"type": "lifespan.startup.failed", "message": "no db"}
            await send(text)
    """
    flags = "--port", "0", "--reload", "--reload-delay", "0.02"
    server = start(*flags, app=broken)
    line = server.out.until("  open  ")
    server.address = "127.0.0.1", int(re.search(r":(\d+)", line)[1])
    server.log.until("reload    Startup failed: no db")
    status, body = server.get()
    assert status == 503
    assert b"no db" in body
    change(tmp_path, HELLO)
    server.log.until("startup")
    assert server.get() == (200, b"hello\n")
    assert server.stop() == 0


def test_nobody_serves_when_who_watches_is_killed(start):
    server = start("--port", "0", "--reload", app=HELLO)
    server.ready()
    server.process.kill()
    server.ended()
    server.log.rest()  # closed when the child has ended, too
    with pytest.raises(ConnectionRefusedError):
        server.get()


def test_workers(start):
    server = start("--port", "0", "--workers", "2", app=PID)
    first = server.ready()
    assert "Ctrl+C stops, twice forces" in first
    banner = server.out.until("workers")
    assert re.fullmatch(
        rf"  workers   2; kill -HUP {server.process.pid} renews them\n", banner
    )
    line = server.log.until("startup")  # the second one
    before = {int(re.match(rf"{CLOCK}  (\d+)  ", line)[1])}
    before |= {int(server.get()[1])}
    assert server.process.pid not in before
    server.signal(signal.SIGHUP)
    server.log.until("workers   renewing 2")
    for _ in range(2):
        server.log.until("startup")
    # The old ones may serve until the new ones do, but not after that.
    while int(server.get()[1]) in before:
        pass
    assert server.stop() == 0
    assert server.out.rest().count("asgi_ref") == 1
    assert "Traceback" not in server.log.rest()


@pytest.mark.parametrize("flags", [["--reload"], ["--workers", "2"]])
def test_what_an_application_starts_does_not_keep_the_port(start, flags):
    sleeper = "import os; os.system('sleep 60 >&- 2>&- & echo pid $!')\n"
    server = start("--port", "0", *flags, app=sleeper + textwrap.dedent(HELLO))
    pids = [int(server.out.until("pid").split()[1])]
    try:
        server.ready()
        assert server.stop() == 0
        lines = server.out.rest().splitlines()
        pids += [int(x.split()[1]) for x in lines if x.startswith("pid")]
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(server.address, PATIENCE)
    finally:
        for pid in set(pids):
            os.kill(pid, signal.SIGKILL)


def test_reload_prints_the_banner_when_a_child_comes_so_far(start, tmp_path):
    """The first one may die, or be replaced, before it has."""
    flags = "--port", "0", "--reload", "--reload-delay", "0.02"
    server = start(*flags, app="import os; os._exit(7)")
    server.log.until("exit status 7")
    (tmp_path / "main.py").write_text(textwrap.dedent(HELLO))
    server.ready()
    assert server.get() == (200, b"hello\n")
    (tmp_path / "main.py").write_text(textwrap.dedent(HELLO) + "\n")
    server.log.until("startup")
    assert server.stop() == 0
    assert server.out.rest().count("open") == 1


def test_reload_of_a_command_line_that_makes_no_sense(start):
    flags = "--reload", "--port", "0", "--ssl-certfile", "no"
    server = start(*flags, app=HELLO)
    assert "no: No such file" in server.refused(2)


def test_a_limit_of_requests_is_not_for_reload(start):
    server = start("--reload", "--limit-max-requests", "3", app=HELLO)
    assert "--limit-max-requests: not with --reload" in server.refused(2)


def test_workers_of_a_wsgi_application(start):
    app = """
        def app(environ, start_response):
            start_response("200 OK", [])
            return [str(environ["wsgi.multiprocess"]).encode()]
    """
    flags = "--port", "0", "--interface", "wsgi", "--workers", "2"
    server = start(*flags, app=app)
    server.ready()
    assert server.get() == (200, b"True")
    assert server.stop() == 0


def test_workers_that_cannot_load_the_application(start):
    server = start("--workers", "2", "--port", "0", app="", target="main:nope")
    said = server.refused(3)
    assert said.count('main.py has no "nope"') == 1


def test_workers_leave_the_unix_socket_to_their_parent(start, tmp_path):
    flags = "--uds", "app.sock", "--workers", "2", "--limit-max-requests", "1"
    server = start(*flags, app=PID)
    server.ready()
    server.log.until("startup")
    pids = set()
    while len(pids) < 3:  # somebody has retired, and the path is still there
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(PATIENCE)
            client.connect(str(tmp_path / "app.sock"))
            client.sendall(request().replace(b"1.1", b"1.0"))
            answer = b""
            while piece := client.recv(65536):
                answer += piece
            pids.add(answer.rpartition(b"\r\n")[2])
    assert server.stop() == 0
    assert not (tmp_path / "app.sock").exists()


def test_a_worker_that_is_stopped_while_it_imports(start):
    app = """
import os, signal, socket, sys
os.kill(os.getppid(), signal.SIGTERM)
fd = int(sys.argv[sys.argv.index("--parent-fd") + 1])
socket.socket(fileno=os.dup(fd)).recv(1)  # our parent has told us
sys.setswitchinterval(1e-6)
"""
    server = start("--port", "0", "--workers", "2", app=app + PID)
    assert server.ended() == 0
    assert "Traceback" not in server.log.rest()


def test_a_limit_of_requests_ends_a_server_that_is_alone(start):
    server = start("--port", "0", "--limit-max-requests", "2", app=HELLO)
    server.ready()
    assert server.get() == server.get() == (200, b"hello\n")
    assert server.ended() == 0
    assert "stopping  after --limit-max-requests" in server.log.rest()


def test_tls(start):
    files = [str(CERTIFICATES / name) for name in ("server.pem", "server.key")]
    flags = "--ssl-certfile", files[0], "--ssl-keyfile", files[1]
    server = start("--port", "0", *flags, app=SCOPE)
    assert "open      https://127.0.0.1:" in server.ready()
    context = ssl.create_default_context(cafile=CERTIFICATES / "ca.pem")
    connection = http.client.HTTPSConnection(
        *server.address, timeout=PATIENCE, context=context
    )
    connection.request("GET", "/")
    seen = json.loads(connection.getresponse().read())
    connection.close()
    assert seen["scheme"] == "https"
    assert seen["tls"]["tls_version"] == 0x0304
    assert server.stop() == 0


def test_tls_without_a_certificate(start):
    server = start("--ssl-certfile", "nope.pem", "--port", "0", app=HELLO)
    assert "nope.pem: No such file" in server.refused(2)


FORWARDED = {"X-Forwarded-For": "203.0.113.7", "X-Forwarded-Proto": "https"}


@pytest.mark.parametrize(
    ("flags", "client", "scheme"),
    [
        ([], "127.0.0.1", "http"),
        (["--proxy-headers"], "203.0.113.7", "https"),
        (
            ["--proxy-headers", "--forwarded-allow-ips", "10.0.0.0/8"],
            *("127.0.0.1", "http"),
        ),
    ],
)
def test_proxy_headers(start, flags, client, scheme):
    server = start("--port", "0", *flags, app=SCOPE)
    server.ready()
    connection = http.client.HTTPConnection(*server.address, PATIENCE)
    connection.request("GET", "/", headers=FORWARDED)
    seen = json.loads(connection.getresponse().read())
    connection.close()
    assert (seen["client"][0], seen["scheme"]) == (client, scheme)
    assert server.stop() == 0


def test_proxy_headers_of_whom_is_no_address(start):
    flags = "--proxy-headers", "--forwarded-allow-ips", "127.0.0.300"
    server = start("--port", "0", *flags, app=HELLO)
    said = server.refused(2)
    assert "--forwarded-allow-ips" in said
    assert "127.0.0.300" in said


MIDDLEWARE = (
    HELLO
    + """

def outer(app):
    return around(app, b"outer")

def inner(app):
    return around(app, b"inner")

def around(app, name):
    async def middleware(scope, receive, send):
        async def added(message):
            if message["type"] == "http.response.start":
                headers = [*message.get("headers", ()), (b"via", name)]
                message = {**message, "headers": headers}
            await send(message)
        await app(scope, receive, added)
    return middleware

def broken(app):
    raise ValueError("no")
"""
)


def test_middleware(start):
    flags = "--middleware", "main:outer", "--middleware", "main:inner"
    server = start("--port", "0", *flags, app=MIDDLEWARE)
    server.ready()
    with server.say(request().replace(b"1.1", b"1.0")) as client:
        answer = b""
        while piece := client.recv(65536):
            answer += piece
    assert answer.index(b"via: inner") < answer.index(b"via: outer")
    assert server.stop() == 0


def test_middleware_that_raises(start):
    server = start(
        "--port", "0", "--middleware", "main:broken", app=MIDDLEWARE
    )
    said = server.refused(3)
    assert "--middleware main:broken raised ValueError: no (main.py:" in said


def test_check(start):
    wrong = '"status": 200, "headers": [(b"A", b"b")]'
    app = HELLO.replace('"status": 200', wrong)
    server = start("--port", "0", "--check", app=app)
    server.ready()
    assert server.get() == (200, b"hello\n")
    line = server.log.until("contract")
    assert "application" in line
    assert "main.py:" in line
    assert server.stop() == 0


def test_a_trace_for_people(start):
    server = start("--port", "0", "--trace", app=HELLO)
    server.ready()
    assert server.get() == (200, b"hello\n")
    for part in "read", "GET / HTTP/1.1", "scope http", "send http.response":
        server.out.until(part)
    assert server.stop() == 0
    assert "write" in server.out.rest()


def test_a_trace_for_programs(start, tmp_path):
    server = start("--port", "0", "--trace=seen.jsonl", app=HELLO)
    server.ready()
    assert server.get() == (200, b"hello\n")
    assert server.stop() == 0
    lines = (tmp_path / "seen.jsonl").read_text().splitlines()
    events = [json.loads(line) for line in lines]
    stations = [event["station"] for event in events if event["connection"]]
    assert stations[:3] == ["open", "read", "request"]
    assert stations[-1] == "close"


def test_a_trace_that_cannot_be_written(start):
    server = start("--port", "0", "--trace=no/such/folder", app=HELLO)
    assert server.ended() == 2
    assert "--trace: " in server.log.rest()


def test_step(start):
    flags = "--port", "0", "--step", "--lifespan", "off"
    server = start(*flags, app=HELLO, stdin=subprocess.PIPE)
    line = server.out.until("  open  ")
    server.address = "127.0.0.1", int(re.search(r":(\d+)", line)[1])
    with server.say(request()) as client:
        server.out.until("scope http")
        server.process.stdin.write("\n")
        server.process.stdin.flush()
        server.out.until("send http.response.start")
        server.process.stdin.write("c\n")
        server.process.stdin.flush()
        assert client.recv(65536).startswith(b"HTTP/1.1 200 OK")
    assert server.stop() == 0
    server.process.stdin.close()


def test_watchdog(start, tmp_path):
    app = """
        import os, time

        async def app(scope, receive, send):
            while not os.path.exists("go"):
                time.sleep(0.01)
            start = {"type": "http.response.start", "status": 200}
            await send(start)
            await send({"type": "http.response.body", "body": b"done"})
    """
    flags = "--port", "0", "--watchdog", "0.05", "--lifespan", "off"
    server = start(*flags, app=app)
    line = server.out.until("  open  ")
    server.address = "127.0.0.1", int(re.search(r":(\d+)", line)[1])
    with server.say(request()) as client:
        said = server.log.until("blocked")
        assert re.search(r"main\.py:\d in app", said)
        (tmp_path / "go").touch()
        assert client.recv(65536).startswith(b"HTTP/1.1 200 OK")
    assert "went on after" in server.log.until("blocked")
    assert server.stop() == 0


def test_the_doctor(start, tmp_path):
    (tmp_path / "main.py").write_text(textwrap.dedent(LIFESPAN + HELLO))
    server = start("doctor", "main:app")
    assert server.ended() == 0
    lines = server.out.rest().splitlines()
    assert lines[0] == f"looked     for main in {tmp_path}"
    assert lines[1] == "found      app, a function, ./main.py"
    assert lines[2] == "interface  ASGI 3"
    assert lines[-1] == "GET /      200 OK"


def test_the_doctor_reads_the_env_file(start, tmp_path):
    (tmp_path / ".env").write_text("ASGI_REF_TEST=1\n")
    app = "import os\nos.environ['ASGI_REF_TEST']\n" + HELLO
    (tmp_path / "main.py").write_text(app)
    server = start("doctor", "main:app", "--env-file", ".env")
    assert server.ended() == 0
    assert "GET /      200 OK\n" in server.out.rest()


def test_the_doctor_and_a_wsgi_application(start, tmp_path):
    (tmp_path / "main.py").write_text(textwrap.dedent(WSGI))
    server = start("doctor", "main:app", "--interface", "wsgi")
    assert server.ended() == 0
    said = server.out.rest()
    assert "interface  WSGI\n" in said
    assert "GET /      200 OK\n" in said


@pytest.mark.parametrize(
    ("app", "status", "says"),
    [
        ("app = 1", 3, "main:app is an int"),
        (HELLO.replace("200", "500"), 3, ""),
        (HELLO.replace("200", "404"), 0, ""),
    ],
)
def test_what_the_doctor_finds(start, tmp_path, app, status, says):
    (tmp_path / "main.py").write_text(textwrap.dedent(app))
    server = start("doctor", "main:app")
    assert server.ended() == status
    assert says in server.log.rest()


def test_reload_of_a_wsgi_application_that_cannot_be_loaded(start, tmp_path):
    flags = "--port", "0", "--reload", "--reload-delay", "0.02"
    server = start(*flags, "--interface", "wsgi", app="def (:\n")
    line = server.out.until("  open  ")
    server.address = "127.0.0.1", int(re.search(r":(\d+)", line)[1])
    server.log.until("still listening")
    assert server.get()[0] == 503
    change(tmp_path, WSGI)
    server.log.until("startup")
    assert server.get("/x")[0] == 200
    assert server.stop() == 0


def test_reload_leaves_the_unix_socket_to_the_parent(start, tmp_path):
    flags = "--uds", "app.sock", "--reload", "--reload-delay", "0.02"
    server = start(*flags, app=says("one"))
    server.ready()
    change(tmp_path, says("two"))
    server.log.until("startup")
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(PATIENCE)
        client.connect(str(tmp_path / "app.sock"))
        client.sendall(request())
        assert b"two" in client.recv(65536)
    assert server.stop() == 0
    assert not (tmp_path / "app.sock").exists()


def test_what_was_assumed_is_said(start):
    server = start("--port", "0", app="other = 1", target="main")
    said = server.refused(3)
    assert 'main.py has no "app"' in said
    assert '("main" was taken for main:app)' in said
