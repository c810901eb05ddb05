"""The server: connections, time limits, and an end in good order."""

import asyncio
import contextvars
import functools
import gc
import logging
import os
import socket
import struct
import subprocess
import sys
import time
from contextlib import suppress

import pytest

from asgi_ref import listen
from asgi_ref.__main__ import as_asgi3
from asgi_ref.lifespan import StartupFailed
from asgi_ref.server import Conversation, Server, Settings, debugged
from asgi_ref.transport import MemoryTransport, StreamTransport, sweep

PATIENCE = 20  # seconds before something that never comes is an error
MIB = 1024 * 1024

GET = b"GET /here HTTP/1.1\r\nHost: example.com\r\n\r\n"
START = {"type": "http.response.start", "status": 200}
BODY = {"type": "http.response.body", "body": b"hello"}
MORE = {**BODY, "more_body": True}
EMPTY = {"type": "http.response.body"}


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


def accesses(logged):
    name = "asgi_ref.access"
    return [r.getMessage() for r in logged.records if r.name == name]


async def until(condition):
    """Wait for something that comes, but not when we say; see PATIENCE."""
    while not condition():
        await asyncio.sleep(0.001)


class Serving:
    """A server that runs in this loop, and its clients."""

    def __init__(self, app, upgrades=None, sock=None, parts=(), **settings):
        self.sock = sock or listen.listen(port=0)
        self.address = self.sock.getsockname()
        self.server = Server(app, Settings(**settings), upgrades, *parts)
        self.task = asyncio.create_task(self.server.serve(self.sock))
        self.clients = []

    async def __aenter__(self):
        ready = asyncio.create_task(self.server.ready.wait())
        await asyncio.wait({ready, self.task}, return_when="FIRST_COMPLETED")
        return self

    async def __aexit__(self, *error):
        for client in self.clients:
            client.close()
        self.server.stop()
        self.server.stop()
        _, late = await asyncio.wait([self.task], timeout=5)
        for task in late:
            task.cancel()
        self.sock.close()

    async def client(self):
        if isinstance(self.address, str):
            streams = await asyncio.open_unix_connection(self.address)
        else:
            streams = await asyncio.open_connection(*self.address)
        self.clients.append(Client(*streams))
        return self.clients[-1]

    async def ask(self, request=GET):
        """Send one request on a connection of its own, read to the end."""
        client = await self.client()
        client.send(request)
        answer = await client.answer()
        client.close()
        return answer

    def pass_time(self, seconds):
        """Do what the sweeper would do that much later."""
        transports = [c.transport for c in self.server.conversations]
        sweep(transports, time.monotonic() + seconds)


class Answer:
    def __init__(self, status, fields, body=b""):
        self.status, self.fields, self.body = status, fields, body


class Client:
    """The other end of a connection: bytes out, answers in."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer
        self.socket = writer.get_extra_info("socket")

    def send(self, data):
        self.writer.write(data)

    async def head(self):
        data = await self.reader.readuntil(b"\r\n\r\n")
        line, *lines = data.decode().split("\r\n")[:-2]
        fields = dict(text.split(": ", 1) for text in lines)
        return Answer(int(line.split(" ")[1]), fields)

    async def answer(self):
        answer = await self.head()
        if "content-length" in answer.fields:
            length = int(answer.fields["content-length"])
            answer.body = await self.reader.readexactly(length)
        elif answer.fields.get("transfer-encoding") == "chunked":
            while piece := await self.chunk():
                answer.body += piece
        elif answer.status == 200:
            answer.body = await self.rest()
        return answer

    async def chunk(self):
        size = int(await self.reader.readuntil(b"\r\n"), 16)
        return (await self.reader.readexactly(size + 2))[:-2]

    async def rest(self):
        """Everything up to the end, be it FIN or RST."""
        data = bytearray()
        with suppress(ConnectionError):
            while piece := await self.reader.read(MIB):
                data += piece
        return bytes(data)

    def half_close(self):
        self.writer.write_eof()

    def close(self):
        self.writer.close()

    def reset(self):
        """Leave with RST instead of FIN."""
        linger = struct.pack("ii", 1, 0)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.writer.transport.abort()

    def pause(self):
        """Read no more."""
        self.writer.transport.pause_reading()

    def resume(self):
        self.writer.transport.resume_reading()


async def answer(send, body=b"hello", headers=(), status=200):
    await send({**START, "status": status, "headers": headers})
    await send({**BODY, "body": body})


async def hello(scope, receive, send):
    """The plainest of applications; knows nothing of lifespan."""
    assert scope["type"] == "http"
    await answer(send, scope["path"].encode())


async def read_body(receive):
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message["body"]
        more = message["more_body"]
    return body


async def echo(scope, receive, send):
    await answer(send, await read_body(receive) or b"")


def get(path, *fields):
    lines = [b"GET %b HTTP/1.1" % path, b"Host: example.com", *fields]
    return b"\r\n".join([*lines, b"", b""])


def post(body=b"", *fields, length=None):
    length = len(body) if length is None else length
    fields = (*fields, b"Content-Length: %d" % length)
    return get(b"/here", *fields).replace(b"GET", b"POST", 1) + body


# One connection, many requests.


@on_a_loop
async def test_a_connection_serves_one_request_after_the_other():
    async with Serving(hello) as serving:
        client = await serving.client()
        for path in b"/one", b"/two", b"/three":
            client.send(get(path))
            found = await client.answer()
            assert (found.status, found.body) == (200, path)
            assert "connection" not in found.fields
        assert len(serving.server.conversations) == 1


@on_a_loop
async def test_pipelined_requests_are_answered_in_order():
    async def app(scope, receive, send):
        if scope["path"] == "/0":
            await asyncio.sleep(0.01)
        await answer(send, scope["path"].encode())

    async with Serving(app) as serving:
        client = await serving.client()
        client.send(b"".join(get(b"/%d" % n) for n in range(50)))
        for n in range(50):
            assert (await client.answer()).body == b"/%d" % n


@on_a_loop
async def test_a_request_that_comes_byte_by_byte():
    async with Serving(echo) as serving:
        client = await serving.client()
        for byte in post(b"hello"):
            client.send(bytes([byte]))
            await asyncio.sleep(0)
        assert (await client.answer()).body == b"hello"


@on_a_loop
async def test_the_scope_knows_both_ends():
    scopes = []

    async def app(scope, receive, send):
        scopes.append(scope)
        await answer(send)

    async with Serving(app, lifespan="off", root_path="/api") as serving:
        client = await serving.client()
        client.send(GET)
        await client.answer()
        (scope,) = scopes
        assert tuple(scope["client"]) == client.socket.getsockname()
        assert tuple(scope["server"]) == serving.address
        assert scope["root_path"] == "/api"
        assert scope["path"] == "/api/here"


@on_a_loop
async def test_a_unix_socket(tmp_path):
    scopes = []

    async def app(scope, receive, send):
        scopes.append(scope)
        await answer(send)

    path = str(tmp_path / "s")
    sock = listen.listen_unix(path)
    async with Serving(app, sock=sock, lifespan="off") as serving:
        assert (await serving.ask()).body == b"hello"
    assert scopes[0]["client"] is None
    assert list(scopes[0]["server"]) == [path, None]


@on_a_loop
async def test_http_1_0():
    async def app(scope, receive, send):
        await send(START)
        await send(MORE)
        await send(EMPTY)

    async with Serving(app) as serving:
        client = await serving.client()
        client.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        found = await client.rest()
        assert b"chunked" not in found
        assert found.endswith(b"\r\n\r\nhello")


@on_a_loop
async def test_http_1_0_is_kept_alive_if_asked_for():
    async with Serving(hello) as serving:
        client = await serving.client()
        for _ in range(2):
            client.send(b"GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            found = await client.answer()
            assert found.fields["connection"] == "keep-alive"
        client.send(b"GET /a HTTP/1.0\r\n\r\n")
        assert (await client.answer()).fields["connection"] == "close"
        assert await client.rest() == b""


@pytest.mark.parametrize("who", ["client", "application"])
@on_a_loop
async def test_connection_close(who):
    async def app(scope, receive, send):
        headers = [(b"connection", b"close")] if who == "application" else []
        await answer(send, headers=headers)

    field = b"Connection: close" if who == "client" else b"X: y"
    async with Serving(app) as serving:
        client = await serving.client()
        client.send(get(b"/", field))
        assert (await client.answer()).fields["connection"] == "close"
        assert await client.rest() == b""


@on_a_loop
async def test_the_backlog_of_the_socket_is_kept():
    """Many may knock at once; asyncio would let 100 in and drop the rest."""
    async with Serving(hello) as serving:
        clients = []
        for _ in range(120):  # meanwhile the loop cannot accept
            clients.append(socket.create_connection(serving.address, 0.5))
        for client in clients:
            client.close()


# Fields of the server's own.


@on_a_loop
async def test_date_and_server_are_added():
    async with Serving(hello, headers=((b"x-mine", b"1"),)) as serving:
        fields = (await serving.ask()).fields
        assert fields["server"] == "asgi_ref"
        assert fields["date"].endswith(" GMT")
        assert fields["x-mine"] == "1"


@on_a_loop
async def test_date_and_server_can_be_left_out():
    settings = {"date_header": False, "server_header": False}
    async with Serving(hello, **settings) as serving:
        assert set((await serving.ask()).fields) == {"content-length"}


@on_a_loop
async def test_the_applications_own_date_and_server_win():
    async def app(scope, receive, send):
        headers = [(b"Date", b"today"), (b"Server", b"me")]
        await answer(send, headers=headers)

    async with Serving(app) as serving:
        client = await serving.client()
        client.send(get(b"/", b"Connection: close"))
        head = (await client.rest()).lower()
        assert head.count(b"date: ") == head.count(b"server: ") == 1
        assert b"server: me\r\n" in head


@on_a_loop
async def test_one_response_with_its_own_date_does_not_change_others():
    async def app(scope, receive, send):
        own = [(b"date", b"today")] if scope["path"] == "/own" else []
        await answer(send, headers=own)

    async with Serving(app) as serving:
        client = await serving.client()
        for path in b"/own", b"/other", b"/own", b"/other":
            client.send(get(path))
            fields = (await client.answer()).fields
            assert fields["server"] == "asgi_ref"
            assert (fields["date"] == "today") == (path == b"/own")


# A client that pipelines while the application waits.


async def long_poll(scope, receive, send):
    """Answer after 10 turns of the loop; listen for the client meanwhile."""
    await receive()
    listening = asyncio.create_task(receive())
    for _ in range(10):
        await asyncio.sleep(0.001)
    listening.cancel()
    await answer(send, scope["path"].encode())


@on_a_loop
async def test_a_request_that_was_pipelined_early_is_answered():
    async with Serving(long_poll) as serving:
        client = await serving.client()
        client.send(get(b"/one") + get(b"/two") + get(b"/three"))
        for path in b"/one", b"/two", b"/three":
            assert (await client.answer()).body == path


@on_a_loop
async def test_a_request_that_was_pipelined_late_is_answered():
    waiting = asyncio.Event()
    told = []

    async def app(scope, receive, send):
        await receive()
        if scope["path"] == "/one":
            listening = asyncio.create_task(receive())
            waiting.set()
            connection = next(iter(serving.server.conversations)).connection
            await until(lambda: connection.buffer)
            assert not listening.done()
            await answer(send, b"/one")
            told.append(await listening)
        else:
            await answer(send, scope["path"].encode())

    async with Serving(app, lifespan="off") as serving:
        client = await serving.client()
        client.send(get(b"/one"))
        await waiting.wait()
        client.send(get(b"/two"))
        assert (await client.answer()).body == b"/one"
        assert (await client.answer()).body == b"/two"
        assert told == [{"type": "http.disconnect"}]


@on_a_loop
async def test_much_that_was_pipelined_is_not_lost_and_not_hoarded():
    kept = []

    async def app(scope, receive, send):
        if await read_body(receive) == b"":
            listening = asyncio.create_task(receive())
            conversation = next(iter(serving.server.conversations))
            await until(lambda: len(conversation.connection.buffer) > 60_000)
            for _ in range(20):
                await asyncio.sleep(0.001)
            kept.append(len(conversation.connection.buffer))
            assert not listening.done()
        await answer(send)

    async with Serving(app, lifespan="off") as serving:
        client = await serving.client()
        client.send(GET + post(bytes(2 * MIB)) + get(b"/", b"X: y"))
        for _ in range(2):
            assert (await client.answer()).body == b"hello"
        assert kept[0] < 256 * 1024


# Clients that leave.


@on_a_loop
async def test_a_waiting_application_is_told_when_the_client_leaves(logged):
    waiting, told = asyncio.Event(), []

    async def app(scope, receive, send):
        await receive()
        waiting.set()
        message = await receive()
        with pytest.raises(OSError, match="gone"):
            await answer(send)
        told.append(message)

    async with Serving(app, lifespan="off") as serving:
        for leave in Client.close, Client.reset:
            client = await serving.client()
            client.send(GET)
            await waiting.wait()
            leave(client)
            await until(lambda: told)
            assert told.pop() == {"type": "http.disconnect"}
            waiting.clear()
    assert not errors(logged)


@on_a_loop
async def test_an_application_that_fails_when_the_client_leaves(logged):
    waiting = asyncio.Event()

    async def app(scope, receive, send):
        await receive()
        waiting.set()
        await receive()
        raise RuntimeError("nobody there")

    async with Serving(app, lifespan="off") as serving:
        client = await serving.client()
        client.send(GET)
        await waiting.wait()
        client.reset()
        await until(lambda: not serving.server.conversations)
    assert not errors(logged)
    (line,) = accesses(logged)
    assert line.endswith("(client left)")


@on_a_loop
async def test_a_stream_nobody_reads_any_more_raises_and_is_no_error(logged):
    raised = asyncio.Event()

    async def app(scope, receive, send):
        await send(START)
        try:
            while True:
                await send({**MORE, "body": bytes(64 * 1024)})
        except OSError:
            raised.set()
            raise

    async with Serving(app, lifespan="off") as serving:
        client = await serving.client()
        client.send(GET)
        await client.head()
        client.reset()
        await raised.wait()
        await until(lambda: not serving.server.conversations)
    assert not errors(logged)


@on_a_loop
async def test_a_half_closed_client_still_gets_its_answer():
    async def app(scope, receive, send):
        body = await read_body(receive)
        await asyncio.sleep(0.01)
        await send(START)
        await send({**MORE, "body": body})
        await asyncio.sleep(0.01)
        await send(EMPTY)

    async with Serving(app) as serving:
        client = await serving.client()
        client.send(post(b"question"))
        client.half_close()
        assert (await client.answer()).body == b"question"
        assert await client.rest() == b""


@on_a_loop
async def test_half_closed_after_two_pipelined_requests():
    async with Serving(hello) as serving:
        client = await serving.client()
        client.send(get(b"/one") + get(b"/two"))
        client.half_close()
        assert (await client.answer()).body == b"/one"
        assert (await client.answer()).body == b"/two"
        assert await client.rest() == b""


@on_a_loop
async def test_half_closed_while_the_last_send_waits(logged):
    """The response ends once: the next answer follows, and one log line."""

    async def app(scope, receive, send):
        if scope["path"] == "/first":
            await receive()
            listening = asyncio.create_task(receive())
            await asyncio.sleep(0)
            await answer(send, bytes(8 * MIB))
            await listening
        else:
            await asyncio.sleep(0.01)
            await answer(send, b"second")

    async with Serving(app, lifespan="off") as serving:
        client = await serving.client()
        client.pause()
        client.send(get(b"/first") + get(b"/second"))
        await until(lambda: serving.server.conversations)
        (conversation,) = serving.server.conversations
        await until(lambda: conversation.transport.unsent)
        exchange = conversation.exchange
        client.half_close()
        await until(lambda: exchange.gone)
        client.resume()
        assert len((await client.answer()).body) == 8 * MIB
        assert (await client.answer()).body == b"second"
        assert await client.rest() == b""
    assert len(accesses(logged)) == 2


@on_a_loop
async def test_half_closed_inside_a_head():
    async with Serving(hello) as serving:
        client = await serving.client()
        client.send(GET[:20])
        client.half_close()
        assert (await client.head()).status == 400


@on_a_loop
async def test_a_client_that_comes_and_goes_without_a_word(logged):
    async with Serving(hello) as serving:
        for leave in Client.close, Client.reset, Client.half_close:
            client = await serving.client()
            await until(lambda: serving.server.conversations)
            leave(client)
            await until(lambda: not serving.server.conversations)
        assert (await serving.ask()).status == 200
    assert not errors(logged)


# Back-pressure.


@on_a_loop
async def test_a_client_that_never_reads_holds_up_the_application():
    sent = [0]

    async def app(scope, receive, send):
        await send(START)
        piece = {**MORE, "body": bytes(256 * 1024)}
        while sent[0] < 200 * MIB:
            await send(piece)
            sent[0] += 256 * 1024

    async with Serving(app, lifespan="off") as serving:
        client = await serving.client()
        client.pause()
        client.send(GET)
        await steady(lambda: sent[0])
        assert sent[0] < 32 * MIB
        client.reset()


async def steady(value):
    """Wait until a value has stopped growing for 50 turns."""
    turns, before = 0, -1
    while turns < 50:
        await asyncio.sleep(0.002)
        turns = turns + 1 if value() == before else 0
        before = value()


@on_a_loop
async def test_back_pressure_holds_for_pipelined_requests_too():
    """40 bytes a request, 1 MiB an answer, and the client does not read."""
    calls = [0]

    async def app(scope, receive, send):
        calls[0] += 1
        await answer(send, bytes(MIB))

    async with Serving(app, lifespan="off") as serving:
        client = await serving.client()
        client.pause()
        client.send(GET * 200)
        await until(lambda: calls[0])
        await steady(lambda: calls[0])
        assert calls[0] < 32
        client.reset()


@on_a_loop
async def test_a_slow_reader_gets_the_whole_of_a_last_answer():
    """The time of an idle connection begins when the answer is out."""

    async def app(scope, receive, send):
        await answer(send, bytes(16 * MIB))

    async with Serving(app, lifespan="off", timeouts=False) as serving:
        client = await serving.client()
        client.pause()
        client.send(GET)
        await until(lambda: serving.server.conversations)
        (conversation,) = serving.server.conversations
        await until(conversation.transport._stream.get_write_buffer_size)
        for _ in range(20):
            await asyncio.sleep(0)
        serving.pass_time(10)
        client.resume()
        assert len((await client.answer()).body) == 16 * MIB


@on_a_loop
async def test_an_upload_is_read_only_as_the_application_asks():
    go_on = asyncio.Event()

    async def app(scope, receive, send):
        await receive()
        await go_on.wait()
        while (await receive())["more_body"]:
            pass
        await answer(send)

    async with Serving(app, lifespan="off") as serving:
        client = await serving.client()
        client.send(post(length=64 * MIB))
        client.send(bytes(64 * MIB))
        unsent = client.writer.transport.get_write_buffer_size
        await steady(unsent)
        assert unsent() > 32 * MIB
        go_on.set()
        assert (await client.answer()).status == 200


@on_a_loop
async def test_the_access_log_names_the_right_request(logged):
    """Also if the last bytes of the answer had to wait for the client."""

    async def app(scope, receive, send):
        await answer(send, bytes(8 * MIB))

    async with Serving(app, lifespan="off") as serving:
        client = await serving.client()
        client.pause()
        client.send(get(b"/one?q=1"))
        await until(lambda: serving.server.conversations)
        (conversation,) = serving.server.conversations
        await until(conversation.transport._stream.get_write_buffer_size)
        for _ in range(20):
            await asyncio.sleep(0)
        client.resume()
        await client.answer()
        await until(lambda: accesses(logged))
    (line,) = accesses(logged)
    assert "  GET /one?q=1  200 OK  8388608 B  " in line


# Isolation.


variable = contextvars.ContextVar("variable", default="unset")


async def look_and_set(scope, receive, send):
    """Answer what the variable holds, then leave something in it."""
    body = await read_body(receive)
    await asyncio.sleep(0)
    found = variable.get()
    variable.set("left over")
    await answer(send, found.encode() + b" %d" % len(body))
    if scope["path"] == "/background":
        await asyncio.sleep(0)
        variable.set("left over by background work")


@pytest.mark.parametrize(
    "request_of",
    [
        GET,
        get(b"/background"),
        post(b"x" * 2 * MIB),
        GET + get(b"/background") + GET,
    ],
    ids=["get", "background", "2 MB", "pipelined"],
)
@on_a_loop
async def test_context_variables_do_not_leak(request_of):
    async with Serving(look_and_set) as serving:
        client = await serving.client()
        for _ in range(3):
            client.send(request_of)
            for _ in range(request_of.count(b" HTTP/1.1")):
                assert (await client.answer()).body.startswith(b"unset ")


@on_a_loop
async def test_context_variables_of_a_task_that_answers_do_not_leak():
    async def app(scope, receive, send):
        await asyncio.create_task(look_and_set(scope, receive, send))

    async with Serving(app, lifespan="off") as serving:
        client = await serving.client()
        for _ in range(3):
            client.send(GET)
            assert (await client.answer()).body.startswith(b"unset ")


@on_a_loop
async def test_state_is_copied_for_each_request():
    async def app(scope, receive, send):
        state = scope["state"]
        if scope["type"] == "lifespan":
            await receive()
            state["shared"] = []
            await send({"type": "lifespan.startup.complete"})
            await receive()
            return await send({"type": "lifespan.shutdown.complete"})
        state["own"] = state.get("own", 0) + 1
        state["shared"].append(1)
        await answer(send, b"%d %d" % (state["own"], len(state["shared"])))

    async with Serving(app) as serving:
        client = await serving.client()
        for n in 1, 2, 3:
            client.send(GET)
            assert (await client.answer()).body == b"1 %d" % n


# Background work.


@on_a_loop
async def test_background_work_does_not_hold_up_the_next_request():
    go_on, ended = asyncio.Event(), asyncio.Event()
    tasks = set()

    async def app(scope, receive, send):
        tasks.add(asyncio.current_task())
        await answer(send, scope["path"].encode())
        if scope["path"] == "/work":
            await go_on.wait()
            ended.set()

    async with Serving(app, lifespan="off") as serving:
        client = await serving.client()
        for path in b"/work", b"/two", b"/three":
            client.send(get(path))
            assert (await client.answer()).body == path
        assert len(tasks) == 2
        assert not ended.is_set()
        go_on.set()
        await ended.wait()
        client.send(get(b"/four"))
        assert (await client.answer()).body == b"/four"



@on_a_loop
async def test_a_task_that_answers_does_not_hold_up_the_next_request():
    """The application waits for its own task, which has answered already."""
    free = asyncio.Event()

    async def app(scope, receive, send):
        async def answer():
            await send(START)
            await send({**BODY, "body": scope["path"].encode()})
            if scope["path"] == "/first":
                await free.wait()

        await asyncio.create_task(answer())

    async with Serving(app, lifespan="off") as serving:
        client = await serving.client()
        for path in (b"/first", b"/second"):
            client.send(b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % path)
        assert [(await client.answer()).body for _ in range(2)] == [
            *(b"/first", b"/second"),
        ]
        assert not free.is_set()
        free.set()


@on_a_loop
async def test_background_work_goes_on_when_the_client_leaves():
    go_on, ended = asyncio.Event(), asyncio.Event()

    async def app(scope, receive, send):
        await answer(send)
        await go_on.wait()
        ended.set()

    async with Serving(app, lifespan="off") as serving:
        await serving.ask()
        await until(lambda: not serving.server.conversations)
        go_on.set()
        await ended.wait()


@on_a_loop
async def test_background_work_that_fails_is_logged(logged):
    async def app(scope, receive, send):
        await answer(send)
        await asyncio.sleep(0)
        raise ValueError("boom")

    async with Serving(app, lifespan="off") as serving:
        client = await serving.client()
        for _ in range(2):
            client.send(GET)
            assert (await client.answer()).status == 200
        await until(lambda: len(errors(logged)) == 2)
    assert "ValueError: boom" in errors(logged)[0]


@on_a_loop
async def test_background_work_that_is_cancelled_leaves_the_next_alone():
    """The task of the work no longer owns the connection."""
    cancelled, in_second = asyncio.Event(), asyncio.Event()

    async def app(scope, receive, send):
        if scope["path"] == "/work":
            await answer(send)
            await in_second.wait()
            cancelled.set()
            raise asyncio.CancelledError
        in_second.set()
        await cancelled.wait()
        for _ in range(10):
            await asyncio.sleep(0)
        await answer(send, b"second")

    async with Serving(app, lifespan="off") as serving:
        client = await serving.client()
        client.send(get(b"/work") + get(b"/second"))
        assert (await client.answer()).body == b"hello"
        assert (await client.answer()).body == b"second"


# Errors of the application, seen by the client.


@on_a_loop
async def test_an_error_before_the_start(logged):
    async def app(scope, receive, send):
        raise ValueError("boom")

    async with Serving(app) as serving:
        client = await serving.client()
        client.send(GET)
        found = await client.answer()
        assert found.status == 500
        assert b"boom" not in found.body
        assert await client.rest() == b""
        assert (await serving.ask()).status == 500


@on_a_loop
async def test_an_error_after_the_start_is_seen_as_truncation(logged):
    async def app(scope, receive, send):
        await send(START)
        await send(MORE)
        raise ValueError("boom")

    async with Serving(app, lifespan="off") as serving:
        client = await serving.client()
        client.send(GET)
        await client.head()
        assert not (await client.rest()).endswith(b"0\r\n\r\n")
    assert len(errors(logged)) == 1


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
@on_a_loop
async def test_an_error_after_the_start_does_not_look_like_an_end(version):
    """In HTTP/1.0 the end of the connection would be the end of the body."""

    async def app(scope, receive, send):
        await send(START)
        await send({**MORE, "body": b"partial"})
        await receive()
        raise RuntimeError("in the middle")

    async with Serving(app, lifespan="off") as serving:
        client = await serving.client()
        request = b"POST / HTTP/%b\r\nHost: a\r\nContent-Length: 2\r\n\r\n"
        client.send(request % version)
        assert (await client.head()).status == 200
        assert b"partial" in await client.reader.readuntil(b"partial")
        client.send(b"xy")
        if version == b"1.0":
            with pytest.raises(ConnectionResetError):
                await client.reader.read()
        else:
            assert b"0\r\n\r\n" not in await client.rest()


@on_a_loop
async def test_an_application_that_wants_to_exit_ends_only_its_request(logged):
    async def app(scope, receive, send):
        if scope["path"] == "/exit":
            sys.exit("enough")
        await send(START)
        await send(BODY)

    async with Serving(app, lifespan="off") as serving:
        answer = await serving.ask(GET.replace(b"/here", b"/exit"))
        assert answer.status == 500
        assert "SystemExit: enough" in errors(logged)[0]
        assert (await serving.ask()).status == 200


@on_a_loop
async def test_an_application_that_cancels_itself(logged):
    """It awaited a task that was cancelled; that is an error like any."""

    async def app(scope, receive, send):
        other = asyncio.create_task(asyncio.sleep(PATIENCE))
        other.cancel()
        await other

    async with Serving(app, lifespan="off") as serving:
        client = await serving.client()
        client.send(GET)
        assert (await client.rest()).startswith(b"HTTP/1.1 500 ")
    assert errors(logged)


def test_a_loop_that_ends_takes_the_server_with_it(logged):
    """As when `asyncio.run` returns and nobody has told the server."""

    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
        if scope["path"] == "/group":
            async with asyncio.TaskGroup() as group:
                group.create_task(asyncio.sleep(PATIENCE))
        try:
            await asyncio.sleep(PATIENCE)
        except asyncio.CancelledError:
            raise asyncio.CancelledError("said anew") from None

    async def main():
        serving = await Serving(app).__aenter__()
        for path in b"/group", b"/sleep":
            (await serving.client()).send(get(path))
        await until(lambda: len(serving.server.busy().split(",")) == 2)

    asyncio.run(main())
    assert not errors(logged)


@on_a_loop
async def test_who_was_cancelled_before_it_served_does_not_end(logged):
    """What has cancelled the caller once says nothing about clients."""

    async def app(scope, receive, send):
        asyncio.current_task().cancel()
        await asyncio.sleep(0)

    async def serve(server, sock):
        asyncio.current_task().cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(0)
        await server.serve(sock)

    async with Serving(app, lifespan="off") as serving:
        sock = listen.listen(port=0)
        server = Server(app, Settings(lifespan="off"))
        task = asyncio.create_task(serve(server, sock))
        await server.ready.wait()
        serving.address = sock.getsockname()
        assert (await serving.ask()).status == 500
        server.stop()
        await task
    assert errors(logged)


@on_a_loop
async def test_who_is_cancelled_twice_leaves_nothing_behind():
    """As an anyio scope does, which cancels until it is obeyed."""
    before = asyncio.all_tasks()

    async def app(scope, receive, send):
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()

    serving = await Serving(app, lifespan="off").__aenter__()
    client = await serving.client()
    client.send(GET)
    await until(serving.server.busy)
    for _ in range(3):
        serving.task.cancel()
        await asyncio.sleep(0)
    await asyncio.wait([serving.task])
    await until(lambda: asyncio.all_tasks() == before)
    client.close()
    serving.sock.close()


@on_a_loop
async def test_what_an_application_does_to_its_task_ends_with_it(logged):
    """Two requests of one connection share a task."""

    async def app(scope, receive, send):
        if scope["path"] == "/first":
            asyncio.current_task().cancel()
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(0)
            return await answer(send)
        async with asyncio.TaskGroup() as group:
            group.create_task(hello({"type": "odd"}, receive, send))

    async with Serving(app, lifespan="off") as serving:
        client = await serving.client()
        for path, status in ((b"/first", 200), (b"/second", 500)):
            client.send(GET.replace(b"/here", path))
            assert (await client.answer()).status == status
    assert "ExceptionGroup" in errors(logged)[0]


@on_a_loop
async def test_a_bad_chunk_reaches_both_sides(logged):
    told = []

    async def app(scope, receive, send):
        told.append(await receive())
        while told[-1]["type"] != "http.disconnect":
            told.append(await receive())

    async with Serving(app, lifespan="off") as serving:
        client = await serving.client()
        head = get(b"/", b"Transfer-Encoding: chunked")
        client.send(head + b"2\r\nab\r\n")
        await until(lambda: told)
        client.send(b"nonsense\r\n")
        found = await client.answer()
        assert found.status == 400
        assert found.fields["connection"] == "close"
        assert told[-1] == {"type": "http.disconnect"}
        assert await client.rest() == b""


@pytest.mark.parametrize(
    ("request_of", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"nonsense\r\n\r\n", 400),
        (b"\r\n\r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
        (b"\x16\x03\x01\x02\x00\x01\x00", 400),
        (get(b"/", b"X: " + b"y" * 70_000), 431),
        (b"GET /" + b"y" * 70_000, 414),
        (get(b"/", b"Content-Length: 1", b"Content-Length: 2"), 400),
    ],
    ids=[
        "no host",
        "nonsense",
        "nothing",
        "version",
        "tls",
        "head",
        "line",
        "lengths",
    ],
)
@on_a_loop
async def test_a_bad_head_is_refused_and_the_connection_closed(
    request_of, status, logged
):
    async with Serving(hello) as serving:
        client = await serving.client()
        client.send(request_of)
        found = await client.answer()
        assert found.status == status
        assert found.fields["connection"] == "close"
        assert "date" in found.fields
        assert await client.rest() == b""
    assert not errors(logged)


# Early answers to bodies that nobody reads.


@on_a_loop
async def test_a_small_rest_is_read_and_the_connection_kept():
    async with Serving(hello) as serving:
        client = await serving.client()
        for _ in range(2):
            client.send(post(b"x" * 10_000))
            assert (await client.answer()).body == b"/here"


@on_a_loop
async def test_a_small_rest_that_comes_later():
    async with Serving(hello) as serving:
        client = await serving.client()
        client.send(post(length=10_000))
        assert (await client.answer()).body == b"/here"
        client.send(b"x" * 10_000 + GET)
        assert (await client.answer()).body == b"/here"


@pytest.mark.parametrize("size", [MIB, 20 * MIB])
@on_a_loop
async def test_a_large_rest_ends_the_connection_but_not_the_answer(size):
    """A client that sends all of it first can still read the answer."""
    async with Serving(hello) as serving:
        client = await serving.client()
        client.send(post(bytes(size)))
        await client.writer.drain()
        assert (await client.answer()).body == b"/here"
        assert await client.rest() == b""


@on_a_loop
async def test_continue_is_said_only_to_a_body_that_is_read():
    async def app(scope, receive, send):
        body = b"unread"
        if scope["path"] == "/read":
            body = await read_body(receive)
        await answer(send, body)

    fields = b"Expect: 100-continue", b"Content-Length: 2"
    async with Serving(app) as serving:
        client = await serving.client()
        client.send(get(b"/read", *fields))
        assert (await client.head()).status == 100
        client.send(b"ok")
        assert (await client.answer()).body == b"ok"
        client.send(get(b"/", *fields))
        found = await client.answer()
        assert (found.status, found.body) == (200, b"unread")
        assert found.fields["connection"] == "close"
        assert await client.rest() == b""


# Files.


@pytest.mark.parametrize("size", [0, 5, 5 * MIB])
@on_a_loop
async def test_a_file_and_then_the_next_request(tmp_path, size):
    path = tmp_path / "file"
    path.write_bytes(os.urandom(size))

    async def app(scope, receive, send):
        await send(START)
        await send({"type": "http.response.pathsend", "path": str(path)})

    async with Serving(app, lifespan="off") as serving:
        client = await serving.client()
        client.send(GET + GET.replace(b"GET", b"HEAD") + GET)
        for method in "GET", "HEAD", "GET":
            found = await client.head()
            assert found.status == 200
            if method == "GET":
                assert found.fields["content-length"] == f"{size}"
                body = await client.reader.readexactly(size)
                assert body == path.read_bytes()


# Limits.


@pytest.mark.parametrize("why", ["impatient", "shorter"])
@on_a_loop
async def test_nothing_follows_a_part_of_a_file(tmp_path, why):
    """A response that has not all of its bytes is the connection's last."""
    path, size = tmp_path / "file", 32 * MIB
    with path.open("wb") as file:
        file.truncate(size)
    begun = asyncio.Event()

    async def app(scope, receive, send):
        if scope["path"] != "/file":
            await send(START)
            return await send({**BODY, "body": b"the next answer"})
        await send(START)
        event = {"type": "http.response.pathsend", "path": str(path)}
        sending = asyncio.create_task(send(event))
        await begun.wait()
        if why == "impatient":
            sending.cancel()
        else:
            os.truncate(path, 1000)
        await asyncio.wait([sending])

    async with Serving(app, lifespan="off") as serving:
        client = await serving.client()
        client.send(GET.replace(b"/here", b"/file") + GET)
        await client.head()
        begun.set()
        rest = await client.rest()
        assert len(rest) < size
        assert b"the next answer" not in rest


@on_a_loop
async def test_a_slow_client_gets_all_of_its_answer():
    """Keep-alive time begins when the answer has been sent."""
    body = bytes(range(256)) * 64 * 1024

    async def app(scope, receive, send):
        await send(START)
        for start in range(0, len(body), 16 * 1024):
            piece = body[start : start + 16 * 1024]
            await send({**MORE, "body": piece})
            if fills_the_kernel(serving):
                break
        sent.append(start + len(piece))
        await send(EMPTY)

    def fills_the_kernel(serving):
        (conversation,) = serving.server.conversations
        return conversation.transport._stream.get_write_buffer_size() > 0

    sent = []
    async with Serving(app, lifespan="off") as serving:
        client = await serving.client()
        client.writer.transport.pause_reading()
        client.send(GET)
        await until(lambda: sent)
        for seconds in (0, 10, 20):  # keep-alive ends after 5
            serving.pass_time(seconds)
            await asyncio.sleep(0)
        client.writer.transport.resume_reading()
        assert (await client.answer()).body == body[: sent[0]]


@on_a_loop
async def test_a_head_that_takes_too_long_is_a_408():
    async with Serving(hello, timeouts=False) as serving:
        client = await serving.client()
        client.send(GET[:20])
        await until(lambda: has_read(serving))
        serving.pass_time(9)
        await asyncio.sleep(0)
        assert serving.server.conversations
        serving.pass_time(11)
        found = await client.answer()
        assert found.status == 408
        assert found.fields["connection"] == "close"
        assert await client.rest() == b""


def has_read(serving):
    return any(c.connection.buffer for c in serving.server.conversations)


@on_a_loop
async def test_bytes_that_drip_in_do_not_give_more_time():
    async with Serving(hello, timeouts=False) as serving:
        client = await serving.client()
        client.send(GET[:1])
        await until(lambda: has_read(serving))
        (conversation,) = serving.server.conversations
        deadline = conversation.transport.deadline
        for n in range(1, 10):
            client.send(GET[n : n + 1])
            buffer = conversation.connection.buffer
            await until(lambda n=n, buffer=buffer: len(buffer) > n)
        assert conversation.transport.deadline == deadline


@pytest.mark.parametrize("requests", [0, 1])
@on_a_loop
async def test_an_idle_connection_is_closed_without_a_word(requests, logged):
    async with Serving(hello, timeouts=False) as serving:
        client = await serving.client()
        for _ in range(requests):
            client.send(GET)
            await client.answer()
        await until(lambda: any(deadlines(serving)))
        serving.pass_time(4)
        await asyncio.sleep(0)
        assert serving.server.conversations
        serving.pass_time(6)
        assert await client.rest() == b""
        await until(lambda: not serving.server.conversations)
    assert not errors(logged)


def deadlines(serving):
    """Which connections have a deadline."""
    conversations = serving.server.conversations
    return [c.transport.deadline < 1e300 for c in conversations]


@on_a_loop
async def test_while_the_application_works_there_is_no_time_limit():
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def app(scope, receive, send):
        begun.set()
        await go_on.wait()
        await answer(send)

    async with Serving(app, lifespan="off", timeouts=False) as serving:
        client = await serving.client()
        client.send(GET)
        await begun.wait()
        assert deadlines(serving) == [False]
        serving.pass_time(1e6)
        go_on.set()
        assert (await client.answer()).status == 200


@on_a_loop
async def test_the_sweeper_works_by_itself():
    settings = {"timeout_header": 0.01, "timeout_keep_alive": 0.01}
    async with Serving(hello, **settings) as serving:
        slow, idle = await serving.client(), await serving.client()
        slow.send(GET[:10])
        assert (await slow.answer()).status == 408
        assert await idle.rest() == b""


@on_a_loop
async def test_sweep_with_a_clock_of_our_own():
    """The same without socket or waiting."""
    now = 1000.0
    server = Server(hello, Settings())
    transport = MemoryTransport(lambda: now)
    attending = server.attend(transport)
    await asyncio.sleep(0)
    assert transport.deadline == 1005
    transport.feed(GET)
    await until(lambda: transport.sent.endswith(b"/here"))
    await until(lambda: transport.deadline == 1005)
    transport.feed(GET[:20])
    await until(lambda: transport.deadline == 1010)
    now = 1009.0
    sweep([transport], now)
    await asyncio.sleep(0)
    assert not attending.done()
    now = 1011.0
    sweep([transport], now)
    await until(lambda: b"HTTP/1.1 408 " in transport.sent)
    transport.feed(b"")
    await attending


@on_a_loop
async def test_one_connection_too_many_is_told_so():
    async with Serving(hello, limit_concurrency=2) as serving:
        first, second = await serving.client(), await serving.client()
        for client in first, second:
            client.send(GET)
            assert (await client.answer()).status == 200
        third = await serving.client()
        third.send(GET)
        found = await third.answer()
        assert found.status == 503
        assert found.fields["connection"] == "close"
        assert "retry-after" in found.fields
        assert await third.rest() == b""
        second.close()
        await until(lambda: len(serving.server.conversations) == 1)
        assert (await serving.ask()).status == 200


@on_a_loop
async def test_who_has_its_last_answer_takes_no_place():
    """It may be slow to hang up."""

    async def app(scope, receive, send):
        await answer(send, headers=[(b"connection", b"close")])

    async with Serving(app, limit_concurrency=1) as serving:
        for _ in range(3):
            client = await serving.client()
            client.send(GET)
            assert (await client.answer()).status == 200


# The end.


@on_a_loop
async def test_who_was_told_so_takes_no_place():
    """It may be slow to hang up."""
    async with Serving(hello, limit_concurrency=1) as serving:
        first, second = await serving.client(), await serving.client()
        first.send(GET)
        assert (await first.answer()).status == 200
        second.send(GET)
        assert (await second.answer()).status == 503
        first.close()
        await until(lambda: len(serving.server.conversations) == 1)
        assert (await serving.ask()).status == 200


@on_a_loop
async def test_a_newcomer_may_say_its_first_words():
    """Its request is on the way; no other server will be asked for it."""
    async with Serving(hello) as serving:
        idle, client = await serving.client(), await serving.client()
        idle.send(GET)
        await idle.answer()
        await until(lambda: len(serving.server.conversations) == 2)
        serving.server.stop()
        assert await idle.rest() == b""
        client.send(GET)
        answer = await client.answer()
        assert answer.status == 200
        assert answer.fields["connection"] == "close"
        await serving.task


@on_a_loop
async def test_who_is_accepted_at_the_very_end_is_served():
    """asyncio has taken it, and has not told us yet."""
    async with Serving(hello) as serving:
        sock = socket.create_connection(serving.address[:2], PATIENCE)
        # Both in the same turn of the loop, this first.
        asyncio.get_running_loop().call_soon(serving.server.stop)
        client = Client(*await asyncio.open_connection(sock=sock))
        serving.clients.append(client)
        client.send(GET)
        assert (await client.answer()).status == 200
        await serving.task


@on_a_loop
async def test_a_newcomer_that_says_nothing_is_not_waited_for_long():
    async with Serving(hello, timeouts=False) as serving:
        client = await serving.client()
        await until(lambda: serving.server.conversations)
        serving.server.stop()
        assert await client.rest() == b""
        await serving.task


@on_a_loop
async def test_idle_connections_are_closed_at_once():
    async with Serving(hello) as serving:
        clients = [await serving.client() for _ in range(5)]
        clients[0].send(GET)
        await clients[0].answer()
        await until(lambda: len(serving.server.conversations) == 5)
        serving.server.stop()
        await asyncio.wait([serving.task])
        for client in clients:
            assert await client.rest() == b""
        with pytest.raises(ConnectionRefusedError):
            await serving.client()


@on_a_loop
async def test_a_request_in_flight_is_finished():
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def app(scope, receive, send):
        begun.set()
        await go_on.wait()
        await answer(send)

    async with Serving(app, lifespan="off") as serving:
        client = await serving.client()
        client.send(GET)
        await begun.wait()
        serving.server.stop()
        for _ in range(10):
            await asyncio.sleep(0)
        assert not serving.task.done()
        go_on.set()
        found = await client.answer()
        assert found.body == b"hello"
        assert found.fields["connection"] == "close"
        assert await client.rest() == b""
        await asyncio.wait([serving.task])


@on_a_loop
async def test_a_request_that_is_half_read_is_finished():
    async with Serving(hello) as serving:
        client = await serving.client()
        client.send(GET[:20])
        await until(lambda: has_read(serving))
        serving.server.stop()
        for _ in range(10):
            await asyncio.sleep(0)
        client.send(GET[20:])
        found = await client.answer()
        assert found.status == 200
        assert found.fields["connection"] == "close"


@on_a_loop
async def test_a_receive_that_waits_is_told_that_it_is_over():
    begun = asyncio.Event()

    async def app(scope, receive, send):
        await receive()
        begun.set()
        message = await receive()
        await answer(send, message["type"].encode())

    async with Serving(app, lifespan="off") as serving:
        client = await serving.client()
        client.send(GET)
        await begun.wait()
        serving.server.stop()
        assert (await client.answer()).body == b"http.disconnect"


async def listen_beside(work, receive):
    """So many frameworks do it: who leaves first ends the other."""
    tasks = {asyncio.create_task(work), asyncio.create_task(hear(receive))}
    _, late = await asyncio.wait(tasks, return_when="FIRST_COMPLETED")
    for task in late:
        task.cancel()
    await asyncio.wait(tasks)


async def hear(receive):
    while (await receive())["type"] != "http.disconnect":
        pass


@on_a_loop
async def test_who_listens_beside_its_work_is_not_told_before_it_is_done():
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def app(scope, receive, send):
        async def work():
            begun.set()
            await go_on.wait()
            await answer(send)

        await listen_beside(work(), receive)

    async with Serving(app, lifespan="off") as serving:
        client = await serving.client()
        client.send(GET)
        await begun.wait()
        serving.server.stop()
        for _ in range(10):
            await asyncio.sleep(0)
        go_on.set()
        assert (await client.answer()).body == b"hello"
        client.close()
        await asyncio.wait([serving.task])


@pytest.mark.parametrize(
    ("kind", "seconds"),
    [(b"text/event-stream", 1e6), (b"application/x-ndjson", 0.01)],
)
@on_a_loop
async def test_a_stream_that_never_ends_is_told(kind, seconds):
    """Events at once, other streams when their time is over."""

    async def app(scope, receive, send):
        async def work():
            await send({**START, "headers": [(b"content-type", kind)]})
            await send(MORE)
            await asyncio.Event().wait()

        await listen_beside(work(), receive)
        await send(EMPTY)

    limit = {"timeout_graceful_shutdown": seconds}
    async with Serving(app, lifespan="off", **limit) as serving:
        client = await serving.client()
        client.send(GET)
        await client.head()
        await client.chunk()
        serving.server.stop()
        assert await client.rest() == b"0\r\n\r\n"
        client.close()
        await asyncio.wait([serving.task])


@on_a_loop
async def test_background_work_is_finished_before_the_end():
    begun, go_on, ended = (asyncio.Event() for _ in range(3))

    async def app(scope, receive, send):
        await answer(send)
        begun.set()
        await go_on.wait()
        ended.set()

    async with Serving(app, lifespan="off") as serving:
        await serving.ask()
        await begun.wait()
        serving.server.stop()
        for _ in range(10):
            await asyncio.sleep(0)
        assert not serving.task.done()
        go_on.set()
        await asyncio.wait([serving.task])
        assert ended.is_set()


async def stubborn(scope, receive, send):
    """Never end by itself."""
    if scope["type"] == "lifespan":
        scope["state"]["events"] = events = []
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        events.append("shutdown")
        return await send({"type": "lifespan.shutdown.complete"})
    try:
        await send(START)
        await send(MORE)
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        await asyncio.sleep(0.01)
        scope["state"]["events"].append("cancelled")
        raise


@pytest.mark.parametrize(("seconds", "stops"), [(0.05, 1), (1e6, 2)])
@on_a_loop
async def test_the_wait_is_bounded_and_a_second_stop_forces(seconds, stops):
    """Lifespan comes last: the application may need its database."""
    limit = {"timeout_graceful_shutdown": seconds}
    async with Serving(stubborn, **limit) as serving:
        client = await serving.client()
        client.send(GET)
        await client.head()
        for _ in range(stops):
            serving.server.stop()
            await asyncio.sleep(0)
        await asyncio.wait([serving.task])
        events = serving.server.lifespan.state["events"]
        assert events == ["cancelled", "shutdown"]
        assert not (await client.rest()).endswith(b"0\r\n\r\n")


@on_a_loop
async def test_a_client_that_does_not_read_is_not_waited_for():
    async def app(scope, receive, send):
        await answer(send, bytes(32 * MIB))

    limit = {"timeout_graceful_shutdown": 0.05, "lifespan": "off"}
    async with Serving(app, **limit) as serving:
        client = await serving.client()
        client.pause()
        client.send(GET)
        await until(lambda: serving.server.conversations)
        (conversation,) = serving.server.conversations
        await until(conversation.transport._stream.get_write_buffer_size)
        serving.server.stop()
        await asyncio.wait([serving.task], timeout=5)
        assert serving.task.done()


@on_a_loop
async def test_a_second_stop_forces_an_application_that_does_not_shut_down():
    hanging = asyncio.Event()

    async def app(scope, receive, send):
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        hanging.set()
        await asyncio.Event().wait()

    async with Serving(app) as serving:
        serving.server.stop()
        await hanging.wait()
        serving.server.stop()
        await asyncio.wait([serving.task], timeout=2)
        assert serving.task.done()


@on_a_loop
async def test_stop_while_the_application_starts():
    """Ctrl+C must work before the first request, too."""
    starting = asyncio.Event()

    async def app(scope, receive, send):
        await receive()
        starting.set()
        await asyncio.Event().wait()

    sock = listen.listen(port=0)
    server = Server(app, Settings())
    task = asyncio.create_task(server.serve(sock))
    await starting.wait()
    server.stop()
    server.stop()
    await asyncio.wait([task], timeout=2)
    done = task.done()
    task.cancel()
    sock.close()
    assert done


@on_a_loop
async def test_a_failed_startup_serves_nobody():
    async def app(scope, receive, send):
        await send({"type": "lifespan.startup.failed", "message": "no db"})

    async with Serving(app) as serving:
        assert not serving.server.ready.is_set()
        assert isinstance(serving.task.exception(), StartupFailed)


@on_a_loop
async def test_the_end_leaves_no_noise():
    """No exception that nobody fetched, whoever was connected."""
    noise = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda loop, said: noise.append(said))
    for request_of in b"", GET, GET[:10], post(length=10):
        async with Serving(long_poll, lifespan="off") as serving:
            client = await serving.client()
            client.send(request_of)
            await until(lambda s=serving: s.server.conversations)
            serving.server.stop()
            if request_of:
                client.close()
            await asyncio.wait([serving.task])
    gc.collect()
    assert not noise


# Upgrades, handed in from outside.


async def take_over(conversation, request):
    """A protocol of our own: every byte back, until an empty read."""
    assert isinstance(conversation, Conversation)
    rest = conversation.connection.switch_protocols()
    transport = conversation.transport
    transport.write(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
    data = rest.take(len(rest))
    while data:
        transport.write(data)
        data = await transport.read()


UPGRADE = get(b"/", b"Connection: keep-alive, Upgrade", b"Upgrade: x, ECHO")


@on_a_loop
async def test_an_upgrade_handler_gets_the_connection_and_unread_bytes():
    async with Serving(hello, {b"echo": take_over}) as serving:
        client = await serving.client()
        client.send(UPGRADE + b"early")
        assert (await client.head()).status == 101
        assert await client.reader.readexactly(5) == b"early"
        client.send(b"late")
        assert await client.reader.readexactly(4) == b"late"
        client.half_close()
        assert await client.rest() == b""


@pytest.mark.parametrize(
    "request_of",
    [
        UPGRADE.replace(b"ECHO", b"other"),
        get(b"/here", b"Upgrade: echo"),
        UPGRADE.replace(b"HTTP/1.1", b"HTTP/1.0"),
    ],
    ids=["unknown protocol", "not in Connection", "HTTP/1.0"],
)
@on_a_loop
async def test_what_is_no_upgrade_goes_to_the_application(request_of):
    async with Serving(hello, {b"echo": take_over}) as serving:
        assert (await serving.ask(request_of)).status == 200


@on_a_loop
async def test_a_transport_can_be_handed_in():
    made = []

    def transport(reader, writer):
        made.append(StreamTransport(reader, writer))
        return made[-1]

    async with Serving(hello, parts=[transport]) as serving:
        assert (await serving.ask()).status == 200
        assert made[0].tls is None
        assert len(made) == 1


@on_a_loop
async def test_an_upgraded_connection_is_told_of_the_end():
    ended = asyncio.Event()

    async def handler(conversation, request):
        conversation.connection.switch_protocols()
        conversation.transport.write(b"HTTP/1.1 101 S\r\n\r\n")
        with suppress(TimeoutError):
            await conversation.transport.read()
        ended.set()

    async with Serving(hello, {b"echo": handler}) as serving:
        client = await serving.client()
        client.send(UPGRADE)
        await client.head()
        serving.server.stop()
        await asyncio.wait([serving.task])
        assert ended.is_set()


# The access log, and ASGI 2.


@on_a_loop
async def test_the_access_log(logged):
    async with Serving(hello) as serving:
        client = await serving.client()
        client.send(get(b"/a%20b?c=d"))
        await client.answer()
        host, port = client.socket.getsockname()
    (line,) = accesses(logged)
    assert line.startswith(f"{host}:{port}  GET /a%20b?c=d  200 OK  4 B  ")


@pytest.mark.parametrize("who", ["client left", "cut"])
@on_a_loop
async def test_the_access_log_of_a_response_that_is_not_whole(logged, who):
    async def app(scope, receive, send):
        await send(START)
        await send(MORE)
        if who == "cut":
            raise RuntimeError("in the middle")
        await hear(receive)

    async with Serving(app, lifespan="off") as serving:
        client = await serving.client()
        client.send(GET)
        await client.head()
        client.close()
        await until(lambda: accesses(logged))
    (line,) = accesses(logged)
    assert "  GET /here  200 OK  5 B  " in line
    assert line.endswith(f"({who})")


@on_a_loop
async def test_the_access_log_of_a_client_that_left_before_the_answer(logged):
    async def app(scope, receive, send):
        await hear(receive)

    async with Serving(app, lifespan="off") as serving:
        client = await serving.client()
        client.send(GET)
        await until(lambda: serving.server.busy())
        client.close()
        await until(lambda: accesses(logged))
    (line,) = accesses(logged)
    assert "  GET /here  no answer  0 B  " in line


@on_a_loop
async def test_the_access_log_counts_what_is_sent(logged):
    async with Serving(hello) as serving:
        client = await serving.client()
        client.send(GET.replace(b"GET", b"HEAD"))
        await client.head()
        await until(lambda: accesses(logged))
    assert "  HEAD /here  200 OK  0 B  " in accesses(logged)[0]


@on_a_loop
async def test_the_access_log_can_be_turned_off(logged):
    async with Serving(hello, access_log=False) as serving:
        await serving.ask()
    assert not accesses(logged)


@on_a_loop
async def test_an_asgi_2_application():
    class App:
        def __init__(self, scope):
            self.scope = scope

        async def __call__(self, receive, send):
            body = await read_body(receive)
            version = self.scope["asgi"]["version"]
            await answer(send, version.encode() + body)

    app, version = as_asgi3(App)
    assert version == 2
    async with Serving(app, lifespan="off") as serving:
        assert (await serving.ask(post(b"!"))).body == b"2.0!"


# As on Windows: loops there have no `add_signal_handler`.
SIGNALS = """
import asyncio, os, signal, threading
from asgi_ref.server import on_signals

class Loop(asyncio.SelectorEventLoop):
    def add_signal_handler(self, number, callback, *args):
        raise NotImplementedError

async def main(number):
    loop, heard = asyncio.get_running_loop(), []
    first, second = (on_signals(lambda n=n: heard.append(n)) for n in "12")
    before = signal.getsignal(number)
    first.__enter__(), second.__enter__()
    os.kill(os.getpid(), number)
    first.__exit__(None, None, None)
    os.kill(os.getpid(), number)
    second.__exit__(None, None, None)
    assert signal.getsignal(number) is before
    print(*heard)

for number in (signal.SIGINT, signal.SIGTERM):
    with asyncio.Runner(loop_factory=Loop) as runner:
        runner.run(main(number))

def elsewhere():
    with on_signals(print):
        print("nothing is done about signals here")

thread = threading.Thread(target=elsewhere)
thread.start()
thread.join()
"""


def test_signals_reach_all_servers_and_are_given_back():
    done = subprocess.run(
        [sys.executable, "-c", SIGNALS],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stderr == ""
    assert done.stdout == (
        "1 2 2\n1 2 2\nnothing is done about signals here\n"
    )


def test_a_debugger_is_noticed():
    before = sys.gettrace()
    try:
        sys.settrace(None)
        assert not debugged()
        sys.settrace(lambda *_: None)
        assert debugged()
    finally:
        sys.settrace(before)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="new in Python 3.12")
def test_a_debugger_that_does_not_trace_is_noticed():
    monitoring = sys.monitoring
    monitoring.use_tool_id(monitoring.DEBUGGER_ID, "a debugger")
    try:
        assert debugged()
    finally:
        monitoring.free_tool_id(monitoring.DEBUGGER_ID)
    assert not debugged()
