"""The trace: what it hears, and that nobody notices."""

import asyncio
import functools
import itertools
import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from asgi_ref import listen
from asgi_ref.frames import BINARY, CLOSE, FIN, PING, RSV1, TEXT, encode, xor
from asgi_ref.server import Server, Settings
from asgi_ref.trace import (
    COLUMNS,
    NAME,
    PROTOCOLS,
    SHOWN,
    STATIONS,
    Event,
    Stepper,
    Trace,
    Wire,
    json_line,
    ladder,
    snapshot,
)
from asgi_ref.transport import MemoryTransport
from asgi_ref.websocket import websocket
from tests.test_layout import ORDER

ROOT = Path(__file__).parents[1]
PATIENCE = 20  # seconds before something that never comes is an error
GET = b"GET /a?b=c HTTP/1.1\r\nHost: a\r\n\r\n"
LAST = GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
OPEN = (
    b"GET /chat HTTP/1.1\r\nHost: a\r\n"
    b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
START = {"type": "http.response.start", "status": 200}
BODY = {"type": "http.response.body", "body": b"hello"}
MORE = {**BODY, "more_body": True}
QUIET = {"date_header": False, "access_log": False}


def on_a_loop(test):
    """Run a coroutine function as a plain, bounded test."""

    @functools.wraps(test)
    def run(*arguments, **named):
        asyncio.run(asyncio.wait_for(test(*arguments, **named), PATIENCE))

    return run


def line_of(function, text):
    """Return "test_trace.py:12", where a text stands in a function."""
    first = function.__code__.co_firstlineno
    lines = Path(__file__).read_text(encoding="utf-8").splitlines()
    number = next(i for i in itertools.count(first) if text in lines[i]) + 1
    return f"test_trace.py:{number}"


class Serving:
    """A server on a real socket, traced or not; events: what was traced."""

    def __init__(self, app, traced=True, write=None):
        self.events, settings = [], Settings(lifespan="off", **QUIET)
        trace = Trace(write or self.events.append)
        parts = {"transport": trace.transport} if traced else {}
        self.sock = listen.listen(port=0)
        app = trace.app(app) if traced else app
        self.server = Server(app, settings, {b"websocket": websocket}, **parts)

    async def __aenter__(self):
        self.task = asyncio.create_task(self.server.serve(self.sock))
        await self.server.ready.wait()
        return self

    async def __aexit__(self, *error):
        self.server.stop()
        self.server.stop()
        await self.task
        self.sock.close()

    async def connect(self):
        return await asyncio.open_connection(*self.sock.getsockname())

    async def ask(self, *pieces):
        """Send pieces; return all that is answered up to the end."""
        reader, writer = await self.connect()
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        answer = await reader.read()
        writer.close()
        return answer

    def stations(self):
        return [event.station for event in self.events]


async def traced(app, *pieces):
    """Serve one client; return its events."""
    async with Serving(app) as serving:
        await serving.ask(*pieces)
    return serving.events


async def until(condition):
    """Wait for something that comes, but not when we say; see PATIENCE."""
    while not condition():
        await asyncio.sleep(0.001)


def of(events, station):
    return [event.what for event in events if event.station == station]


# Applications.


async def swallow(message):
    pass


async def hello(scope, receive, send):
    await send(START)
    await send(BODY)


async def echo(scope, receive, send):
    await send(START)
    more = True
    while more:
        message = await receive()
        more = message["more_body"]
        body = {**MORE, "body": message["body"], "more_body": more}
        await send(body)


async def fails_early(scope, receive, send):
    raise LookupError("early")


async def fails_late(scope, receive, send):
    await send(START)
    await send(MORE)
    raise LookupError("late")


async def silent(scope, receive, send):
    pass


async def wrong_order(scope, receive, send):
    await send(BODY)


async def file(scope, receive, send):
    await send({**START, "headers": [(b"a", b"b")]})
    await send({"type": "http.response.pathsend", "path": __file__})


async def hints(scope, receive, send):
    await send(START)
    await send({"type": "http.response.early_hint", "links": iter([b"<a>"])})
    await send(BODY)


async def generator(scope, receive, send):
    pairs = ((b"x", str(n).encode()) for n in range(3))
    await send({**START, "headers": pairs})
    await send({**BODY, "body": memoryview(b"hello")})


async def chat(scope, receive, send):
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message["text"][::-1]})


# The same conversation.


def masked(opcode, payload, first=FIN):
    """Return a client's frame."""
    mask, size = b"\x01\x02\x03\x04", len(payload)
    assert size < 126
    head = bytes([first | opcode, 0x80 | size])
    return head + mask + xor(payload, mask)


CONVERSATIONS = [
    (hello, [LAST]),
    (hello, [GET, LAST]),
    (hello, [LAST.replace(b"GET", b"HEAD")]),
    (hello, [b"GET / HTTP/1.0\r\n\r\n"]),
    (hello, [b"GET / HTTP/1.1\r\nHost : a\r\n\r\n"]),
    (hello, [b"\x16\x03\x01"]),
    (hello, [b"GET /" + b"a" * 70000]),
    (echo, [LAST.replace(b"GET", b"POST")]),
    (
        echo,
        [
            b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n",
            b"3\r\nabc\r\n",
            b"0\r\n\r\n",
        ],
    ),
    (echo, [LAST[:-2] + b"Content-Length: 3\r\nExpect: 100-continue\r\n\r\n"]),
    (fails_early, [LAST]),
    (fails_late, [LAST]),
    (silent, [LAST]),
    (wrong_order, [LAST]),
    (file, [LAST]),
    (hints, [LAST]),
    (generator, [LAST]),
    (chat, [OPEN, masked(TEXT, b"abc"), masked(CLOSE, b"\x03\xe8")]),
    (chat, [OPEN, masked(PING, b"abc"), masked(CLOSE, b"")]),
    (chat, [OPEN, masked(TEXT, b"\xff")]),
    (hello, [OPEN]),
]


@pytest.mark.parametrize(("app", "pieces"), CONVERSATIONS)
@on_a_loop
async def test_the_client_sees_no_difference(app, pieces):
    answers = []
    if b"100-continue" in pieces[0]:
        pieces = [*pieces, b"abc"]
    for is_traced in False, True:
        async with Serving(app, is_traced) as serving:
            answers.append(await serving.ask(*pieces))
    plain, heard = answers
    assert plain
    assert heard == plain


@on_a_loop
async def test_the_error_of_the_application_stays_the_same():
    cause, raised = KeyError("cause"), ValueError("it")

    async def app(scope, receive, send):
        try:
            raise cause
        except KeyError:
            raise raised  # noqa: B904

    with pytest.raises(ValueError, match="it") as caught:
        await Trace(print).app(app)({"type": "x"}, None, None)
    assert caught.value is raised
    assert raised.__context__ is cause
    assert raised.__cause__ is None
    assert not raised.__suppress_context__


@on_a_loop
async def test_the_application_gets_the_same_objects():
    scope, message, sent = {"type": "x"}, {"type": "hi"}, []

    async def app(given, receive, send):
        assert given is scope
        assert await receive() is message
        await send(message)

    async def receive():
        return message

    async def send(message):
        sent.append(message)

    await Trace(lambda event: None).app(app)(scope, receive, send)
    assert sent[0] is message


@on_a_loop
async def test_a_client_that_does_not_read_still_holds_up_the_application():
    piece, sent = {**MORE, "body": bytes(1 << 20)}, []

    async def app(scope, receive, send):
        await send(START)
        while True:
            await send(piece)
            sent.append(1)

    full = asyncio.Event()

    def write(event):
        if event.station == "drain":
            full.set()
        events.append((event.station, event.place))

    events = []
    async with Serving(app, write=write) as serving:
        _, writer = await serving.connect()
        writer.write(GET)
        await full.wait()
        before = len(sent)
        for _ in range(100):
            await asyncio.sleep(0)
        assert len(sent) <= before + 20  # the kernel still takes some
        writer.transport.abort()
        await until(lambda: "raised" in [s for s, _ in events])
    assert ("refused", line_of(app, "await send(piece)")) in events


@on_a_loop
async def test_a_client_that_leaves_is_heard_of():
    async def app(scope, receive, send):
        while (await receive())["type"] != "http.disconnect":
            pass

    async with Serving(app) as serving:
        _, writer = await serving.connect()
        writer.write(GET)
        await until(lambda: "receive" in serving.stations())
        writer.close()
        await until(lambda: "returned" in serving.stations())
    heard = [message["type"] for message in of(serving.events, "receive")]
    assert heard == ["http.request", "http.disconnect"]


@on_a_loop
async def test_an_application_that_is_cancelled():
    async def app(scope, receive, send):
        await receive()
        await asyncio.Event().wait()

    serving = Serving(app)
    async with serving:
        _, writer = await serving.connect()
        writer.write(GET)
        await until(lambda: "receive" in serving.stations())
    assert of(serving.events, "raised")[0].startswith("CancelledError")
    assert "close" in serving.stations()


@on_a_loop
async def test_a_full_disk_ends_only_the_trace(caplog):
    calls = []

    def write(event):
        calls.append(event)
        raise OSError(28, "No space left on device")

    log = logging.getLogger("asgi_ref")
    log.addHandler(caplog.handler)
    try:
        async with Serving(hello, write=write) as serving:
            assert (await serving.ask(LAST)).endswith(b"hello")
    finally:
        log.removeHandler(caplog.handler)
    assert len(calls) == 1
    assert "No space left" in caplog.text


def test_a_server_without_it_does_not_even_import_it():
    code = "import asgi_ref.__main__, sys; print('asgi_ref.trace' in "
    done = subprocess.run(
        [sys.executable, "-c", code + "sys.modules)"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.stdout == "False\n"


# What is heard.


@on_a_loop
async def test_one_request_in_its_order():
    events = await traced(hello, LAST)
    stations = [event.station for event in events]
    assert stations[:8] == [
        *("open", "read", "request", "scope", "send", "send", "write"),
        "returned",
    ]
    assert stations[-1] == "close"
    assert of(events, "read")[0] == LAST
    assert of(events, "request") == ["GET /a?b=c HTTP/1.1"]
    assert of(events, "send") == [START, BODY]
    assert of(events, "write")[0].endswith(b"\r\n\r\nhello")
    assert events[7].place == f"test_trace.py:{hello.__code__.co_firstlineno}"


@on_a_loop
async def test_the_applications_own_lines():
    events = await traced(echo, LAST.replace(b"GET", b"POST"))
    places = [e.place for e in events if e.station in ("receive", "send")]
    assert places == [
        line_of(echo, "send(START)"),
        line_of(echo, "receive()"),
        line_of(echo, "send(body)"),
    ]


@on_a_loop
async def test_a_send_in_a_task_has_the_line_that_made_it():
    async def app(scope, receive, send):
        await send(START)
        task = asyncio.create_task(send(BODY))
        await task

    events = await traced(app, LAST)
    places = [e.place for e in events if e.station == "send"]
    assert places[1] == line_of(app, "create_task")


@on_a_loop
async def test_a_receive_in_a_task_has_the_line_that_made_it():
    async def app(scope, receive, send):
        await asyncio.create_task(receive())
        await hello(scope, receive, send)

    events = await traced(app, LAST)
    places = [e.place for e in events if e.station == "receive"]
    assert places == [line_of(app, "create_task")]


@on_a_loop
async def test_a_send_that_is_not_awaited_is_not_heard():
    async def app(scope, receive, send):
        forgotten = send(START)
        forgotten.close()

    events = await traced(app, LAST)
    assert "send" not in [event.station for event in events]


@on_a_loop
async def test_whoever_started_the_server_is_not_the_application():
    # Both are code of no file of the learner's, as a framework's would be.
    text = "async def app(scope, receive, send):\n    await send({})\n"
    text += "async def call(app, send):\n    await app({'type': 'x'}, 0, send)"
    names, events = {}, []
    exec(compile(text, "<string>", "exec"), names)
    app = Trace(events.append).app(names["app"])
    await asyncio.create_task(names["call"](app, swallow))
    assert [e.place for e in events if e.station == "send"] == [""]


@on_a_loop
async def test_connections_are_told_apart():
    events, first, second = [], MemoryTransport(), MemoryTransport()
    go_on = asyncio.Event()

    async def app(scope, receive, send):
        await send(START)
        await send({**BODY, "body": scope["query_string"]})
        if scope["path"] == "/behind":
            await go_on.wait()  # the next request comes to another task

    trace = Trace(events.append)
    server = Server(trace.app(app), Settings(lifespan="off", **QUIET))
    for transport, name in (first, b"1"), (second, b"2"):
        get = GET.replace(b"b=c", name)
        transport.feed(get.replace(b"/a", b"/behind") + get + LAST)
        transport.feed(b"")
        server.attend(trace.around(transport))
    await until(lambda: first.closed and second.closed)
    go_on.set()
    scopes = [e for e in events if e.station == "scope"]
    assert len(scopes) == 6
    for event in scopes[:2]:
        number = str(event.connection).encode()
        assert event.what["query_string"] == number
    assert [e.connection for e in scopes].count(1) == 3
    assert [e.connection for e in scopes].count(2) == 3
    asked = [e for e in events if e.station == "send" and "body" in e.what]
    assert {(e.connection, e.what["body"]) for e in asked} == {
        *((1, b"1"), (2, b"2"), (1, b"b=c"), (2, b"b=c"))
    }


@on_a_loop
async def test_lifespan_belongs_to_no_connection():
    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})

    events = []
    server = Server(Trace(events.append).app(app), Settings(**QUIET))
    await server.lifespan.startup()
    await server.lifespan.shutdown()
    await until(lambda: events[-1].station == "returned")
    assert {event.connection for event in events} == {0}
    assert of(events, "send")[0]["type"] == "lifespan.startup.complete"


def test_the_time_is_that_since_the_connection_began():
    now, events = [5.0], []
    trace = Trace(events.append, clock=lambda: now[0])

    async def converse():
        transport = trace.around(MemoryTransport())
        now[0] += 0.25
        transport.write(b"a")

    asyncio.run(converse())
    assert [event.ms for event in events] == [0, 250]


@on_a_loop
async def test_what_the_kernel_sends_of_a_file_is_named():
    events = await traced(file, LAST)
    size = os.path.getsize(__file__)
    assert f"{size} bytes of a file" in of(events, "write")


@on_a_loop
async def test_a_websocket_is_heard_as_bytes_frames_and_messages():
    pieces = [OPEN, masked(TEXT, b"abc"), masked(CLOSE, b"\x03\xe8bye")]
    events = await traced(chat, *pieces)
    frames = of(events, "frame")
    assert "text, 3 bytes, 'abc'" in frames
    assert "text, 3 bytes, 'cba'" in frames
    assert "close 1000, 5 bytes, 'bye'" in frames
    kinds = [message["type"] for message in of(events, "receive")]
    assert kinds[-1] == "websocket.disconnect"


# Secrets.

HEAD = (
    b"GET / HTTP/1.1\r\nHost: a\r\nAUTHORIZATION: Basic c2VjcmV0\r\n"
    b"X: y\r\ncookie:a=c2VjcmV0; b=c2VjcmV0\r\nZ: z\r\n\r\n"
)


@pytest.mark.parametrize("cut", range(len(HEAD)))
def test_no_secret_of_a_head_is_shown_wherever_it_is_cut(cut):
    wire = Wire()
    shown = wire.blank(HEAD[:cut]) + wire.blank(HEAD[cut:])
    assert b"c2V" not in shown
    for line in b"GET / HTTP/1.1\r\n", b"\r\nX: y\r\n", b"\r\nZ: z\r\n\r\n":
        assert line in shown


def test_no_secret_is_shown_of_a_head_that_drips_in():
    wire = Wire()
    shown = b"".join(wire.blank(bytes([byte])) for byte in HEAD)
    assert b"c2" not in shown
    assert b"\r\nX: y\r\n" in shown


def test_a_line_without_an_end_is_not_kept():
    wire = Wire()
    for _ in range(100):
        wire.blank(bytes(10000))
    assert len(wire._begun) <= NAME


def test_no_secret_of_a_message_is_shown():
    headers = [(b"Set-Cookie", b"c2VjcmV0"), [b"cookie", b"c2VjcmV0"]]
    headers += [(b"set-cookies", b"shown")]
    shown = repr(snapshot({"type": "a", "headers": headers}))
    assert "c2VjcmV0" not in shown
    assert "shown" in shown


@on_a_loop
async def test_no_secret_comes_through_a_server():
    async def app(scope, receive, send):
        assert (b"cookie", b"a=c2VjcmV0; b=c2VjcmV0") in scope["headers"]
        await send({**START, "headers": [(b"set-cookie", b"c2VjcmV0")]})
        await send(BODY)

    async with Serving(app) as serving:
        reader, writer = await serving.connect()
        writer.write(HEAD)
        answer = await reader.readuntil(b"hello")
        writer.close()
    assert b"set-cookie: c2VjcmV0\r\n" in answer
    lines = [json_line(event) for event in serving.events]
    lines += [ladder(event) for event in serving.events]
    assert "c2VjcmV0" not in "".join(lines)
    assert "set-cookie: ***" in "".join(lines)


# Copies.


def test_a_copy_does_not_change_with_its_original():
    body, headers = bytearray(b"abc"), [(b"a", b"b")]
    copy = snapshot({"body": body, "headers": headers, "n": None})
    body[:], headers[:] = b"xyz", []
    assert copy == {"body": b"abc", "headers": [(b"a", b"b")], "n": None}


def test_of_state_only_the_keys_are_copied():
    assert snapshot({"state": {"db": "secret"}}) == {"state": ["db"]}


def test_foreign_objects_are_only_named():
    class Shy:
        def __repr__(self):
            raise AssertionError("nobody shall ask")

    once = iter([1, 2])
    shown = snapshot({"a": Shy(), "b": once, "state": Shy()})
    assert shown == {"a": "<Shy>", "b": "<list_iterator>", "state": "<Shy>"}
    assert snapshot({Shy(): 1}) == {"<Shy>": 1}
    assert list(once) == [1, 2]


def test_what_contains_itself_has_an_end():
    message = {"type": "a"}
    message["self"] = message
    assert "<dict>" in repr(snapshot(message))


@pytest.mark.parametrize("message", ["text", None, 5, [], {}, {"type": 3}])
def test_what_is_no_message_is_shown_all_the_same(message):
    event = Event(0, 1, "send", snapshot(message))
    assert "send" in ladder(event)
    assert json.loads(json_line(event))


# Frames.

LONG, LONGER = b"a" * 200, b"a" * 70000
MANY = b"".join(
    [
        masked(TEXT, "é".encode()),
        masked(BINARY, b"\x00", 0),
        masked(0, b"\x01"),
        masked(PING, b"p"),
        encode(TEXT, LONG),
        encode(BINARY, LONGER),
        encode(RSV1 | TEXT, b"abc"),
        encode(CLOSE, b"\x03\xe8bye"),
        encode(CLOSE, b""),
        encode(7, b""),
    ]
)
IN_WORDS = [
    "text, 2 bytes, 'é'",
    r"binary, to be continued, 1 bytes, b'\x00'",
    r"more, 1 bytes, b'\x01'",
    "ping, 1 bytes, b'p'",
    f"text, 200 bytes, {'a' * 100!r}",
    f"binary, 70000 bytes, {b'a' * 100!r}",
    "text, 3 bytes, compressed",
    "close 1000, 5 bytes, 'bye'",
    "close, 0 bytes, ''",
    "opcode 7, 0 bytes, b''",
]


def test_frames_in_words():
    assert list(Wire().frames(MANY)) == IN_WORDS


def test_frames_whose_heads_are_cut():
    edge = MANY.index(b"\x82\x7f")  # a head of ten bytes
    for cut in range(edge, edge + 10):
        wire = Wire()
        words = [*wire.frames(MANY[:cut]), *wire.frames(MANY[cut:])]
        assert [w.partition(",")[0] for w in words] == [
            w.partition(",")[0] for w in IN_WORDS
        ]
        assert len(wire._begun) < 14


def test_a_payload_that_comes_in_many_pieces():
    wire, data = Wire(), encode(BINARY, LONGER) + encode(TEXT, b"next")
    words = []
    for start in range(0, len(data), 1000):
        words += wire.frames(data[start : start + 1000])
    assert [w.partition(",")[0] for w in words] == ["binary", "text"]
    assert words[1] == "text, 4 bytes, 'next'"


# For people.


@pytest.mark.parametrize("station", STATIONS)
@pytest.mark.parametrize(
    "what",
    [
        *("", "words", "long words" * 30, b"", b"\x00" * 9, b"text\r\n"),
        *(b"a" * 5000, b"a\n" * 5000, {}, {"type": "http.disconnect"}),
        {"type": "websocket.http.response.start", "headers": [(b"a", b"b")]},
        {"type": "http.request", "body": b"a" * 5000, "path": "a" * 5000},
    ],
)
def test_every_line_fits_and_says_whose_it_is(station, what):
    event = Event(123456.7, 7, station, what, "application.py:1234")
    lines = ladder(event).split("\n")
    for line in lines:
        assert len(line) <= COLUMNS
        assert line[10:13] == "#7 "
    assert len(lines) < 350


def test_a_terminal_is_given_no_orders():
    evil = "\x1b[2J\x07\u202e\x9b\n"
    for what in (
        *(evil, evil.encode(), b"GET " + evil.encode(), {"type": evil}),
        *({"type": "a", evil: evil}, {"type": "a", "b": [evil, 1]}),
    ):
        for line in ladder(Event(0, 1, "send", what)).split("\n"):
            assert line.isprintable()
            assert line[10:13] == "#1 "


def test_the_bytes_of_a_head_line_by_line():
    shown = ladder(Event(0.1, 1, "read", GET))
    assert [line[32:] for line in shown.split("\n")] == [
        "read 32 bytes                      11 transport",
        r"GET /a?b=c HTTP/1.1\r\n",
        r"Host: a\r\n",
        r"\r\n",
    ]


def test_what_is_no_text_is_shown_as_digits():
    shown = ladder(Event(0.1, 1, "read", b"\x81\x00" + bytes(20)))
    assert shown.split("\n")[1].endswith(" 81 00" + " 00" * 12)
    assert shown.endswith("...")


def test_what_is_long_says_how_long_it_is():
    assert "read 5000 bytes" in ladder(Event(0, 1, "read", b"a" * 5000))
    assert ladder(Event(0, 1, "read", b"a" * 5000)).count("a") < SHOWN + 20
    message = {"type": "http.request", "body": b"x" * 5000}
    shown = ladder(Event(0, 1, "receive", message))
    assert "... 5000 in all" in shown.replace("\n" + " " * 10, "")


def test_each_station_names_a_chapter():
    tags = [tag for _, tag in STATIONS.values()] + [*PROTOCOLS.values()]
    for tag in tags:
        number, name = tag.split()
        assert ORDER.index(name) + 1 == int(number)


# For programs.


@on_a_loop
async def test_each_line_is_json():
    events = await traced(echo, LAST.replace(b"GET", b"POST"))
    for event in events:
        line = json_line(event)
        assert "\n" not in line
        named = json.loads(line)
        assert named["station"] == event.station
        assert named["connection"] == 1


def test_bytes_come_back_from_json():
    data = bytes(range(256))
    event = Event(1.23456, 1, "read", data, "a.py:1")
    named = json.loads(json_line(event))
    assert named.pop("what").encode("latin-1") == data
    assert named == {
        "ms": 1.235,
        "connection": 1,
        "station": "read",
        "place": "a.py:1",
        "chapter": "11 transport",
    }


# Step by step.

SCOPE = {"type": "http", "raw_path": b"/", "query_string": b"", "x": "y" * 99}
SCOPE |= {"http_version": "1.1"}


def stepped(words):
    """Run an application step by step; return what was shown and asked."""
    words, shown, asked = iter(words), [], []

    def ask(prompt):
        asked.append(len(shown))
        for word in words:
            return word
        raise EOFError

    app = Trace(Stepper(shown.append, ask)).app(hello)
    asyncio.run(app(SCOPE, None, swallow))
    return shown, asked


def test_enter_goes_on_to_the_next_message():
    shown, asked = stepped(["", "", ""])
    assert len(asked) == 3  # the scope and two messages, no more
    before = [shown[count - 1][32:].split()[0] for count in asked]
    assert before == ["scope", "send", "send"]


def test_c_stops_no_more():
    assert len(stepped(["", "c"])[1]) == 2


def test_the_end_of_the_input_stops_no_more():
    assert len(stepped([""])[1]) == 2


def test_p_prints_all_and_asks_again():
    shown, asked = stepped(["p", "c"])
    assert len(asked) == 2
    assert "y" * 99 in shown[asked[1] - 1]


def test_what_it_does_not_know_it_explains():
    shown, asked = stepped(["x", "c"])
    assert "Enter: next" in shown[asked[1] - 1]


def test_b_has_to_wait_for_the_application_to_begin():
    shown, asked = stepped(["b", "c"])
    assert len(asked) == 2
    assert "has not begun" in shown[asked[1] - 1]


PROGRAM = """
import asyncio, signal, sys
sys.path.insert(0, sys.argv[1])
from asgi_ref.server import Server, Settings
from asgi_ref.trace import Stepper, Trace
from asgi_ref.transport import MemoryTransport

async def app(scope, receive, send):
    answer = "fortytwo"
    await send({"type": "http.response.start", "status": 200})
    answer = "later"
    await receive()
    await send({"type": "http.response.body", "body": b"x"})

async def main():
    trace, transport = Trace(Stepper()), MemoryTransport()
    settings = Settings(lifespan="off", date_header=False)
    server = Server(trace.app(app), settings)
    transport.feed(b"GET / HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n")
    transport.feed(b"")
    await server.attend(trace.around(transport))

before = signal.getsignal(signal.SIGINT)
asyncio.run(main())
print("Ctrl+C as before:", signal.getsignal(signal.SIGINT) is before)
"""


def test_b_is_a_debugger_where_the_application_is(tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM)
    # The scope; at the first send a debugger; then it goes on, to the end.
    typed = "\nb\np answer\nn\np answer\nc\n\n\n"
    done = subprocess.run(
        [sys.executable, "program.py", str(ROOT)],
        cwd=tmp_path,
        input=typed,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert "'fortytwo'" in done.stdout, done.stdout + done.stderr
    assert "'later'" in done.stdout
    assert done.stdout.index("fortytwo") < done.stdout.index("later'")
    assert "HTTP/1.1 200 OK" in done.stdout
    assert "Ctrl+C as before: True" in done.stdout
    assert not done.stderr
