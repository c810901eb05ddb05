"""Slow and hostile clients against a real server in its own process.

Each of them wants the server to keep more and more, or to wait for ever.
What they get is an error or the end of the connection, others are answered
meanwhile, and the memory of the server stays within a bound.
"""

import re
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

resource = pytest.importorskip("resource")  # not on Windows

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 30  # seconds before something that never comes is an error
MIB = 1024 * 1024

BOUND = 32 * MIB  # by how much one hostile client may make the server grow
IDLE = 2000  # connections that say nothing
PER_IDLE = 24 * 1024  # bytes that each of them may cost
ENOUGH = 64 * MIB  # more than anybody should read of nonsense

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="memory is read in /proc"
)

APP = '''
PIECE = bytes(256 * 1024)


async def app(scope, receive, send):
    """/read reads the body, /stream sends 200 MiB, /big 1 MiB at once."""
    assert scope["type"] == "http"
    if scope["path"] == "/read":
        while (await receive()).get("more_body"):
            pass
    await send({"type": "http.response.start", "status": 200})
    if scope["path"] == "/stream":
        for _ in range(800):
            await send({
                "type": "http.response.body",
                "body": PIECE,
                "more_body": True,
            })
    body = 4 * PIECE if scope["path"] == "/big" else b"hello"
    await send({"type": "http.response.body", "body": body})
'''


class Server:
    """A server in a process of its own, and everything that it prints."""

    def __init__(self, folder, *flags):
        (folder / "hostile_app.py").write_text(APP)
        command = [sys.executable, "-m", "asgi_ref", "hostile_app:app"]
        command += ["--app-dir", str(folder), "--port", "0"]
        self.process = subprocess.Popen(
            [*command, "--no-access-log", *flags],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.port = self._find_port()
        self.lines = []
        # Somebody must always read: a full pipe would stop the server.
        self.reader = threading.Thread(
            target=lambda: self.lines.extend(self.process.stdout)
        )
        self.reader.start()
        assert self.answers()
        self.at_first = self.memory("VmHWM")

    def _find_port(self):
        for line in self.process.stdout:
            if found := re.search(r"  open +http://127\.0\.0\.1:(\d+)", line):
                return int(found[1])
        raise AssertionError(f"no address; exit {self.process.wait(PATIENCE)}")

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), PATIENCE)

    def answers(self):
        """Say whether somebody else is served."""
        with self.connect() as client:
            client.sendall(get("/", "Connection: close"))
            return read_all(client).endswith(b"\r\n\r\nhello")

    def memory(self, kind):
        """VmRSS is what the process uses now, VmHWM the most it ever did."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(rf"{kind}:\s+(\d+) kB", status)[1]) * 1024

    @property
    def grown(self):
        return self.memory("VmHWM") - self.at_first

    def stop(self):
        """Press Ctrl+C; it must end well."""
        self.process.send_signal(signal.SIGINT)
        try:
            status = self.process.wait(PATIENCE)
        finally:
            self.process.kill()
            self.process.wait()
            self.reader.join(PATIENCE)
        log = "".join(self.lines)
        assert status == 0, log
        assert "Traceback" not in log, log
        assert "never retrieved" not in log, log


@pytest.fixture
def server(tmp_path):
    limits = ("--timeout-header", "1", "--timeout-keep-alive", "60")
    one = Server(tmp_path, *limits, "--timeout-graceful-shutdown", "1")
    yield one
    one.stop()


@pytest.fixture
def many_files():
    """Raise the limit of open files; return how many sockets we may have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = IDLE + 200
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    yield min(IDLE, wanted - 200)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def get(path, *fields):
    lines = [f"GET {path} HTTP/1.1", "Host: localhost", *fields, "", ""]
    return "\r\n".join(lines).encode()


def read_all(client):
    data = bytearray()
    with suppress(ConnectionError):
        while piece := client.recv(MIB):
            data += piece
    return bytes(data)


def insist(client, piece):
    """Send the same again and again; return the answer and what it took.

    Ends when there is an answer, or when the connection does.
    """
    client.setblocking(False)
    deadline, sent, got = time.monotonic() + PATIENCE, 0, b""
    while sent < ENOUGH and b"\r\n\r\n" not in got:
        left = deadline - time.monotonic()
        assert left > 0, f"no answer after {sent} bytes"
        readable, _, _ = select.select([client], [client], [], left)
        try:
            if readable:
                got += (data := client.recv(MIB))
                if not data:
                    break
            else:
                sent += client.send(piece)
        except BlockingIOError:
            continue
        except ConnectionError:
            break
    return got, sent


CHUNKED = get("/read", "Transfer-Encoding: chunked")

ENDLESS = {
    "a request line": (b"GET /", b"x" * 1000, 414),
    "header lines": (get("/")[:-2], b"X-Nonsense: y\r\n" * 100, 431),
    "one header": (get("/")[:-2] + b"X: ", b"y" * 1000, 431),
    "header lines without a name": (get("/")[:-2], b": y\r\n" * 100, 431),
    "CR LF before the request": (b"", b"\r\n" * 500, 400),
    "LF before the request": (b"", b"\n" * 1000, 400),
    "spaces before the request": (b"", b" " * 1000, 414),
    "a chunk extension": (CHUNKED + b"1", b";name=value" * 100, 400),
    "quoted extensions": (CHUNKED, b'1;a="' + b"b" * 99 + b'"\r\nx\r\n', 400),
    "many extensions": (CHUNKED, b"1;a=b\r\nx\r\n" * 100, 400),
    "a chunk size": (CHUNKED, b"0" * 1000, 400),
    "trailers": (CHUNKED + b"0\r\n", b"X-Nonsense: y\r\n" * 100, 431),
    "one trailer": (CHUNKED + b"0\r\nX: ", b"y" * 1000, 431),
}


@pytest.mark.parametrize("what", ENDLESS)
def test_what_never_ends_is_refused(server, what):
    start, piece, status = ENDLESS[what]
    with server.connect() as client:
        client.sendall(start)
        got, sent = insist(client, piece)
        assert got.startswith(b"HTTP/1.1 %d " % status), (got[:100], sent)
        assert sent < ENOUGH
        assert server.answers()
    assert server.grown < BOUND


def test_a_body_without_end_that_nobody_reads(server):
    """The answer came first: the server reads on for a moment, and ends."""
    with server.connect() as client:
        client.sendall(get("/", f"Content-Length: {10**17}"))
        deadline, ended = time.monotonic() + PATIENCE, False
        while not ended and time.monotonic() < deadline:
            try:
                client.send(bytes(64 * 1024))
            except ConnectionError:
                ended = True
        assert ended
        assert server.answers()
    assert server.grown < BOUND


def test_a_body_without_end_that_is_read(server):
    """That is an upload; it may go on, but it must not pile up."""
    with server.connect() as client:
        client.sendall(get("/read", f"Content-Length: {10**17}"))
        for _ in range(100):
            client.sendall(bytes(MIB))
        assert server.answers()
    assert server.grown < BOUND


def test_heads_that_drip_in(server):
    """Byte by byte, and always in time: the whole has a time limit."""
    head = get("/", *(f"X-{n}: y" for n in range(90)))
    with ExitStack() as open_until_the_end:
        clients = [
            open_until_the_end.enter_context(server.connect())
            for _ in range(50)
        ]
        answers = dict.fromkeys(clients, b"")
        waiting, position = set(clients), 0
        deadline = time.monotonic() + PATIENCE
        while waiting:
            assert time.monotonic() < deadline, f"{len(waiting)} still open"
            readable, _, _ = select.select(waiting, [], [], 0.02)
            for client in readable:
                with suppress(ConnectionError):
                    answers[client] = client.recv(MIB)
                waiting.discard(client)
            for client in waiting:
                with suppress(ConnectionError):
                    client.send(head[position : position + 1])
            position += 1
            if position == 20:
                assert server.answers()
    for answer in answers.values():
        assert answer.startswith(b"HTTP/1.1 408 ")
    assert server.grown < BOUND


def test_many_who_say_nothing(server, many_files):
    with ExitStack() as open_until_the_end:
        for _ in range(many_files):
            open_until_the_end.enter_context(server.connect())
        assert server.answers()
        assert server.grown < many_files * PER_IDLE
        server.stop()


def test_many_who_said_something_once(server, many_files):
    """An idle connection holds nothing of the request before."""
    request = get("/", "X: " + "y" * 8000)
    with ExitStack() as open_until_the_end:
        for _ in range(many_files):
            client = open_until_the_end.enter_context(server.connect())
            client.sendall(request)
            assert client.recv(4096).startswith(b"HTTP/1.1 200 ")
        assert server.grown < many_files * PER_IDLE
        assert server.answers()


@pytest.mark.parametrize("readers", [1, 8])
def test_a_reader_that_never_reads(server, readers):
    """200 MiB wait in the application, not in the server."""
    with ExitStack() as open_until_the_end:
        for _ in range(readers):
            client = open_until_the_end.enter_context(server.connect())
            client.sendall(get("/stream"))
        for _ in range(20):
            assert server.answers()
        assert server.grown < BOUND
        server.stop()


def test_a_reader_that_never_reads_but_goes_on_asking(server):
    """300 requests fit into one packet; 300 MiB must not wait for it."""
    with server.connect() as client:
        client.sendall(get("/big") * 300)
        for _ in range(20):
            assert server.answers()
        assert server.grown < BOUND


def test_a_stream_that_is_left_in_the_middle(server):
    for _ in range(20):
        with server.connect() as client:
            client.sendall(get("/stream"))
            assert client.recv(1000)
    assert server.answers()
    assert server.grown < BOUND


def test_connections_that_come_and_go(server):
    """Nothing of them may stay."""

    def come_and_go(times):
        for _ in range(times):
            for _ in range(50):
                server.connect().close()
            assert server.answers()

    come_and_go(10)
    before = server.memory("VmRSS")
    come_and_go(40)
    assert server.memory("VmRSS") - before < 4 * MIB
