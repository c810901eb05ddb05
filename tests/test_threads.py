"""The blocking server: threads, connections, time limits, a good end."""

import errno
import http.client
import logging
import re
import socket
import struct
import threading
import time
from contextlib import suppress
from contextvars import ContextVar
from wsgiref.validate import validator

import pytest

from asgi_ref import listen
from asgi_ref.threads import DRAIN, PIECE, STALLED, Server, peer

PATIENCE = 20  # seconds before something that never comes is an error
MIB = 1024 * 1024

GET = b"GET /here HTTP/1.1\r\nHost: example.com\r\n\r\n"
PLAIN = [("Content-Type", "text/plain")]


@pytest.fixture
def logged(caplog):
    """What the server logs, whatever logging was set up before."""
    log = logging.getLogger("asgi_ref")
    before = log.level, log.propagate
    log.addHandler(caplog.handler)
    log.setLevel(logging.INFO)
    log.propagate = False
    yield caplog
    log.level, log.propagate = before
    log.removeHandler(caplog.handler)


def errors(logged):
    return [r.getMessage() for r in logged.records if r.levelname == "ERROR"]


def accesses(logged):
    name = "asgi_ref.access"
    return [r.getMessage() for r in logged.records if r.name == name]


def until(condition):
    """Wait for something that comes, but not when we say."""
    deadline = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.001)
    return found


class Serving:
    """A server in a thread, and its clients."""

    def __init__(self, app, sock=None, watched=True, **settings):
        self.sock = sock or listen.listen(port=0)
        self.address = self.sock.getsockname()
        # The standard library's validator watches both sides.
        app = validator(app) if watched else app
        self.server = Server(app, **settings)
        work = {"target": self.server.serve, "args": [self.sock]}
        self.thread = threading.Thread(daemon=True, **work)
        self.clients = []

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *error):
        for client in self.clients:
            client.close()
        self.server.stop()
        self.server.stop()
        self.ended()
        # Threads that were left behind must not speak in the next test.
        until(lambda: not self.server.conversations)

    def ended(self):
        """Wait for the server's end."""
        self.thread.join(PATIENCE)
        assert not self.thread.is_alive()

    def client(self, data=b""):
        self.clients.append(Client(self.address))
        self.clients[-1].send(data)
        return self.clients[-1]

    def ask(self, data=GET):
        """Send one request on a connection of its own."""
        client = self.client(data)
        answer = client.answer()
        client.close()
        return answer

    @property
    def idle(self):
        return [c for c in self.server.conversations if c.idle]

    def pass_time(self, seconds):
        """Do what the sweeper would do that much later."""
        self.server.sweep(time.monotonic() + seconds)


class Answer:
    def __init__(self, status, fields):
        self.status, self.fields, self.body = status, fields, b""


class Client:
    """The other end of a connection: bytes out, answers in."""

    def __init__(self, address):
        unix = isinstance(address, str)
        self.socket = socket.socket(socket.AF_UNIX if unix else socket.AF_INET)
        self.socket.settimeout(PATIENCE)
        self.socket.connect(address)
        self.file = self.socket.makefile("rb")

    def send(self, data):
        self.socket.sendall(data)

    def head(self):
        line = self.file.readline().decode()
        assert line, "the connection ended"
        fields = {}
        while (text := self.file.readline().decode()) != "\r\n":
            name, value = text.rstrip("\r\n").split(": ", 1)
            fields[name.lower()] = value
        return Answer(int(line.split(" ")[1]), fields)

    def answer(self):
        answer = self.head()
        if "content-length" in answer.fields:
            length = int(answer.fields["content-length"])
            answer.body = self.file.read(length)
        elif answer.fields.get("transfer-encoding") == "chunked":
            while piece := self.chunk():
                answer.body += piece
        elif answer.status == 200:
            answer.body = self.rest()
        return answer

    def chunk(self):
        size = int(self.file.readline(), 16)
        return self.file.read(size + 2)[:-2]

    def rest(self):
        """Everything up to the end, be it FIN or RST."""
        data = b""
        with suppress(ConnectionError):
            while piece := self.file.read1(MIB):
                data += piece
        return data

    def half_close(self):
        self.socket.shutdown(socket.SHUT_WR)

    def close(self):
        self.file.close()
        self.socket.close()

    def reset(self):
        """Leave with RST instead of FIN."""
        linger = struct.pack("ii", 1, 0)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.close()


def hello(environ, start_response):
    start_response("200 OK", PLAIN[:])
    return [environ["PATH_INFO"].encode("latin-1")]


def echo(environ, start_response):
    pieces = list(iter(lambda: environ["wsgi.input"].read(PIECE), b""))
    start_response("200 OK", PLAIN[:])
    return pieces


def get(path, *fields):
    lines = [b"GET %b HTTP/1.1" % path, b"Host: example.com", *fields]
    return b"\r\n".join([*lines, b"", b""])


def post(body=b"", *fields, length=None):
    length = len(body) if length is None else length
    fields = (*fields, b"Content-Length: %d" % length)
    return get(b"/here", *fields).replace(b"GET", b"POST", 1) + body


class Gate:
    """An application that answers when it is told to."""

    def __init__(self):
        self.entered, self.opened = threading.Semaphore(0), threading.Event()

    def __call__(self, environ, start_response):
        self.entered.release()
        if environ["PATH_INFO"] != "/free":
            assert self.opened.wait(PATIENCE)
        return hello(environ, start_response)

    def wait(self):
        assert self.entered.acquire(timeout=PATIENCE)


# One connection, many requests.


def test_a_connection_serves_one_request_after_the_other():
    with Serving(hello) as serving:
        client = serving.client()
        for path in b"/one", b"/two", b"/three":
            client.send(get(path))
            found = client.answer()
            assert (found.status, found.body) == (200, path)
            assert "connection" not in found.fields
        assert len(serving.server.conversations) == 1


def test_http_client_asks_21_times_on_one_connection():
    with Serving(echo) as serving:
        client = http.client.HTTPConnection(*serving.address, PATIENCE)
        client.connect()
        client.auto_open = 0
        for number in range(21):
            body = b"x" * (number * 10_000)
            client.request("POST", "/", body)
            assert client.getresponse().read() == body
        client.close()


def test_pipelined_requests_are_answered_in_order():
    with Serving(hello) as serving:
        client = serving.client(b"".join(get(b"/%d" % n) for n in range(50)))
        for n in range(50):
            assert client.answer().body == b"/%d" % n


def test_a_request_that_comes_byte_by_byte():
    with Serving(echo) as serving:
        client = serving.client()
        for byte in post(b"hello"):
            client.send(bytes([byte]))
        assert client.answer().body == b"hello"


@pytest.mark.parametrize(
    "request_of", [get(b"/", b"Connection: close"), b"GET / HTTP/1.0\r\n\r\n"]
)
def test_a_client_that_wants_one_answer_only(request_of):
    with Serving(hello) as serving:
        client = serving.client(request_of)
        assert client.answer().fields["connection"] == "close"
        assert client.rest() == b""


def test_the_environ_knows_both_ends():
    seen = []

    def app(environ, start_response):
        seen.append(environ)
        return hello(environ, start_response)

    with Serving(app, root_path="/api/") as serving:
        client = serving.client(get(b"/api/x"))
        assert client.answer().body == b"/x"
        host, port = client.socket.getsockname()
    (environ,) = seen
    assert environ["SCRIPT_NAME"] == "/api"
    assert environ["SERVER_NAME"] == serving.address[0]
    assert environ["SERVER_PORT"] == str(serving.address[1])
    assert (environ["REMOTE_ADDR"], environ["REMOTE_PORT"]) == (
        *(host, str(port)),
    )


def test_a_unix_socket(tmp_path, logged):
    sock = listen.listen_unix(str(tmp_path / "sock"))
    with Serving(hello, sock) as serving:
        assert serving.ask().body == b"/here"
    assert accesses(logged)[0].startswith("unix socket  GET /here  200 OK")


def test_one_requests_context_variables_are_not_the_nexts():
    note = ContextVar("note", default=b"unset")

    def app(environ, start_response):
        found = note.get()
        note.set(b"set")
        start_response("200 OK", PLAIN[:])
        return [found]

    with Serving(app) as serving:
        client = serving.client(2 * GET)
        assert client.answer().body == client.answer().body == b"unset"


def test_small_pieces_are_not_held_back():
    with Serving(hello) as serving:
        serving.client()
        (one,) = until(lambda: list(serving.server.conversations))
        option = socket.IPPROTO_TCP, socket.TCP_NODELAY
        assert one.sock.getsockopt(*option)


# Bodies.


@pytest.mark.parametrize("size", [0, 1, PIECE, 3 * MIB])
def test_a_body_of_any_length(size):
    data = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    with Serving(echo) as serving:
        assert serving.ask(post(data)).body == data


def test_a_chunked_body():
    chunked = get(b"/", b"Transfer-Encoding: chunked").replace(b"GET", b"PUT")
    body = b"3\r\none\r\n3;x=y\r\ntwo\r\n0\r\nTrailer: x\r\n\r\n"
    with Serving(echo) as serving:
        client = serving.client(chunked + body + GET)
        assert client.answer().body == b"onetwo"
        assert client.answer().status == 200


def test_100_continue_comes_when_the_application_reads():
    entered, go_on = threading.Event(), threading.Event()

    def app(environ, start_response):
        entered.set()
        assert go_on.wait(PATIENCE)
        return echo(environ, start_response)

    with Serving(app) as serving:
        client = serving.client(post(b"", b"Expect: 100-continue", length=5))
        assert entered.wait(PATIENCE)
        client.socket.setblocking(False)
        with pytest.raises(BlockingIOError):
            client.socket.recv(1)
        client.socket.settimeout(PATIENCE)
        go_on.set()
        assert client.head().status == 100
        client.send(b"hello")
        assert client.answer().body == b"hello"


def test_a_client_that_was_not_told_to_continue_is_not_waited_for():
    with Serving(hello) as serving:
        client = serving.client(post(b"", b"Expect: 100-continue", length=5))
        found = client.answer()
        assert (found.status, found.fields["connection"]) == (200, "close")
        assert client.rest() == b""


def test_what_the_application_did_not_read_is_not_the_next_request():
    with Serving(hello) as serving:
        client = serving.client(post(b"x" * (DRAIN // 2)) + GET)
        assert client.answer().body == client.answer().body == b"/here"


def test_a_large_body_that_nobody_reads_is_not_read():
    """The answer arrives nevertheless, although the client still sends."""
    with Serving(hello) as serving:
        client = serving.client(post(b"", length=10 * MIB))
        with suppress(ConnectionError):
            client.send(b"x" * (DRAIN + MIB))
        assert client.answer().body == b"/here"
        assert client.rest() == b""


def test_a_refused_upload_is_not_answered_by_a_reset():
    """The client may send all of it before it reads the answer."""
    with Serving(hello) as serving:
        client = serving.client(post(b"", length=MIB))
        client.send(bytes(MIB))
        assert client.answer().body == b"/here"
        assert client.file.read() == b""  # a reset would raise


def test_a_malformed_body_is_a_bad_request(logged):
    chunked = get(b"/", b"Transfer-Encoding: chunked") + b"wrong\r\n"
    with Serving(echo) as serving:
        client = serving.client(chunked)
        found = client.answer()
        assert (found.status, found.fields["connection"]) == (400, "close")
        assert b"chunk size" in found.body
        assert client.rest() == b""
    assert not errors(logged)


def test_an_application_that_goes_on_after_a_malformed_body_is_not_heard():
    said = []

    def app(environ, start_response):
        try:
            environ["wsgi.input"].read(1)
        except OSError as error:
            said.append(str(error))
        return hello(environ, start_response)

    chunked = get(b"/", b"Transfer-Encoding: chunked") + b"wrong\r\n"
    with Serving(app) as serving:
        client = serving.client(chunked)
        assert client.answer().status == 400
        assert client.rest() == b""
    assert said == ["the chunk size is malformed"]


def test_a_client_that_leaves_inside_its_body(logged):
    ended = threading.Event()

    def app(environ, start_response):
        try:
            return echo(environ, start_response)
        finally:
            ended.set()

    with Serving(app) as serving:
        serving.client(post(b"x", length=9)).close()
        assert ended.wait(PATIENCE)
        until(lambda: not serving.server.conversations)
    assert not errors(logged)


# Answers.


def test_a_block_arrives_before_the_next_is_made():
    go_on = threading.Event()

    def app(environ, start_response):
        start_response("200 OK", PLAIN[:])
        yield b"first"
        assert go_on.wait(PATIENCE)
        yield b"second"

    with Serving(app) as serving:
        client = serving.client(GET)
        client.head()
        assert client.chunk() == b"first"
        go_on.set()
        assert client.chunk() == b"second"
        assert client.chunk() == b""


def test_date_and_server_are_added_unless_they_are_there():
    def app(environ, start_response):
        headers = [("Date", "today"), ("Server", "mine")]
        full = environ["PATH_INFO"] == "/mine"
        start_response("200 OK", PLAIN + (headers if full else []))
        return []

    with Serving(app) as serving:
        found = serving.ask().fields
        date = r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT"
        assert re.fullmatch(date, found["date"])
        assert found["server"] == "asgi_ref"
        found = serving.ask(get(b"/mine")).fields
        assert (found["date"], found["server"]) == ("today", "mine")


def test_what_the_server_adds_can_be_chosen():
    chosen = {"date_header": False, "server_header": False}
    with Serving(hello, headers=((b"X-One", b"1"),), **chosen) as serving:
        found = serving.ask().fields
        assert found["x-one"] == "1"
        assert not {"date", "server"} & set(found)


def test_head():
    with Serving(hello) as serving:
        client = serving.client(GET.replace(b"GET", b"HEAD", 1) + GET)
        assert client.head().status == 200
        assert client.answer().body == b"/here"


def test_a_slow_client_gets_everything():
    data = bytes(8 * MIB)

    def app(environ, start_response):
        start_response("200 OK", PLAIN[:])
        return [data]

    with Serving(app) as serving:
        client = serving.client(GET)
        (one,) = until(lambda: list(serving.server.conversations))
        until(lambda: one._how == socket.SHUT_RDWR)
        assert client.answer().body == data


def test_a_half_closed_client_is_answered():
    gate = Gate()
    with Serving(gate) as serving:
        client = serving.client(GET)
        gate.wait()
        client.half_close()
        gate.opened.set()
        assert client.answer().body == b"/here"
        assert client.rest() == b""


def test_a_client_that_left_ends_the_iteration(logged):
    closed = threading.Event()

    class Blocks:
        def __iter__(self):
            return self

        def __next__(self):
            return bytes(PIECE)

        def close(self):
            closed.set()

    def app(environ, start_response):
        start_response("200 OK", PLAIN[:])
        return Blocks()

    with Serving(app) as serving:
        client = serving.client(GET)
        client.head()
        client.reset()
        assert closed.wait(PATIENCE)
        until(lambda: not serving.server.conversations)
    assert not errors(logged)


# The application's mistakes.


@pytest.mark.parametrize("error", [RuntimeError("db is down"), SystemExit(3)])
def test_an_error_before_the_start_is_a_500(logged, error):
    def app(environ, start_response):
        raise error

    with Serving(app) as serving:
        client = serving.client(GET)
        found = client.answer()
        assert (found.status, found.body) == (500, b"Internal Server Error")
        assert found.fields["connection"] == "close"
        assert client.rest() == b""
        assert serving.ask().status == 500
    assert str(error) in errors(logged)[0]
    assert "Traceback" in logged.text


@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
def test_an_error_after_the_start_cuts_the_connection(logged, version):
    go_on = threading.Event()

    def app(environ, start_response):
        start_response("200 OK", PLAIN[:])
        yield b"first"
        assert go_on.wait(PATIENCE)
        raise RuntimeError("too late")

    with Serving(app) as serving:
        client = serving.client(GET.replace(b"1.1", version))
        client.head()
        go_on.set()
        client.chunk() if version == b"1.1" else client.file.read(5)
        with pytest.raises(ConnectionResetError):
            client.file.read(1)
    assert "RuntimeError: too late" in errors(logged)[0]


def test_an_error_in_close_does_not_hurt_the_answer(logged):
    class Blocks(list):
        def close(self):
            raise RuntimeError("in close")

    def app(environ, start_response):
        start_response("200 OK", PLAIN[:])
        return Blocks([b"body"])

    with Serving(app, watched=False) as serving:
        client = serving.client(2 * GET)
        assert client.answer().body == client.answer().body == b"body"
    assert "RuntimeError: in close" in errors(logged)[0]


@pytest.mark.parametrize(
    ("app", "says"),
    [
        (lambda environ, start: [], "did not call start_response"),
        (lambda environ, start: start("200 OK", []) and None, "NoneType"),
        (lambda environ, start: start("200 OK", []) and ["x"], "be bytes"),
        (lambda environ, start: start("OK", []), "status must be like"),
    ],
)
def test_a_broken_contract_is_a_500_that_says_which(logged, app, says):
    with Serving(app, watched=False) as serving:
        assert serving.ask().status == 500
    assert says in errors(logged)[0]


def test_too_short_a_body_is_not_taken_for_all_of_it(logged):
    def app(environ, start_response):
        start_response("200 OK", [*PLAIN, ("Content-Length", "9")])
        return [b"short"]

    with Serving(app) as serving:
        client = serving.client(GET)
        client.head()
        assert client.rest() in (b"short", b"")
    assert "less body than content-length said" in errors(logged)[0]


# The client's mistakes.


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\n\r\n", 505),
        (b"GET /" + b"x" * 2000, 414),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 2000, 431),
        (b"\x16\x03\x01", 400),
    ],
)
def test_a_bad_request_is_answered_and_the_connection_ends(
    data, status, logged
):
    with Serving(hello, limit_head=1000) as serving:
        client = serving.client(data)
        assert client.answer().status == status
        assert client.rest() == b""
    (line,) = [r for r in logged.records if r.levelname == "WARNING"]
    assert f"  {status}, " in line.getMessage()


# Threads.


def test_as_many_requests_as_threads_at_the_same_time():
    gate = Gate()
    with Serving(gate, threads=3) as serving:
        clients = [serving.client(GET) for _ in range(3)]
        for _ in clients:
            gate.wait()
        gate.opened.set()
        assert [c.answer().status for c in clients] == 3 * [200]


def test_one_thread_says_that_it_is_alone():
    seen = []

    def app(environ, start_response):
        seen.append(environ["wsgi.multithread"])
        return hello(environ, start_response)

    for threads in 1, 2:
        with Serving(app, threads=threads) as serving:
            serving.ask()
    assert seen == [False, True]


def test_one_process_of_several_says_so():
    seen = []

    def app(environ, start_response):
        seen.append(environ["wsgi.multiprocess"])
        return hello(environ, start_response)

    for several in False, True:
        with Serving(app, multiprocess=several) as serving:
            serving.ask()
    assert seen == [False, True]


def test_when_all_threads_work_a_newcomer_is_refused_politely():
    gate = Gate()
    with Serving(gate, threads=1) as serving:
        first = serving.client(GET)
        gate.wait()
        second = serving.client(GET)
        found = second.answer()
        assert (found.status, found.fields["retry-after"]) == (503, "1")
        assert second.rest() == b""
        gate.opened.set()
        assert first.answer().status == 200


def test_an_idle_connection_gives_way():
    with Serving(hello, threads=1) as serving:
        first = serving.client(GET)
        assert first.answer().status == 200
        until(lambda: serving.idle)
        assert serving.ask().status == 200
        assert first.rest() == b""


def test_of_two_idle_connections_the_one_that_waits_longer_gives_way():
    with Serving(hello, threads=2) as serving:
        first, second = serving.client(), serving.client()
        for client in first, second, first:  # now it waits for less long
            client.send(GET)
            assert client.answer().status == 200
            until(lambda: len(serving.idle) == 2)
        assert serving.ask().status == 200
        assert second.rest() == b""
        first.send(GET)
        assert first.answer().status == 200


def test_a_client_that_has_just_come_is_given_time_to_speak():
    with Serving(hello, threads=1) as serving:
        first = serving.client()
        until(lambda: serving.idle)
        assert serving.ask().status == 503
        first.send(GET)
        assert first.answer().status == 200


def test_threads_are_given_back():
    with Serving(hello, threads=1) as serving:
        for _ in range(5):
            assert serving.ask(get(b"/", b"Connection: close")).status == 200
            until(lambda: not serving.server.conversations)


# Time limits. Time passes when the test says so.


def test_an_idle_connection_ends():
    with Serving(hello, timeout_keep_alive=1000) as serving:
        client = serving.client(GET)
        client.answer()
        until(lambda: serving.idle)
        serving.pass_time(999)
        client.send(GET)
        client.answer()
        until(lambda: serving.idle)
        serving.pass_time(1001)
        assert client.rest() == b""


def test_a_head_that_takes_too_long():
    with Serving(hello, timeout_header=1000) as serving:
        client = serving.client(GET[:9])
        (one,) = until(lambda: list(serving.server.conversations))
        until(lambda: one.connection.begun and one.deadline < 1e300)
        until(lambda: not one.idle)
        serving.pass_time(1001)
        assert client.answer().status == 408
        assert client.rest() == b""


def test_a_body_that_takes_too_long(logged):
    with Serving(echo) as serving:
        client = serving.client(post(b"x", length=2))
        (one,) = until(lambda: list(serving.server.conversations))
        until(lambda: one.connection.request.method == "POST")
        until(lambda: one.deadline > time.monotonic() + STALLED - PATIENCE)
        until(lambda: not one.connection.buffer)
        serving.pass_time(STALLED + 1)
        assert client.answer().status == 408
        assert client.rest() == b""
    assert not errors(logged)


def test_an_application_has_no_time_limit():
    gate = Gate()
    with Serving(gate) as serving:
        client = serving.client(GET)
        gate.wait()
        serving.pass_time(1e6)
        gate.opened.set()
        assert client.answer().status == 200


def test_a_client_that_reads_nothing_is_not_waited_for(logged):
    def app(environ, start_response):
        start_response("200 OK", PLAIN[:])
        while True:
            yield bytes(MIB)

    with Serving(app) as serving:
        client = serving.client(GET)
        (one,) = until(lambda: list(serving.server.conversations))
        sent = -1
        while sent != one._sent or not sent:  # until it makes no progress
            sent = one._sent
            threading.Event().wait(0.05)
        serving.pass_time(STALLED + 1)
        until(lambda: not serving.server.conversations)
        client.rest()
    assert not errors(logged)


def test_without_time_limits_nothing_is_swept():
    limits = {"timeout_keep_alive": 0, "timeouts": False}
    with Serving(hello, **limits) as serving:
        client = serving.client(GET)
        client.answer()
        until(lambda: serving.idle)
        serving.ask()  # the thread that accepts came round
        client.send(GET)
        assert client.answer().status == 200


def test_the_sweeper_runs_by_itself():
    with Serving(hello, timeout_keep_alive=0) as serving:
        assert serving.client().rest() == b""


# The end.


def test_an_idle_connection_does_not_hold_the_end():
    limits = {"timeout_keep_alive": 1e6, "timeout_graceful_shutdown": 1e6}
    with Serving(hello, **limits) as serving:
        clients = [serving.client(GET), serving.client()]
        clients[0].answer()
        until(lambda: len(serving.idle) == 2)
        serving.server.stop()
        serving.ended()
        assert [client.rest() for client in clients] == [b"", b""]


def test_a_request_in_flight_is_finished(logged):
    gate = Gate()
    with Serving(gate, timeout_graceful_shutdown=1e6) as serving:
        client = serving.client(GET)
        gate.wait()
        serving.server.stop()
        until(lambda: "stopping" in logged.text)
        gate.opened.set()
        found = client.answer()
        assert (found.body, found.fields["connection"]) == (b"/here", "close")
        serving.ended()
    assert "waiting up to 1e+06 s for GET /here" in logged.text


def test_nobody_is_accepted_after_the_stop():
    gate = Gate()
    with Serving(gate, timeout_graceful_shutdown=1e6) as serving:
        serving.client(GET)
        gate.wait()
        serving.server.stop()

        def refused():
            with socket.socket() as probe:
                code = probe.connect_ex(serving.address)
                return code == errno.ECONNREFUSED

        until(refused)
        gate.opened.set()


@pytest.mark.parametrize(("seconds", "stops"), [(0.05, 1), (1e6, 2)])
def test_the_wait_is_bounded_and_a_second_stop_forces(seconds, stops):
    gate = Gate()
    with Serving(gate, timeout_graceful_shutdown=seconds) as serving:
        client = serving.client(GET)
        gate.wait()
        for _ in range(stops):
            serving.server.stop()
        serving.ended()
        assert client.rest() == b""
        gate.opened.set()


def test_stop_before_the_start_and_after_the_end():
    serving = Serving(hello)
    serving.server.stop()
    serving.thread.start()
    serving.ended()
    serving.server.stop()


# The access log.


def test_the_access_log(logged):
    with Serving(hello) as serving:
        client = serving.client(get(b"/a%20b?c=d"))
        client.answer()
        host, port = client.socket.getsockname()
        (line,) = until(lambda: accesses(logged))
    assert line.startswith(f"{host}:{port}  GET /a%20b?c=d  200 OK  4 B  ")
    assert re.search(r"  \d+\.\d ms$", line)


def test_the_access_log_can_be_turned_off(logged):
    with Serving(hello, access_log=False) as serving:
        serving.ask()
    assert not accesses(logged)


def test_who_is_there_in_the_logs_words():
    assert peer(("127.0.0.1", 1)) == "127.0.0.1:1"
    assert peer(("::1", 1)) == "[::1]:1"
    assert peer(None) == "unix socket"


def test_a_body_that_stalls_does_not_hold_a_thread():
    """The application has not read it, and has answered."""
    with Serving(hello, timeout_header=50) as serving:
        client = serving.client(
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nx"
        )
        assert client.answer().status == 200
        (one,) = serving.server.conversations
        # Not the time for the answer, which is longer.
        until(lambda: one.deadline < time.monotonic() + 51)
        one.expire()
        assert client.rest() == b""


def test_a_system_without_another_thread(monkeypatch, logged):
    def start(thread):
        raise RuntimeError("can't start new thread")

    with Serving(hello) as serving:
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", start)
            assert serving.ask().status == 503
        assert serving.ask().status == 200
    assert "can't start new thread" in logged.text
