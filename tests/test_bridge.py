"""Both bridges: WSGI on the ASGI server, ASGI on the WSGI server."""

import asyncio
import functools
import http.client
import io
import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from wsgiref.validate import validator

import pytest

import asgi_ref
from asgi_ref import demo, listen
from asgi_ref.bridge import (
    BLOCK,
    AsgiFromWsgi,
    WsgiFromAsgi,
    environ_of,
    scope_of,
)
from asgi_ref.contract import ContractError
from asgi_ref.request import Request
from asgi_ref.scope import about_connection, http_scope
from asgi_ref.threads import Server

PATIENCE = 20  # seconds before something that never comes is an error
MIB = 1024 * 1024
PLAIN = [("Content-Type", "text/plain")]
TYPE = (b"content-type", b"text/plain")
START = {"type": "http.response.start", "status": 200, "headers": [TYPE]}
BODY = {"type": "http.response.body", "body": b"hello"}


def on_a_loop(test):
    """Run a coroutine function as a plain, bounded test."""

    @functools.wraps(test)
    def run(*arguments, **named):
        asyncio.run(asyncio.wait_for(test(*arguments, **named), PATIENCE))

    return run


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


class Client(http.client.HTTPConnection):
    """One connection, and no second if that is closed."""

    def __init__(self, host, port):
        super().__init__(host, port, PATIENCE)
        self.connect()
        self.auto_open = 0

    def ask(self, method="GET", path="/here", body=None, **how):
        self.request(method, path, body, **how)
        answer = self.getresponse()
        answer.body = answer.read()
        return answer


# WSGI on the ASGI server.


@asynccontextmanager
async def bridged(app, threads=40, watched=True):
    """Serve a WSGI application; yields a way to call from a thread."""
    app = AsgiFromWsgi(validator(app) if watched else app, threads)
    async with asgi_ref.running(app) as url:
        host, port = url.removeprefix("http://").split(":")
        pool = ThreadPoolExecutor()

        def in_thread(function, *arguments):
            """Call a function with a client of its own."""
            loop = asyncio.get_running_loop()

            def call():
                client = Client(host, int(port))
                try:
                    return function(client, *arguments)
                finally:
                    client.close()

            return loop.run_in_executor(pool, call)

        yield in_thread
        pool.shutdown()


def hello(environ, start_response):
    start_response("200 OK", PLAIN[:])
    return [environ["PATH_INFO"].encode("latin-1")]


def echo(environ, start_response):
    pieces = list(iter(lambda: environ["wsgi.input"].read(BLOCK), b""))
    start_response("200 OK", PLAIN[:])
    return pieces


@on_a_loop
async def test_21_requests_in_a_row_also_after_large_bodies():
    def ask(client):
        for number in range(21):
            body = b"x" * (number % 3) * MIB
            assert client.ask("POST", "/", body).body == body

    async with bridged(echo) as in_thread:
        await in_thread(ask)


@on_a_loop
async def test_a_chunked_upload():
    def ask(client):
        pieces = iter([b"one", b"two"])
        return client.ask("POST", "/", pieces, encode_chunked=True).body

    async with bridged(echo) as in_thread:
        assert await in_thread(ask) == b"onetwo"


@on_a_loop
async def test_what_is_whole_has_a_length_and_head_has_no_body():
    def ask(client):
        return client.ask(), client.ask("HEAD")

    async with bridged(hello, watched=False) as in_thread:
        whole, head = await in_thread(ask)
    assert whole.getheader("content-length") == "5"
    assert (whole.body, head.body) == (b"/here", b"")


@on_a_loop
async def test_header_names_cross_in_lower_case():
    """Middleware looks for b"content-encoding", and for no other writing."""
    sent = []

    async def send(message):
        sent.append(message)

    def app(environ, start_response):
        start_response("200 OK", [("Content-Encoding", "br"), ("ETag", "A")])
        return [b"x"]

    bridge = AsgiFromWsgi(app)
    await bridge(scope_like(), asyncio.Queue().get, send)
    found = sent[0]["headers"]
    assert found[:2] == [(b"content-encoding", b"br"), (b"etag", b"A")]


@on_a_loop
async def test_a_block_arrives_before_the_next_is_made():
    go_on = threading.Event()

    def app(environ, start_response):
        start_response("200 OK", PLAIN[:])
        yield b"first"
        assert go_on.wait(PATIENCE)
        yield b"second"

    def ask(client):
        client.request("GET", "/")
        answer = client.getresponse()
        first = answer.read(5)
        go_on.set()
        return first, answer.read()

    async with bridged(app) as in_thread:
        assert await in_thread(ask) == (b"first", b"second")


@on_a_loop
async def test_the_body_is_read_as_the_application_asks():
    read, go_on = threading.Event(), threading.Event()

    def app(environ, start_response):
        first = environ["wsgi.input"].read(5)
        read.set()
        start_response("200 OK", PLAIN[:])
        return [first, environ["wsgi.input"].read(6)]

    def ask(client):
        client.putrequest("POST", "/")
        client.putheader("Content-Length", "11")
        client.endheaders(b"first")
        assert read.wait(PATIENCE)
        client.send(b"second")
        return client.getresponse().read()

    async with bridged(app) as in_thread:
        del go_on
        # `read(5)` returns when five bytes are there, not eleven.
        assert await in_thread(ask) == b"firstsecond"


@on_a_loop
async def test_a_client_that_left_closes_the_iterable(logged):
    closed = threading.Event()

    class Blocks:
        def __iter__(self):
            return self

        def __next__(self):
            return bytes(BLOCK)

        def close(self):
            closed.set()

    def app(environ, start_response):
        start_response("200 OK", PLAIN[:])
        return Blocks()

    def ask(client):
        client.request("GET", "/")
        client.getresponse().read(1)
        client.sock.close()

    async with bridged(app, watched=False) as in_thread:
        await in_thread(ask)
        assert await asyncio.to_thread(closed.wait, PATIENCE)
    assert not errors(logged)


@on_a_loop
async def test_a_client_that_left_inside_its_body(logged):
    said = []

    def app(environ, start_response):
        try:
            environ["wsgi.input"].read(9)
        except ConnectionError as error:
            said.append(str(error))
            raise

    def ask(client):
        client.putrequest("POST", "/")
        client.putheader("Content-Length", "9")
        client.endheaders(b"x")
        client.sock.close()

    async with bridged(app, watched=False) as in_thread:
        await in_thread(ask)
        while not said:
            await asyncio.sleep(0.001)
    assert said == ["the client left inside its body"]
    assert not errors(logged)


@on_a_loop
async def test_the_threads_are_bounded_and_others_wait():
    entered, go_on = threading.Semaphore(0), threading.Event()
    inside, most = [], []

    def app(environ, start_response):
        inside.append(1)
        most.append(len(inside))
        entered.release()
        assert go_on.wait(PATIENCE)
        inside.pop()
        return hello(environ, start_response)

    def enter():
        return [entered.acquire(timeout=PATIENCE) for _ in range(3)]

    async with bridged(app, threads=3) as in_thread:
        asked = [in_thread(Client.ask) for _ in range(5)]
        assert all(await asyncio.to_thread(enter))
        go_on.set()
        answers = await asyncio.gather(*asked)
    assert [answer.status for answer in answers] == 5 * [200]
    assert max(most) == 3


@on_a_loop
async def test_the_loop_is_not_blocked():
    go_on = threading.Event()

    def app(environ, start_response):
        assert go_on.wait(PATIENCE)
        return hello(environ, start_response)

    async with bridged(app) as in_thread:
        asked = in_thread(Client.ask)
        await asyncio.sleep(0)  # this loop serves, and still comes here
        go_on.set()
        assert (await asked).status == 200


@on_a_loop
async def test_context_variables_are_kept_and_end_with_the_request():
    note = ContextVar("note", default="unset")
    threads = set()

    def app(environ, start_response):
        threads.add(threading.current_thread())
        found = note.get()
        note.set("set by WSGI")
        start_response("200 OK", PLAIN[:])
        yield f"{found} {note.get()}".encode()

    inner = AsgiFromWsgi(validator(app), threads=1)

    async def middleware(scope, receive, send):
        note.set("set by ASGI")
        await inner(scope, receive, send)

    def ask(host, port):
        client = Client(host, port)
        found = [client.ask().body for _ in range(3)]
        client.close()
        return found

    async with asgi_ref.running(middleware) as url:
        host, port = url.removeprefix("http://").split(":")
        found = await asyncio.to_thread(ask, host, int(port))
    assert found == 3 * [b"set by ASGI set by WSGI"]
    assert len(threads) == 1


@on_a_loop
async def test_an_error_is_the_servers_to_answer(logged):
    def app(environ, start_response):
        raise RuntimeError("db is down")

    async with bridged(app) as in_thread:
        assert (await in_thread(Client.ask)).status == 500
    assert "RuntimeError: db is down (test_bridge.py:" in errors(logged)[0]


@on_a_loop
async def test_a_forced_end_does_not_wait_for_the_next_block():
    entered, go_on, ended = (threading.Event() for _ in range(3))

    def app(environ, start_response):
        start_response("200 OK", PLAIN[:])
        try:
            yield b"first"
            entered.set()
            go_on.wait(PATIENCE)
            yield b"second"
        finally:
            ended.set()

    bridge = AsgiFromWsgi(app)
    receive, send = asyncio.Queue().get, asyncio.Queue().put
    scope = scope_like()
    task = asyncio.create_task(bridge(scope, receive, send))
    await asyncio.to_thread(entered.wait, PATIENCE)
    task.cancel()
    await asyncio.wait([task])
    go_on.set()
    assert await asyncio.to_thread(ended.wait, PATIENCE)


@on_a_loop
async def test_lifespan_is_agreed_to():
    inbox, outbox = asyncio.Queue(), []

    async def send(message):
        outbox.append(message["type"])

    for phase in "startup", "shutdown":
        inbox.put_nowait({"type": f"lifespan.{phase}"})
    await AsgiFromWsgi(hello)({"type": "lifespan"}, inbox.get, send)
    wanted = ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert outbox == wanted


@on_a_loop
async def test_a_websocket_is_refused_with_a_reason():
    with pytest.raises(ContractError, match="knows no websocket"):
        await AsgiFromWsgi(hello)({"type": "websocket"}, None, None)


# The environ of a scope.


def scope_like(target=b"/a", *headers, method="GET", **told):
    request = Request(method, target, "1.1", [(b"host", b"a"), *headers])
    return http_scope(request, about_connection(**told), {})


def test_the_environ_says_what_the_scope_says():
    scope = scope_like(
        b"/caf%C3%A9?q=1",
        *[(b"cookie", b"a=1"), (b"cookie", b"b=2"), (b"x-y", b"\xe9")],
        **{"client": ("::1", 9), "server": ("::2", 8), "scheme": "https"},
    )
    found = environ_of(scope, lambda: b"")
    assert found["PATH_INFO"].encode("latin-1") == "/café".encode()
    assert found["QUERY_STRING"] == "q=1"
    assert found["HTTP_COOKIE"] == "a=1; b=2"
    assert found["HTTP_X_Y"] == "\xe9"
    assert (found["REMOTE_ADDR"], found["SERVER_NAME"]) == ("::1", "::2")
    assert (found["REMOTE_PORT"], found["SERVER_PORT"]) == ("9", "8")
    assert found["wsgi.url_scheme"] == "https"
    assert found["SERVER_PROTOCOL"] == "HTTP/1.1"


@pytest.mark.parametrize("target", [b"/api/x", b"/x"])
def test_script_name_is_root_path(target):
    found = environ_of(scope_like(target, root_path="/api"), lambda: b"")
    assert (found["SCRIPT_NAME"], found["PATH_INFO"]) == ("/api", "/x")


def test_the_path_counts_not_the_raw_path():
    """Middleware changes the path; few change the raw one, too."""
    scope = {**scope_like(b"/raw"), "path": "/changed"}
    assert environ_of(scope, lambda: b"")["PATH_INFO"] == "/changed"


def test_a_unix_socket_has_no_port():
    found = environ_of(scope_like(server=("/run/sock", None)), lambda: b"")
    assert (found["SERVER_NAME"], found["SERVER_PORT"]) == ("localhost", "80")


def test_only_what_a_scope_must_have_is_needed():
    keys = "type", "http_version", "method", "path", "headers"
    scope = scope_like()
    found = environ_of({key: scope[key] for key in keys}, lambda: b"")
    assert found["QUERY_STRING"] == found["SCRIPT_NAME"] == ""


# ASGI on the WSGI server.


@contextmanager
def reversed_bridge(app, **settings):
    """Serve an ASGI application with threads; yields clients' maker."""
    sock = listen.listen(port=0)
    address = sock.getsockname()
    server = Server(validator(WsgiFromAsgi(app)), **settings)
    thread = threading.Thread(target=server.serve, args=[sock], daemon=True)
    thread.start()
    clients = []

    def client():
        clients.append(Client(*address))
        return clients[-1]

    yield client
    for one in clients:
        one.close()
    server.stop()
    server.stop()
    thread.join(PATIENCE)
    assert not thread.is_alive()


async def read_body(receive):
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message["body"], message["more_body"]
    return body


async def asgi_echo(scope, receive, send):
    body = await read_body(receive)
    await send({**START, "headers": [TYPE, (b"connection", b"close")]})
    await send({**BODY, "body": body})


@pytest.mark.parametrize("size", [0, 5, BLOCK, BLOCK + 1, MIB])
def test_an_asgi_application_reads_and_answers(size):
    with reversed_bridge(asgi_echo) as client:
        one = client()
        for _ in range(3):
            body = b"x" * size
            assert one.ask("POST", "/", body).body == body


def test_an_asgi_application_reads_chunks():
    with reversed_bridge(asgi_echo) as client:
        pieces = iter([b"one", b"two"])
        answer = client().ask("POST", "/", pieces, encode_chunked=True)
        assert answer.body == b"onetwo"


def test_an_asgi_stream_arrives_block_by_block():
    go_on = threading.Event()

    async def app(scope, receive, send):
        await send(START)
        await send({**BODY, "body": b"first", "more_body": True})
        await asyncio.to_thread(go_on.wait, PATIENCE)
        await send({**BODY, "body": b"second"})

    with reversed_bridge(app) as client:
        one = client()
        one.request("GET", "/")
        answer = one.getresponse()
        assert answer.read(5) == b"first"
        go_on.set()
        assert answer.read() == b"second"


def test_an_answer_without_a_body():
    async def app(scope, receive, send):
        await send({**START, "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    with reversed_bridge(app) as client:
        one = client()
        assert [one.ask().status for _ in range(3)] == 3 * [204]


def test_lifespan_is_lost(logged):
    """What the demo keeps in scope["state"] was never made."""
    with reversed_bridge(demo.app) as client:
        assert client().ask("GET", "/").status == 500
    assert errors(logged) == ["KeyError: 'state'"]


@pytest.mark.parametrize(
    ("messages", "says"),
    [
        ([], "the app returned, state: nothing sent"),
        ([START], "the app returned, state: started"),
        ([BODY], "allowed here: http.response.start"),
        ([{**START, "trailers": True}], "http.response.start is lost in WSGI"),
        (
            [START, {"type": "http.response.pathsend", "path": "/x"}],
            "http.response.pathsend is lost in WSGI",
        ),
    ],
)
def test_what_wsgi_cannot_say_is_an_error(logged, messages, says):
    async def app(scope, receive, send):
        for message in messages:
            await send(message)

    with reversed_bridge(app) as client:
        assert client().ask().status == 500
    assert says in errors(logged)[0]


def test_an_asgi_application_that_raises(logged):
    async def app(scope, receive, send):
        raise RuntimeError("db is down")

    with reversed_bridge(app) as client:
        assert client().ask().status == 500
    assert "RuntimeError: db is down" in errors(logged)[0]


@on_a_loop
async def test_stop_iteration_is_an_error_like_others(logged):
    """A future cannot raise it, and who waits would wait for ever."""

    def app(environ, start_response):
        return [next(iter(()))]

    async with bridged(app, watched=False) as in_thread:
        assert (await in_thread(Client.ask)).status == 500
    assert "StopIteration" in errors(logged)[0]


def call(app, environ, blocks=99):
    """Call a bridged application without a server, take some blocks."""
    started = []
    found = []
    result = WsgiFromAsgi(app)(environ, lambda *head: started.append(head))
    for block in result:
        found.append(block)
        if len(found) == blocks:
            break
    result.close()
    return started, found


def environ_like(body=b"", **variables):
    scope = scope_like(b"/x")
    environ = environ_of(scope, iter([body, b""]).__next__)
    return {**environ, **variables}


def test_a_response_that_is_not_wanted_any_more_is_cancelled():
    cancelled = []

    async def app(scope, receive, send):
        await send(START)
        try:
            while True:
                await send({**BODY, "more_body": True})
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    _, blocks = call(app, environ_like(), 2)
    assert (blocks, cancelled) == ([b"hello", b"hello"], [True])


def test_send_returns_when_the_block_was_sent():
    events = []

    async def app(scope, receive, send):
        await send(START)
        for _ in range(2):
            await send({**BODY, "more_body": True})
            events.append("returned")
        await send({"type": "http.response.body"})

    for block in WsgiFromAsgi(app)(environ_like(), lambda *head: None):
        events.append(block)
    assert events == [b"hello", "returned", b"hello", "returned"]


def test_an_input_that_does_not_end_is_not_read_too_far():
    """wsgiref's server gives the socket itself: a read would block."""
    seen = []

    async def app(scope, receive, send):
        seen.append(await read_body(receive))
        await send(START)
        await send(BODY)

    for length, wanted in ("4", b"mine"), ("", b""):
        body = io.BytesIO(b"mine, not yours")
        environ = environ_like(CONTENT_LENGTH=length)
        environ |= {"wsgi.input": body, "wsgi.input_terminated": False}
        call(app, environ)
        assert seen.pop() == wanted


def test_what_comes_after_the_end_is_ignored():
    async def app(scope, receive, send):
        for message in START, BODY, BODY:
            await send(message)

    assert call(app, environ_like())[1] == [b"hello"]


def test_an_unknown_status_has_a_phrase():
    async def app(scope, receive, send):
        await send({"type": START["type"], "status": 299})
        await send(BODY)

    assert call(app, environ_like())[0] == [("299 Unknown", [])]


def test_there_and_back_again():
    """WSGI in ASGI in WSGI, on a WSGI server."""
    with reversed_bridge(AsgiFromWsgi(validator(hello))) as client:
        assert client().ask("GET", "/there").body == b"/there"


@pytest.mark.parametrize("root_path", ["", "/api", "/ré"])
def test_the_scope_says_what_the_environ_says(root_path):
    headers = (b"x-y", b"\xe9"), (b"content-type", b"a/b"), (b"host", b"a")
    before = scope_like(
        b"/caf%C3%A9%20?q=1",
        *headers[:2],
        **{"client": ("::1", 9), "server": ("::2", 8), "scheme": "https"},
        root_path=root_path,
    )
    after = scope_of(environ_of(before, lambda: b""))
    assert sorted(after.pop("headers")) == sorted(before.pop("headers"))
    same = "type asgi http_version method path query_string root_path client"
    for key in f"{same} server scheme".split():
        assert after[key] == before[key], key


def test_time_passes_while_the_application_waits():
    """Its loop runs: another task of the same request goes on."""

    async def app(scope, receive, send):
        done = asyncio.create_task(asyncio.sleep(0, b"from a task"))
        await send(START)
        await send({**BODY, "body": await done})

    began = time.monotonic()
    assert call(app, environ_like())[1] == [b"from a task"]
    assert time.monotonic() - began < PATIENCE
