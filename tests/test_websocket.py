"""A whole WebSocket in memory: server, application and a client's bytes."""

import asyncio
import functools
import gc
import logging
import zlib
from contextvars import ContextVar

import pytest

from asgi_ref import websocket as module
from asgi_ref.contract import ClientDisconnected, ContractError
from asgi_ref.frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    FIN,
    PING,
    PONG,
    RSV1,
    TEXT,
    xor,
)
from asgi_ref.response import BadResponse
from asgi_ref.server import Server, Settings
from asgi_ref.transport import LINGER, MemoryTransport, sweep
from asgi_ref.websocket import websocket

PATIENCE = 20  # seconds before something that never comes is an error
MIB = 1024 * 1024
KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
CONNECT = {"type": "websocket.connect"}
ACCEPT = {"type": "websocket.accept"}
CLOSE_IT = {"type": "websocket.close"}
QUIET = {"lifespan": "off", "access_log": False}


class Loop(asyncio.SelectorEventLoop):
    """An event loop whose clock moves when it is told to."""

    now = 1000.0

    def time(self):
        return self.now


servers = set()  # those of the test that runs


def on_a_loop(test):
    """Run a coroutine function as a plain test, with a clock of its own.

    The clock never moves by itself: what bounds a test is that `settle`
    gives up.
    """

    async def cleaned_up(*arguments, **named):
        try:
            await test(*arguments, **named)
        finally:  # a test that fails leaves a server behind
            while servers:
                servers.pop().ending = True
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                task.cancel()

    @functools.wraps(test)
    def run(*arguments, **named):
        with asyncio.Runner(loop_factory=Loop) as runner:
            runner.run(cleaned_up(*arguments, **named))

    return run


async def settle(true=lambda: False, turns=200):
    """Let everybody run until a condition is true, or for a while."""
    for _ in range(turns):
        if true():
            return
        await asyncio.sleep(0)


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


# The client


def frame(first, payload=b"", mask=b"\x37\xfa\x21\x3d"):
    """A frame of a client."""
    size = len(payload)
    if size < 126:
        length = bytes([0x80 | size])
    elif size < 1 << 16:
        length = b"\xfe" + size.to_bytes(2, "big")
    else:
        length = b"\xff" + size.to_bytes(8, "big")
    return bytes([first]) + length + mask + xor(payload, mask)


def text(words):
    return frame(FIN | TEXT, words.encode())


def close(code, reason=""):
    return frame(FIN | CLOSE, code.to_bytes(2, "big") + reason.encode())


def head(*fields, line=b"GET /chat?a=b HTTP/1.1"):
    lines = [
        *(line, b"Host: example.com", b"Upgrade: websocket"),
        *(b"Connection: Upgrade", b"Sec-WebSocket-Version: 13"),
        *(b"Sec-WebSocket-Key: " + KEY, *fields, b"", b""),
    ]
    return b"\r\n".join(lines)


def frames_in(data):
    """The server's frames as (first byte, payload)."""
    found = []
    while data:
        size, start = data[1], 2
        assert size < 0x80, "the server does not mask"
        if size > 125:
            start = 4 if size == 126 else 10
            size = int.from_bytes(data[2:start], "big")
        found.append((data[0], data[start : start + size]))
        data = data[start + size :]
    return found


class Client:
    """One client of a server in memory."""

    def __init__(self, app, *fields, server=None, **settings):
        self.transport = MemoryTransport(asyncio.get_running_loop().time)
        settings = Settings(**{**QUIET, **settings})
        upgrades = {b"websocket": websocket}
        self.server = server or Server(app, settings, upgrades)
        servers.add(self.server)
        self.task = self.server.attend(self.transport)
        self.conversation = next(iter(self.server.conversations))
        self.fields = fields

    async def open(self, early=b""):
        """Shake hands; return the response's head."""
        self.transport.feed(head(*self.fields) + early)
        await settle(lambda: b"\r\n\r\n" in self.transport.sent)
        return self.head

    @property
    def head(self):
        return bytes(self.transport.sent).partition(b"\r\n\r\n")[0]

    @property
    def body(self):
        return bytes(self.transport.sent).partition(b"\r\n\r\n")[2]

    @property
    def status(self):
        return int(self.head.split()[1])

    @property
    def frames(self):
        return frames_in(self.body)

    async def say(self, *data):
        """Send, and let everybody see it."""
        for piece in data:
            self.transport.feed(piece)
        await settle()

    async def leave(self):
        """End the stream and wait until the server has done all."""
        self.transport.feed(b"")
        await settle(self.task.done)
        assert self.task.done()
        assert not self.server.conversations


async def opened(app, *fields, early=b"", **settings):
    client = Client(app, *fields, **settings)
    assert b" 101 " in await client.open(early)
    return client


async def pass_time(seconds, *transports):
    """Let time pass, as the loop and the sweeper see it."""
    loop = asyncio.get_running_loop()
    loop.now += seconds
    sweep(transports, loop.time())
    await settle()


# The application


class App:
    """Accepts, then does as it is told, and notes what it gets."""

    def __init__(self, then=None, accept=ACCEPT):
        self.then = then or echo
        self.accept = accept
        self.got = []
        self.error = None
        self.scope = None

    async def __call__(self, scope, receive, send):
        async def noting():
            message = await receive()
            self.got.append(message)
            return message

        self.scope = scope
        assert await noting() == CONNECT
        if self.accept is not None:
            await send(self.accept)
        try:
            await self.then(noting, send)
        except BaseException as error:
            self.error = error
            raise

    @property
    def said(self):
        """The client's messages, as the application got them."""
        return [m.get("text", m.get("bytes")) for m in self.got[1:]]


async def echo(receive, send):
    while (message := await receive())["type"] == "websocket.receive":
        await send({**message, "type": "websocket.send"})


async def listen(receive, send):
    while (await receive())["type"] == "websocket.receive":
        pass


def busy_until(gate):
    """An echo that is busy elsewhere before it answers."""

    async def work(receive, send):
        while (message := await receive())["type"] == "websocket.receive":
            await gate.wait()
            await send({**message, "type": "websocket.send"})

    return work


def disconnect(code, reason=""):
    return {"type": "websocket.disconnect", "code": code, "reason": reason}


# Opening


@on_a_loop
async def test_the_scope():
    app = App()
    client = await opened(app, b"Sec-WebSocket-Protocol: v2, v1")
    scope = app.scope
    assert scope.pop("state") == {}
    headers = dict(scope.pop("headers"))
    assert headers[b"sec-websocket-key"] == KEY
    assert scope == {
        "type": "websocket",
        "asgi": {"version": "3.0", "spec_version": "2.5"},
        "http_version": "1.1",
        "scheme": "ws",
        "path": "/chat",
        "raw_path": b"/chat",
        "query_string": b"a=b",
        "root_path": "",
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 8000),
        "subprotocols": ["v2", "v1"],
        "extensions": {"websocket.http.response": {}},
    }
    await client.leave()


@on_a_loop
async def test_the_scheme_behind_tls():
    app = App()
    client = Client(app)
    told = client.conversation.told
    client.conversation.told = {**told, "scheme": "https"}
    await client.open()
    assert app.scope["scheme"] == "wss"
    await client.leave()


@on_a_loop
async def test_the_state_of_the_lifespan_is_copied():
    app = App()
    client = Client(app)
    state = client.server.lifespan.state
    state["pool"] = ["one"]
    await client.open()
    assert app.scope["state"] == {"pool": ["one"]}
    assert app.scope["state"] is not state
    await client.leave()


@on_a_loop
async def test_accept_with_everything():
    accept = {**ACCEPT, "subprotocol": "v1", "headers": [(b"x-a", b"1")]}
    app = App(accept=accept)
    client = await opened(
        app,
        b"Sec-WebSocket-Protocol: v2, v1",
        b"Sec-WebSocket-Extensions: permessage-deflate",
        headers=((b"x-server", b"2"),),
    )
    lines = client.head.split(b"\r\n")
    assert b"sec-websocket-protocol: v1" in lines
    assert b"x-a: 1" in lines
    assert b"x-server: 2" in lines
    assert b"server: asgi_ref" in lines
    assert [x for x in lines if x.startswith(b"sec-websocket-ext")] == [
        b"sec-websocket-extensions: permessage-deflate;"
        b" server_max_window_bits=12"
    ]
    await client.leave()


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (head(line=b"POST / HTTP/1.1"), 405),
        (head().replace(b": 13", b": 7"), 426),
        (head(b"Sec-WebSocket-Key: x"), 400),
        (head(b"Content-Length: 3") + b"abc", 400),
    ],
)
@on_a_loop
async def test_a_handshake_that_is_not_in_order(data, status):
    client = Client(App())
    await client.say(data)
    assert client.status == status
    assert b"connection: close" in client.head
    if status == 426:
        assert b"sec-websocket-version: 13" in client.head
        assert b"upgrade: websocket" in client.head
    await client.leave()


@on_a_loop
async def test_without_an_upgrade_it_is_http():
    seen = []

    async def app(scope, receive, send):
        seen.append(scope["type"])
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body"})

    client = Client(app)
    await client.say(head().replace(b"HTTP/1.1", b"HTTP/1.0"))
    await client.leave()
    assert seen == ["http"]


@on_a_loop
async def test_every_cut_of_a_whole_conversation():
    data = head() + text("one") + frame(FIN | PING, b"?") + text("two")
    data += close(1000)
    answers = [
        (FIN | TEXT, b"one"),
        (FIN | PONG, b"?"),
        (FIN | TEXT, b"two"),
        (FIN | CLOSE, b"\x03\xe8"),
    ]
    for at in range(1, len(data)):
        app = App()
        client = Client(app)
        await client.say(data[:at])
        await client.say(data[at:])
        assert client.frames == answers, at
        assert app.got[-1] == disconnect(1000)
        await client.leave()


@on_a_loop
async def test_frames_that_come_with_the_handshake():
    app = App()
    client = await opened(app, early=text("early"))
    await settle()
    assert client.frames == [(FIN | TEXT, b"early")]
    await client.leave()


@on_a_loop
async def test_what_came_before_the_101_is_delivered_in_order():
    """Though the application does something else before it accepts."""
    go = asyncio.Event()

    async def app(scope, receive, send):
        assert await receive() == CONNECT
        await go.wait()
        await send(ACCEPT)
        for _ in range(3):
            await send(await answer(receive))

    async def answer(receive):
        return {"type": "websocket.send", "text": (await receive())["text"]}

    client = Client(app)
    await client.say(head() + text("one"))
    await client.say(text("two") + text("three"))
    go.set()
    await settle()
    told = [payload for _, payload in client.frames]
    assert told[:3] == [b"one", b"two", b"three"]
    await client.leave()


@on_a_loop
async def test_a_mistake_is_logged(logged):
    client = await opened(App())
    await client.say(b"\x83\x80aaaa")
    assert "1002, opcode 3 means nothing" in logged.text
    await client.leave()


# Refusing


@pytest.mark.parametrize("accept", [CLOSE_IT, {**CLOSE_IT, "code": 4000}])
@on_a_loop
async def test_close_before_accept_is_403(accept):
    app = App(listen, accept=accept)
    client = Client(app)
    await client.open()
    await settle(client.task.done)
    assert client.status == 403
    assert b"connection: close" in client.head
    assert client.transport.closed
    assert app.got[-1] == disconnect(1006)


@pytest.mark.parametrize(
    ("origin", "status"),
    [(b"https://example.com", 101), (b"https://evil.example", 403)],
)
@on_a_loop
async def test_an_application_that_looks_at_the_origin(origin, status):
    async def app(scope, receive, send):
        assert await receive() == CONNECT
        known = (b"origin", b"https://example.com") in scope["headers"]
        await send(ACCEPT if known else CLOSE_IT)
        await listen(receive, send)

    client = Client(app, b"Origin: " + origin)
    await client.open()
    assert client.status == status
    await client.leave()


@on_a_loop
async def test_the_applications_own_refusal():
    async def deny(receive, send):
        start = {"type": "websocket.http.response.start", "status": 401}
        body = {"type": "websocket.http.response.body"}
        await send({**start, "headers": [(b"x-why", b"no")]})
        await send({**body, "body": b"no ", "more_body": True})
        await send({**body, "body": b"entry"})
        assert await receive() == disconnect(1006)
        with pytest.raises(ClientDisconnected):
            await send(ACCEPT)

    app = App(deny, accept=None)
    client = Client(app)
    await client.open()
    await settle(client.task.done)
    assert app.error is None
    assert client.status == 401
    assert b"x-why: no" in client.head
    assert client.body == b"3\r\nno \r\n5\r\nentry\r\n0\r\n\r\n"
    assert client.transport.closed


@on_a_loop
async def test_a_refusal_that_is_not_ended_is_cut(logged):
    async def deny(receive, send):
        start = {"type": "websocket.http.response.start", "status": 401}
        body = {"type": "websocket.http.response.body", "body": b"no"}
        await send(start)
        await send({**body, "more_body": True})
        raise LookupError("what now?")

    client = Client(App(deny, accept=None))
    await client.open()
    await settle(client.task.done)
    assert client.body == b"2\r\nno\r\n"
    assert client.transport.closed
    assert "what now?" in errors(logged)[0]


@on_a_loop
async def test_an_application_that_raises_before_accept(logged):
    async def fail(receive, send):
        raise LookupError("no idea")

    client = Client(App(fail, accept=None))
    await client.open()
    await settle(client.task.done)
    assert client.status == 500
    assert "LookupError: no idea" in errors(logged)[0]


@on_a_loop
async def test_an_application_that_returns_before_accept(logged):
    async def nothing(receive, send):
        pass

    client = Client(App(nothing, accept=None))
    await client.open()
    await settle(client.task.done)
    assert client.status == 500
    assert "without answering GET /chat?a=b" in errors(logged)[0]


@on_a_loop
async def test_the_client_leaves_before_accept():
    app = App(listen, accept=None)
    client = Client(app)
    client.transport.feed(head())
    await client.leave()
    assert app.got[-1] == disconnect(1006)
    assert client.transport.sent == b""


@on_a_loop
async def test_frames_before_accept_are_not_passed_on():
    gate = asyncio.Event()

    async def listen_too_early(receive, send):
        waiting = asyncio.ensure_future(receive())
        await gate.wait()
        assert not waiting.done()
        waiting.cancel()
        await send(ACCEPT)
        await listen(receive, send)

    app = App(listen_too_early, accept=None)
    client = Client(app)
    await client.say(head())
    await client.say(text("too early"))
    gate.set()
    await settle()
    assert client.status == 101
    await client.leave()
    assert app.got[-1] == disconnect(1006)


@pytest.mark.parametrize("early", [text("early"), b"\x83\x80zzzz"])
@on_a_loop
async def test_frames_are_not_read_while_a_refusal_is_under_way(early, logged):
    gate = asyncio.Event()

    async def deny(receive, send):
        await send({**DENIAL, "headers": [(b"content-length", b"2")]})
        waiting = asyncio.ensure_future(receive())
        await gate.wait()
        assert not waiting.done()
        await send(DENIAL_BODY)
        assert await waiting == disconnect(1006)

    app = App(deny, accept=None)
    client = Client(app)
    await client.say(head() + early)
    await client.say(early)
    gate.set()
    await settle(client.task.done)
    assert (client.status, client.body) == (401, b"no")
    await client.leave()
    assert app.error is None
    assert logged.messages == []


@on_a_loop
async def test_a_client_that_talks_without_end_before_accept():
    gate = asyncio.Event()

    async def wait(receive, send):
        await gate.wait()
        assert await receive() == disconnect(1006)

    app = App(wait, accept=None)
    client = Client(app)
    client.transport.feed(head())
    for _ in range(10):
        await client.say(bytes(60_000))
    assert len(client.conversation.connection.buffer) < 3 * 65_536
    gate.set()
    await client.leave()
    assert app.error is None


@pytest.mark.parametrize(
    ("message", "error"),
    [
        ({"type": "websocket.send", "text": "x"}, ContractError),
        ({"type": "http.response.start", "status": 200}, ContractError),
        ({"type": "nonsense"}, ContractError),
        ({**ACCEPT, "subprotocol": 7}, ContractError),
        ({**ACCEPT, "subprotocol": "unasked"}, BadResponse),
        ({**ACCEPT, "headers": [("a", "b")]}, BadResponse),
        ({**ACCEPT, "headers": [(b"a", b"b\r\nc: d")]}, BadResponse),
    ],
)
@on_a_loop
async def test_wrong_messages_before_accept(message, error):
    async def wrong(receive, send):
        with pytest.raises(error):
            await send(message)
        await send(ACCEPT)

    app = App(wrong, accept=None)
    client = await opened(app)
    await client.leave()
    assert app.error is None


# Messages


@pytest.mark.parametrize(
    ("sent", "key", "value"),
    [
        (frame(FIN | TEXT, "hé".encode()), "text", "hé"),
        (frame(FIN | BINARY, b"\xff"), "bytes", b"\xff"),
        (frame(FIN | TEXT), "text", ""),
        (frame(FIN | BINARY), "bytes", b""),
        (frame(TEXT, b"a") + frame(FIN, b"b"), "text", "ab"),
    ],
)
@on_a_loop
async def test_what_the_application_is_given(sent, key, value):
    app = App()
    client = await opened(app)
    await client.say(sent)
    assert app.got[1] == {"type": "websocket.receive", key: value}
    data = value if key == "bytes" else value.encode()
    opcode = BINARY if key == "bytes" else TEXT
    assert client.frames == [(FIN | opcode, data)]
    await client.leave()


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ({"text": "x"}, (FIN | TEXT, b"x")),
        ({"text": ""}, (FIN | TEXT, b"")),
        ({"bytes": b"x"}, (FIN | BINARY, b"x")),
        ({"bytes": b""}, (FIN | BINARY, b"")),
        ({"bytes": bytearray(b"x")}, (FIN | BINARY, b"x")),
        ({"bytes": memoryview(b"x")}, (FIN | BINARY, b"x")),
        ({"text": "x", "bytes": None}, (FIN | TEXT, b"x")),
        ({"text": None, "bytes": b"x"}, (FIN | BINARY, b"x")),
        ({"text": "x" * 70_000}, (FIN | TEXT, b"x" * 70_000)),
    ],
)
@on_a_loop
async def test_what_the_application_may_send(message, expected):
    async def speak(receive, send):
        await send({"type": "websocket.send", **message})
        await listen(receive, send)

    client = await opened(App(speak))
    await settle()
    assert client.frames == [expected]
    await client.leave()


@pytest.mark.parametrize(
    "message",
    [
        {"type": "websocket.send"},
        {"type": "websocket.send", "text": None, "bytes": None},
        {"type": "websocket.send", "text": "x", "bytes": b"x"},
        {"type": "websocket.send", "text": b"x"},
        {"type": "websocket.send", "bytes": "x"},
        {"type": "websocket.accept"},
        {"type": "websocket.close", "code": 1006},
        {"type": "websocket.close", "code": 999},
        {"type": "websocket.close", "code": 70_000},
        {"type": "websocket.close", "code": -1},
        {"type": "websocket.close", "code": "1000"},
        {"type": "websocket.close", "reason": "x" * 124},
        {"type": "websocket.http.response.start", "status": 403},
    ],
)
@on_a_loop
async def test_messages_that_the_application_may_not_send(message):
    async def wrong(receive, send):
        with pytest.raises(ContractError):
            await send(message)
        await send({"type": "websocket.send", "text": "still here"})
        await listen(receive, send)

    client = await opened(App(wrong))
    await settle()
    assert client.frames == [(FIN | TEXT, b"still here")]
    await client.leave()


@on_a_loop
async def test_compressed_messages_both_ways():
    extension = b"Sec-WebSocket-Extensions: permessage-deflate"
    app = App()
    client = await opened(app, extension)
    compressor = zlib.compressobj(wbits=-15)
    inflater = zlib.decompressobj(-15)
    for words in "hello hello hello", "hello again", "", "plain":
        data = compressor.compress(words.encode())
        data += compressor.flush(zlib.Z_SYNC_FLUSH)
        sent = frame(FIN | RSV1 | TEXT, data.removesuffix(b"\0\0\xff\xff"))
        await client.say(sent if words not in ("", "plain") else text(words))
        first, payload = client.frames[-1]
        if words:
            assert first == FIN | RSV1 | TEXT
            payload = inflater.decompress(payload + b"\0\0\xff\xff")
        assert payload == words.encode()
    await client.leave()


@on_a_loop
async def test_compression_can_be_turned_off():
    extension = b"Sec-WebSocket-Extensions: permessage-deflate"
    app = App()
    client = await opened(app, extension, ws_per_message_deflate=False)
    assert b"extensions" not in client.head
    await client.say(frame(FIN | RSV1 | TEXT, b"x"))
    assert client.frames[0][1][:2] == (1002).to_bytes(2, "big")
    await client.leave()


@on_a_loop
async def test_a_bomb_ends_in_1009():
    extension = b"Sec-WebSocket-Extensions: permessage-deflate"
    app = App()
    client = await opened(app, extension, ws_max_size=1000)
    compressor = zlib.compressobj(wbits=-15)
    data = compressor.compress(bytes(10 * MIB))
    data += compressor.flush(zlib.Z_SYNC_FLUSH)
    await client.say(frame(FIN | RSV1 | BINARY, data[:-4]))
    assert app.got[-1]["code"] == 1009
    assert client.frames[0][1][:2] == (1009).to_bytes(2, "big")
    await client.leave()


@on_a_loop
async def test_the_limit_is_a_setting():
    app = App()
    client = await opened(app, ws_max_size=5)
    await client.say(text("12345"), text("123456"))
    assert app.said[0] == "12345"
    assert app.got[-1] == disconnect(1009, "a message of more than 5 bytes")
    await client.leave()


@on_a_loop
async def test_the_limit_is_told_also_for_compressed_fragments():
    extension = b"Sec-WebSocket-Extensions: permessage-deflate"
    app = App()
    client = await opened(app, extension, ws_max_size=1000)
    compressor = zlib.compressobj(wbits=-15)
    one, two = (
        compressor.compress(bytes(size))
        + compressor.flush(zlib.Z_SYNC_FLUSH)
        for size in (900, 200)
    )  # fmt: skip
    await client.say(frame(RSV1 | BINARY, one) + frame(FIN, two[:-4]))
    told = disconnect(1009, "a message of more than 1000 bytes")
    assert app.got[-1] == told
    await client.leave()


# Who reads, and how far ahead


@on_a_loop
async def test_an_application_that_only_sends_is_not_deaf():
    """Many small messages, then a ping and a Close; all are heard."""
    tick = asyncio.Event()

    async def ticker(receive, send):
        await tick.wait()
        await send({"type": "websocket.send", "text": "tick"})

    app = App(ticker)
    client = await opened(app)
    await client.say(*[text("x")] * 900, frame(FIN | PING, b"?"))
    await settle(turns=1000)
    assert client.frames == [(FIN | PONG, b"?")]
    await client.say(close(1000))
    await pass_time(module.GRACE + 0.1)
    assert client.frames[1:] == [(FIN | CLOSE, b"\x03\xe8")]
    tick.set()
    await client.leave()
    assert isinstance(app.error, ClientDisconnected)


@on_a_loop
async def test_an_application_that_sends_without_end_is_not_the_only_one():
    done = []

    async def speak(receive, send):
        for _ in range(10_000):
            await send({"type": "websocket.send", "text": "x"})
        done.append("the one that sends")

    async def meanwhile():
        await asyncio.sleep(0)
        done.append("the other")

    other = asyncio.ensure_future(meanwhile())
    client = await opened(App(speak))
    await settle(lambda: len(done) == 2, turns=1000)
    await other
    assert done == ["the other", "the one that sends"]
    await client.leave()


@on_a_loop
async def test_an_application_with_a_thousand_messages_is_not_the_only_one():
    """It takes them from where the watcher has put them."""
    gate = asyncio.Event()
    app = App()

    async def take(receive, send):
        await gate.wait()
        await listen(receive, send)

    app.then = take
    client = await opened(app)
    await client.say(text("x") * 900)
    await settle(turns=1000)
    gate.set()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert 0 < len(app.said) <= 2 * module.FAIR_SHARE
    await settle()
    assert len(app.said) == 900
    await client.leave()


@on_a_loop
async def test_pings_are_answered_while_the_application_is_busy():
    gate = asyncio.Event()
    app = App(busy_until(gate))
    client = await opened(app)
    await client.say(text("one"))
    await client.say(frame(FIN | PING, b"1"), text("two"))
    await client.say(frame(FIN | PING, b"2"))
    assert client.frames == [(FIN | PONG, b"1"), (FIN | PONG, b"2")]
    gate.set()
    await settle()
    assert client.frames[2:] == [(FIN | TEXT, b"one"), (FIN | TEXT, b"two")]
    await client.leave()


@on_a_loop
async def test_no_task_is_needed_for_an_echo():
    app = App()
    client = await opened(app, ws_ping_interval=0)
    before = len(asyncio.all_tasks())
    for number in range(100):
        await client.say(text(str(number)))
    assert len(asyncio.all_tasks()) == before
    assert len(client.frames) == 100
    await client.leave()


@pytest.mark.parametrize("size", [0, 100, 60_000])
@on_a_loop
async def test_what_is_read_ahead_is_bounded(size):
    gate = asyncio.Event()
    app = App(busy_until(gate))
    client = await opened(app)
    socket = client.conversation.exchange
    cost = module.MESSAGE_COST + size
    count = 2 * module.READ_AHEAD // cost + 1
    await client.say(*[frame(FIN | BINARY, bytes(size))] * count)
    await settle()
    assert len(app.said) == 1
    ahead = len(socket._inbox) * cost
    assert module.READ_AHEAD < ahead <= module.READ_AHEAD + cost
    assert socket._ahead == ahead
    gate.set()
    await settle(lambda: len(client.frames) == count, turns=5000)
    assert len(client.frames) == count
    await client.say(frame(FIN | BINARY, b"still read"))
    assert client.frames[-1] == (FIN | BINARY, b"still read")
    await client.leave()


@on_a_loop
async def test_two_tasks_may_receive_at_the_same_time():
    got = []

    async def pair(receive, send):
        async def one():
            while (message := await receive())["type"] == "websocket.receive":
                got.append(message["text"])

        await asyncio.gather(one(), one())

    app = App(pair)
    client = await opened(app)
    for word in "abc":
        await client.say(text(word))
    await client.say(close(1000))
    assert got == ["a", "b", "c"]
    assert app.got[-2:] == [disconnect(1000)] * 2
    await client.leave()


@on_a_loop
async def test_a_receive_that_is_cancelled_loses_nothing():
    ready = asyncio.Event()

    async def impatient(receive, send):
        for turns in range(5):
            waiting = asyncio.ensure_future(receive())
            await settle(turns=turns)
            waiting.cancel()
            await asyncio.wait([waiting])
        ready.set()
        await echo(receive, send)

    app = App(impatient)
    client = await opened(app)
    await ready.wait()
    await client.say(text("a"))
    await client.say(text("b"))
    assert [payload for _, payload in client.frames] == [b"a", b"b"]
    await client.leave()


@on_a_loop
async def test_a_send_that_waits_for_a_slow_client():
    """What `send` waits for is the transport; the client is read meanwhile."""
    room = asyncio.Event()

    class Slow(MemoryTransport):
        def write(self, data):
            super().write(data)
            return len(data) > 1000

        async def drain(self):
            await room.wait()

    async def speak(receive, send):
        for _ in range(3):
            await send({"type": "websocket.send", "bytes": bytes(2000)})
        await listen(receive, send)

    app = App(speak)
    client = Client(app)
    client.transport.__class__ = Slow
    await client.open()
    await client.say(frame(FIN | PING, b"?"))
    assert client.frames == [(FIN | BINARY, bytes(2000)), (FIN | PONG, b"?")]
    room.set()
    await settle()
    assert len(client.frames) == 4
    await client.leave()


@on_a_loop
async def test_a_client_with_a_thousand_messages_is_not_the_only_one():
    app = App()
    client = await opened(app)
    other = await opened(App())
    client.transport.feed(text("x") * 1000)
    other.transport.feed(text("me too"))
    await settle(lambda: other.frames, turns=10)
    assert other.frames == [(FIN | TEXT, b"me too")]
    assert len(client.frames) < 1000
    await settle(lambda: len(client.frames) == 1000)
    assert len(client.frames) == 1000
    await client.leave()
    await other.leave()


# The client closes, or makes a mistake


@pytest.mark.parametrize(
    ("sent", "code", "reason"),
    [
        (close(1000), 1000, ""),
        (close(4321, "lunch é"), 4321, "lunch é"),
        (frame(FIN | CLOSE), 1005, ""),
        (close(1001, "x" * 123), 1001, "x" * 123),
    ],
)
@on_a_loop
async def test_the_clients_code_and_reason(sent, code, reason):
    app = App()
    client = await opened(app)
    await client.say(sent)
    assert app.got[-1] == disconnect(code, reason)
    expected = b"" if code == 1005 else code.to_bytes(2, "big")
    assert client.frames == [(FIN | CLOSE, expected + reason.encode())]
    assert client.transport.closed  # at once; the client hangs up after us
    await client.leave()


@pytest.mark.parametrize("data", [b"", b"\x81", text("half")[:-1]])
@on_a_loop
async def test_a_client_that_is_lost(data):
    app = App()
    client = await opened(app)
    if data:
        await client.say(data)
    await client.leave()
    assert app.got[-1] == disconnect(1006)
    assert client.frames == []


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (b"\x83\x80", 1002),
        (b"\x81\x01x", 1002),
        (frame(FIN | TEXT, b"\xff"), 1007),
        (frame(FIN | TEXT, b"12345678901"), 1009),
        (close(1006), 1002),
    ],
)
@on_a_loop
async def test_a_mistake_of_the_client(sent, code):
    app = App()
    client = await opened(app, ws_max_size=10)
    await client.say(text("one") + sent + text("never read"))
    assert app.said[0] == "one"
    assert app.got[-1]["code"] == code
    assert app.got[-1]["reason"]
    answers = client.frames
    assert answers[0] == (FIN | TEXT, b"one")  # answered before the end
    assert answers[1][1][:2] == code.to_bytes(2, "big")
    assert len(answers) == 2
    assert client.transport.closed
    await client.leave()


@pytest.mark.parametrize(
    ("end", "code"), [(close(4000), 4000), (b"\x83\x80", 1002)]
)
@on_a_loop
async def test_messages_before_the_end_are_answered_by_a_busy_app(end, code):
    gate = asyncio.Event()
    app = App(busy_until(gate))
    client = await opened(app)
    await client.say(text("one") + text("two") + end)
    assert client.frames == []
    gate.set()
    await settle()
    assert client.frames[:2] == [(FIN | TEXT, b"one"), (FIN | TEXT, b"two")]
    assert client.frames[2][1][:2] == code.to_bytes(2, "big")
    assert app.got[-1]["code"] == code
    await client.leave()


@on_a_loop
async def test_an_application_that_is_too_busy_to_answer():
    gate = asyncio.Event()
    app = App(busy_until(gate))
    client = await opened(app)
    await client.say(text("one") + text("two") + close(1000))
    await pass_time(module.GRACE + 0.1)
    assert client.frames == [(FIN | CLOSE, b"\x03\xe8")]
    assert client.transport.closed
    gate.set()
    await client.leave()
    assert app.said[0] == "one"
    assert isinstance(app.error, ClientDisconnected)


@on_a_loop
async def test_an_application_that_only_sends_learns_of_the_close(logged):
    tick = asyncio.Event()

    async def ticker(receive, send):
        while True:
            await tick.wait()
            await send({"type": "websocket.send", "text": "tick"})

    app = App(ticker)
    client = await opened(app)
    await client.say(close(1001))
    assert client.frames == [(FIN | CLOSE, b"\x03\xe9")]
    tick.set()
    await client.leave()
    assert isinstance(app.error, OSError)
    assert errors(logged) == []


@on_a_loop
async def test_send_after_the_client_has_gone():
    async def late(receive, send):
        await listen(receive, send)
        for _ in range(2):
            with pytest.raises(OSError, match="closed"):
                await send({"type": "websocket.send", "text": "x"})
        with pytest.raises(OSError, match="closed"):
            await send(CLOSE_IT)

    app = App(late)
    client = await opened(app)
    await client.leave()
    assert app.error is None


@on_a_loop
async def test_a_write_that_fails():
    async def speak(receive, send):
        assert (await receive())["text"] == "go"
        with pytest.raises(ClientDisconnected):
            await send({"type": "websocket.send", "text": "x"})
        assert await receive() == disconnect(1006)

    app = App(speak)
    client = await opened(app)
    client.transport.closed = True
    await client.say(text("go"))
    assert client.task.done()
    assert app.error is None


DENIAL = {"type": "websocket.http.response.start", "status": 401}
DENIAL_BODY = {"type": "websocket.http.response.body", "body": b"no"}


@pytest.mark.parametrize("decision", [ACCEPT, CLOSE_IT, DENIAL])
@on_a_loop
async def test_a_decision_after_the_disconnect(decision):
    async def decide(receive, send):
        assert await receive() == disconnect(1006)
        for _ in range(2):
            with pytest.raises(ClientDisconnected):
                await send(decision)

    app = App(decide, accept=None)
    client = Client(app)
    client.transport.feed(head())
    await client.leave()
    assert app.error is None
    assert client.transport.sent == b""


@pytest.mark.parametrize("decision", [[ACCEPT], [DENIAL, DENIAL_BODY]])
@on_a_loop
async def test_a_decision_that_cannot_be_written(decision):
    async def decide(receive, send):
        client.transport.closed = True
        *before, last = decision
        for message in before:
            await send(message)
        for message in last, last, ACCEPT, CLOSE_IT:
            with pytest.raises(ClientDisconnected):
                await send(message)
        assert await receive() == disconnect(1006)

    app = App(decide, accept=None)
    client = Client(app)
    client.transport.feed(head())
    await settle()
    await client.leave()
    assert app.error is None


@on_a_loop
async def test_a_decision_after_the_server_has_stopped():
    async def decide(receive, send):
        assert (await receive())["code"] == 1012
        with pytest.raises(ClientDisconnected):
            await send(ACCEPT)

    app = App(decide, accept=None)
    client = Client(app)
    await client.say(head())
    client.conversation.leave()
    await client.leave()
    assert client.status == 503
    assert app.error is None


@on_a_loop
async def test_disconnect_is_told_again_and_the_others_may_run():
    async def deaf(receive, send):
        for _ in range(1000):
            await receive()

    app = App(deaf)
    client = await opened(app)
    other = await opened(App())
    await client.say(close(1000))
    await other.say(text("hello"))
    assert other.frames == [(FIN | TEXT, b"hello")]
    await settle(turns=1000)
    assert app.got[-1] == disconnect(1000)
    await client.leave()
    await other.leave()


# The application closes


@pytest.mark.parametrize(
    ("message", "payload"),
    [
        (CLOSE_IT, b"\x03\xe8"),
        ({**CLOSE_IT, "code": 4000, "reason": "bye"}, b"\x0f\xa0bye"),
        ({**CLOSE_IT, "code": 1001, "reason": None}, b"\x03\xe9"),
        ({**CLOSE_IT, "code": 1005}, b""),  # as a proxy passes it on
    ],
)
@on_a_loop
async def test_the_application_closes(message, payload):
    async def leave(receive, send):
        await send(message)
        code, reason = message.get("code", 1000), message.get("reason") or ""
        assert await receive() == disconnect(code, reason)
        with pytest.raises(ClientDisconnected):
            await send({"type": "websocket.send", "text": "x"})

    app = App(leave)
    client = await opened(app)
    await settle()
    assert client.frames == [(FIN | CLOSE, payload)]
    assert not client.transport.closed  # the client's Close is waited for
    await client.say(text("crossing"), frame(FIN | PING, b"?"), close(1000))
    assert client.frames == [(FIN | CLOSE, payload), (FIN | PONG, b"?")]
    assert client.transport.closed
    await client.leave()
    assert app.error is None


@on_a_loop
async def test_a_client_that_never_answers_our_close():
    async def leave(receive, send):
        await send(CLOSE_IT)

    client = await opened(App(leave))
    await client.say(*[text("I do not listen")] * 100)
    assert not client.task.done()
    await pass_time(module.CLOSE_LIMIT - 1)
    assert not client.task.done()
    await pass_time(2)
    assert client.task.done()
    assert client.transport.closed


@on_a_loop
async def test_a_close_that_is_cancelled_has_a_limit_all_the_same():
    room = asyncio.Event()

    class Slow(MemoryTransport):
        def write(self, data):
            super().write(data)
            return True

        async def drain(self):
            await room.wait()

    async def leave(receive, send):
        closing = asyncio.ensure_future(send(CLOSE_IT))
        await settle(lambda: client.frames)
        closing.cancel()

    client = Client(App(leave))
    await client.open()
    client.transport.__class__ = Slow
    await settle()
    assert client.frames == [(FIN | CLOSE, b"\x03\xe8")]
    room.set()
    await pass_time(module.CLOSE_LIMIT + 1)
    await pass_time(LINGER + 1, client.transport)
    assert client.task.done()


@on_a_loop
async def test_who_sends_after_its_own_close():
    """The same before and after the client has answered it."""
    answered = asyncio.Event()

    async def leave(receive, send):
        await send(CLOSE_IT)
        for _ in range(2):
            with pytest.raises(ClientDisconnected):
                await send({"type": "websocket.send", "text": "x"})
            for wrong in CLOSE_IT, ACCEPT, None:
                with pytest.raises(ContractError):
                    await send(wrong)
            await answered.wait()

    app = App(leave)
    client = await opened(app)
    await client.say(close(1000))
    assert client.transport.closed
    answered.set()
    await client.leave()
    assert app.error is None


@on_a_loop
async def test_a_ping_after_our_close_is_answered_until_the_client_closes():
    """RFC 6455, section 5.5.2."""

    async def leave(receive, send):
        await send(CLOSE_IT)

    client = await opened(App(leave))
    await client.say(frame(FIN | PING, b"1"), frame(FIN | PING, b"2"))
    await client.say(close(1000) + frame(FIN | PING, b"3"))
    answers = [(FIN | PONG, b"1"), (FIN | PONG, b"2")]
    assert client.frames == [(FIN | CLOSE, b"\x03\xe8"), *answers]
    await client.leave()


@on_a_loop
async def test_return_without_close_is_a_close():
    async def nothing(receive, send):
        pass

    client = await opened(App(nothing))
    await settle()
    assert client.frames == [(FIN | CLOSE, b"\x03\xe8")]
    await client.say(close(1000))
    assert client.transport.closed
    await client.leave()


@on_a_loop
async def test_raise_is_a_close_with_1011(logged):
    async def fail(receive, send):
        raise LookupError("no idea")

    client = await opened(App(fail))
    await settle()
    assert client.frames == [(FIN | CLOSE, b"\x03\xf3")]
    assert "LookupError: no idea" in errors(logged)[0]
    await client.leave()


@on_a_loop
async def test_raise_because_the_client_left_is_not_an_error(logged):
    class Disconnected(Exception):
        pass

    async def framework(receive, send):
        await listen(receive, send)
        raise Disconnected

    client = await opened(App(framework))
    await client.say(close(1001))
    await client.leave()
    assert errors(logged) == []


@on_a_loop
async def test_context_variables_are_the_connections_own():
    note = ContextVar("note", default="unset")
    seen = []

    async def write(receive, send):
        seen.append(note.get())
        note.set("written")
        await listen(receive, send)

    for _ in range(2):
        client = await opened(App(write))
        await client.leave()
    assert seen == ["unset", "unset"]


# Pings of our own


class Answering(MemoryTransport):
    """A client that answers each ping at once."""

    def write(self, data):
        if data == PING_OF_OURS:
            self.feed(frame(FIN | PONG))
        return super().write(data)


PING_OF_OURS = bytes([FIN | PING, 0])


@on_a_loop
async def test_a_client_that_answers_is_not_given_up_by_a_slow_application():
    """Its messages are worked off for minutes; nothing is read meanwhile."""
    loop = asyncio.get_running_loop()

    async def work(receive, send):
        while (await receive())["type"] == "websocket.receive":
            loop.now += 0.5

    app = App(work)
    client = await opened(app)
    client.transport.__class__ = Answering
    await client.say(text("x") * 1000)
    assert client.frames.count((FIN | PING, b"")) > 3
    assert app.said == ["x"] * 1000
    assert not client.task.done()
    await client.leave()


@on_a_loop
async def test_a_client_that_is_there_is_asked_again():
    app = App()
    client = await opened(app, ws_ping_interval=20, ws_ping_timeout=10)
    await settle()
    for number in range(1, 4):
        await pass_time(20 if number == 1 else 10)
        assert client.frames == [(FIN | PING, b"")] * number
        await client.say(frame(FIN | PONG))
        await pass_time(10)
        assert len(client.frames) == number
    await client.say(text("hello"))
    assert client.frames[-1] == (FIN | TEXT, b"hello")
    await client.leave()


@on_a_loop
async def test_a_client_that_is_not_there_is_given_up():
    app = App()
    client = await opened(app, ws_ping_interval=20, ws_ping_timeout=10)
    await settle()
    await pass_time(20)
    await pass_time(9)
    assert not client.task.done()
    await pass_time(1)
    await settle(client.task.done)
    assert client.task.done()
    assert app.got[-1] == disconnect(1006)
    assert client.transport.closed


@on_a_loop
async def test_any_sign_of_life_will_do():
    app = App()
    client = await opened(app)
    await settle()
    await pass_time(20)
    await client.say(b"\x81")  # a frame that takes its time
    await pass_time(20)
    assert not client.task.done()
    await client.leave()


@on_a_loop
async def test_a_client_we_do_not_listen_to_is_not_given_up():
    gate = asyncio.Event()
    app = App(busy_until(gate))
    client = await opened(app)
    count = module.READ_AHEAD // module.MESSAGE_COST + 1
    await client.say(*[text("x")] * count)
    await settle(turns=1000)
    for _ in range(5):
        await pass_time(20)
    assert not client.task.done()
    gate.set()
    await settle(turns=1000)
    assert client.frames.count((FIN | TEXT, b"x")) == count
    await client.leave()


@on_a_loop
async def test_a_ping_that_cannot_be_written():
    failed = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: failed.append(context))
    client = await opened(App())
    await settle()
    client.transport.closed = True
    await pass_time(20)
    await pass_time(20)
    assert client.task.done()
    gc.collect()
    assert failed == []


@pytest.mark.parametrize(
    "settings", [{"ws_ping_interval": 0}, {"timeouts": False}]
)
@on_a_loop
async def test_pings_can_be_turned_off(settings):
    client = await opened(App(), **settings)
    await settle()
    for _ in range(5):
        await pass_time(100)
    assert client.frames == []
    await client.leave()


@on_a_loop
async def test_ping_without_a_time_limit():
    client = await opened(App(), ws_ping_timeout=0)
    await settle()
    for number in range(1, 5):
        await pass_time(20)
        assert len(client.frames) == number
    await client.leave()


@on_a_loop
async def test_a_client_is_given_up_though_the_application_is_busy():
    gate = asyncio.Event()
    client = await opened(App(busy_until(gate)))
    await client.say(text("x"))  # and now the watcher reads
    await pass_time(20)
    await pass_time(20)
    assert client.transport.closed
    gate.set()
    await client.leave()


# The server stops


@on_a_loop
async def test_the_server_stops():
    app = App()
    client = await opened(app)
    await client.say(text("hello"))
    client.conversation.leave()
    await client.leave()
    assert app.got[-1] == disconnect(1012, "the server is stopping")
    assert client.frames[-1][1][:2] == (1012).to_bytes(2, "big")
    assert client.transport.closed


@on_a_loop
async def test_the_server_stops_while_the_application_is_busy():
    gate = asyncio.Event()
    app = App(busy_until(gate))
    client = await opened(app)
    await client.say(text("one"))
    client.conversation.leave()
    await settle()
    assert client.frames == []
    gate.set()
    await settle(client.task.done)
    assert client.frames[0] == (FIN | TEXT, b"one")
    assert client.frames[1][1][:2] == (1012).to_bytes(2, "big")
    assert app.got[-1]["code"] == 1012


@on_a_loop
async def test_the_server_stops_before_accept():
    app = App(listen, accept=None)
    client = Client(app)
    await client.say(head())
    client.conversation.leave()
    await settle(client.task.done)
    assert client.status == 503
    assert app.got[-1]["code"] == 1012


@on_a_loop
async def test_the_server_stops_while_a_close_is_waited_for():
    async def leave(receive, send):
        await send({**CLOSE_IT, "code": 4000})

    client = await opened(App(leave))
    await settle()
    client.conversation.leave()
    await client.leave()
    assert client.frames == [(FIN | CLOSE, b"\x0f\xa0")]


@on_a_loop
async def test_a_task_that_is_cancelled_leaves_nothing_behind():
    before = asyncio.all_tasks()
    gate = asyncio.Event()
    client = await opened(App(busy_until(gate)))
    await client.say(text("x"))
    client.server.ending = True
    client.task.cancel()
    await settle(client.task.done)
    await settle()
    assert asyncio.all_tasks() == before
    assert client.transport.closed


@on_a_loop
async def test_too_many_connections_are_told_503(logged):
    server = Server(
        App(), Settings(**QUIET, limit_concurrency=1),
        {b"websocket": websocket},
    )  # fmt: skip
    first = Client(None, server=server)
    await first.open()
    second = Client(None, server=server)
    second.transport.feed(head())
    await settle(lambda: second.transport.sent)
    assert second.status == 503
    assert errors(logged) == []
    await settle()
    await first.say(close(1000))


@on_a_loop
async def test_who_said_goodbye_takes_a_place_while_the_application_works():
    gate = asyncio.Event()

    async def tidy_up(receive, send):
        while (await receive())["type"] == "websocket.receive":
            pass
        await gate.wait()

    server = Server(
        App(tidy_up), Settings(**QUIET, limit_concurrency=1),
        {b"websocket": websocket},
    )  # fmt: skip
    first = Client(None, server=server)
    await first.open()
    await first.say(close(1000))
    second = Client(None, server=server)
    second.transport.feed(head())
    await settle(lambda: second.transport.sent)
    assert second.status == 503
    gate.set()
    await settle()
    third = Client(None, server=server)
    await third.open()
    assert third.status == 101
    for client in first, second:
        client.transport.feed(b"")
        await settle(client.task.done)
    await third.leave()


@on_a_loop
async def test_the_access_log(logged):
    client = await opened(App(), access_log=True)
    await client.leave()
    assert logged.messages == []  # decided when the server starts

    client = Client(App(), access_log=True)
    client.server.logs_access = True
    await client.open()
    assert "GET /chat?a=b  101 Switching Protocols  0 B" in logged.messages[-1]
    await client.leave()


@on_a_loop
async def test_fragments_with_everything_between_them():
    app = App()
    client = await opened(app)
    await client.say(frame(BINARY, b"a"), frame(FIN | PING, b"1"))
    await client.say(frame(CONTINUATION, b"b"), frame(FIN | PONG))
    await client.say(frame(FIN | CONTINUATION, b"c"))
    assert client.frames == [(FIN | PONG, b"1"), (FIN | BINARY, b"abc")]
    await client.leave()
