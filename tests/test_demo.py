"""The demo: every route, as a client sees it."""

import ast
import asyncio
import functools
import json
import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest

import asgi_ref
from asgi_ref import demo
from tests.test_layout import code_lines

CHAPTER = Path(__file__).resolve().parents[1] / "chapters" / "20_demo"
EXAMPLE = CHAPTER / "starlette_example.py"

PATIENCE = 20  # seconds before something that never comes is an error


def on_a_loop(test):
    """Run a coroutine function as a plain, bounded test."""

    @functools.wraps(test)
    def run(*arguments, **named):
        asyncio.run(asyncio.wait_for(test(*arguments, **named), PATIENCE))

    return run


def running(app=demo.app):
    """Serve the demo, and do not wait long for clients that have left."""
    return asgi_ref.running(
        app, access_log=False, timeout_graceful_shutdown=0.1
    )


class Client:
    """One connection that carries one request."""

    def __init__(self, reader, writer):
        self.reader = reader
        self.writer = writer

    async def answer(self):
        """Return status, fields and the whole body."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        first, *lines = head.decode().lower().split("\r\n")[:-2]
        fields = dict(line.split(": ") for line in lines)
        body = await self.reader.read()
        if fields.get("transfer-encoding") == "chunked":
            body = unchunked(body)
        return int(first.split()[1]), fields, body

    async def leave(self):
        self.writer.close()
        await self.writer.wait_closed()


def unchunked(data):
    """Return the body of a message that came in chunks."""
    body = b""
    while data:
        size, _, data = data.partition(b"\r\n")
        body += data[: int(size, 16)]
        data = data[int(size, 16) + 2 :]
    return body


async def ask(url, path, method="GET", body=b""):
    """Send a request, return the Client that it went out on."""
    place = urlsplit(url)
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    head = f"{method} {path} HTTP/1.1\r\nHost: {place.netloc}\r\n"
    head += f"Connection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)
    return Client(reader, writer)


async def fetch(url, path, method="GET", body=b""):
    """Return status, fields and body of an answer."""
    client = await ask(url, path, method, body)
    try:
        return await client.answer()
    finally:
        await client.leave()


STATE = {"counter": {"requests": 0}, "waiting": set(), "room": {}}


async def ask_directly(path, *headers):
    """Return what the demo sends; no server is between."""
    heard = []

    async def send(message):
        heard.append(message)

    scope = {"type": "http", "method": "GET", "path": path, "scheme": "http"}
    await demo.app({**scope, "headers": headers, "state": STATE}, None, send)
    return heard


async def until(true):
    """Wait until a condition is true."""
    while not true():
        await asyncio.sleep(0.01)


@on_a_loop
async def test_the_page():
    async with running() as url:
        status, fields, body = await fetch(url, "/")
    assert status == 200
    assert fields["content-type"] == "text/html; charset=utf-8"
    assert b"It runs" in body


@on_a_loop
async def test_the_page_lists_all_routes_and_links_what_is_a_get():
    async with running() as url:
        page = (await fetch(url, "/"))[2].decode()
    for (method, path), route in demo.ROUTES.items():
        assert f"<tr><td>{method}<td>" in page
        assert route.__doc__ in page
        assert (f'href="{path}"' in page) == (method == "GET")
    assert f"curl -N {url}/clock" in page


@on_a_loop
async def test_a_host_is_shown_and_not_obeyed():
    heard = await ask_directly("/", (b"host", b"a<script>"))
    page = heard[1]["body"]
    assert b"http://a&lt;script&gt;/clock" in page


@pytest.mark.parametrize("path", ["/", "/chat"])
@on_a_loop
async def test_pages_load_nothing_from_elsewhere(path):
    async with running() as url:
        page = (await fetch(url, path))[2].decode()
    page = page.replace(url, "")
    assert "//" not in page
    assert 'rel="icon" href="data:,"' in page  # no /favicon.ico is asked for


@on_a_loop
async def test_the_page_counts_requests():
    async with running() as url:
        first = (await fetch(url, "/"))[2]
        await fetch(url, "/hello")
        third = (await fetch(url, "/"))[2]
    assert b"request 1\nsince" in first
    assert b"request 3\nsince" in third


@on_a_loop
async def test_hello():
    async with running() as url:
        status, fields, body = await fetch(url, "/hello")
    assert (status, body) == (200, b"Hello, world!\n")
    assert fields["content-length"] == "14"


@on_a_loop
async def test_the_scope():
    async with running() as url:
        status, fields, body = await fetch(url, "/scope?q=caf%C3%A9")
    assert status == 200
    assert fields["content-type"] == "application/json; charset=utf-8"
    scope = json.loads(body)
    assert scope["type"] == "http"
    assert scope["method"] == "GET"
    assert scope["path"] == scope["raw_path"] == "/scope"
    assert scope["query_string"] == "q=caf%C3%A9"
    assert ["host", urlsplit(url).netloc] in scope["headers"]
    assert scope["client"][0] == "127.0.0.1"
    assert "state" not in scope


@pytest.mark.parametrize("size", [0, 5, 300_000])
@on_a_loop
async def test_echo(size):
    sent = b"x" * size
    async with running() as url:
        status, _, body = await fetch(url, "/echo", "POST", sent)
    assert status == 200
    assert body == sent


@on_a_loop
async def test_echo_answers_each_piece_before_the_next_is_sent():
    async with running() as url:
        place = urlsplit(url)
        reader, writer = await asyncio.open_connection(
            place.hostname, place.port
        )
        head = "POST /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        head += "Transfer-Encoding: chunked\r\n\r\n"
        writer.write(head.encode())
        for _ in range(3):
            writer.write(b"5\r\nhello\r\n")
            await reader.readuntil(b"5\r\nhello\r\n")
        writer.write(b"0\r\n\r\n")
        assert await reader.read() == b"0\r\n\r\n"
        writer.close()


@on_a_loop
async def test_the_clock_sends_events():
    async with running() as url:
        client = await ask(url, "/clock")
        head = await client.reader.readuntil(b"\r\n\r\n")
        assert b"content-type: text/event-stream" in head
        # The first event is there while the others are still to come.
        event = await client.reader.readuntil(b"\n\n\r\n")
        assert re.fullmatch(rb"10\r\ndata: \d\d:\d\d:\d\d\n\n\r\n", event)
        await client.leave()


@on_a_loop
async def test_the_clock_stops_when_its_client_leaves():
    spy = Spy()
    async with running(spy) as url:
        client = await ask(url, "/clock")
        await client.reader.readuntil(b"\r\n\r\n")
        assert spy.over == []
        await client.leave()
        await until(lambda: spy.over == ["/clock"])


@on_a_loop
async def test_the_clock_stops_where_send_says_nothing():
    """Most servers drop what is sent to a client that has left."""
    left = asyncio.Event()

    async def receive():
        await left.wait()
        return {"type": "http.disconnect"}

    heard = []

    async def send(message):
        heard.append(message["type"])
        left.set()

    scope = {"type": "http", "method": "GET", "path": "/clock"}
    await demo.app({**scope, "state": STATE}, receive, send)
    assert heard[0] == "http.response.start"


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/nope"), ("GET", "/wake"), ("POST", "/")]
)
@on_a_loop
async def test_nothing_there(method, path):
    async with running() as url:
        status, _, body = await fetch(url, path, method)
    assert status == 404
    assert body == f"Nothing at {path}\n".encode()


@on_a_loop
async def test_head_is_answered_like_get():
    async with running() as url:
        status, fields, body = await fetch(url, "/hello", "HEAD")
    assert (status, body) == (200, b"")
    assert fields["content-length"] == "14"


@on_a_loop
async def test_another_protocol_is_refused():
    with pytest.raises(ValueError, match="carrier-pigeon"):
        await demo.app({"type": "carrier-pigeon"}, None, None)


@on_a_loop
async def test_a_job_that_fails_is_not_silent():
    async def fails():
        raise LookupError("here")

    waits = asyncio.Event().wait()
    with pytest.raises(LookupError, match="here"):
        await demo.first_of(fails(), waits)


@on_a_loop
async def test_of_several_jobs_the_others_are_cancelled():
    ended = []

    async def job(event):
        try:
            await event.wait()
        finally:
            ended.append(event)

    first, second = asyncio.Event(), asyncio.Event()
    first.set()
    await demo.first_of(job(first), job(second))
    await until(lambda: ended == [first, second])


# The long poll. The set of those who wait lies in the state, which all
# scopes share; so a test that looks at one scope sees who waits.


class Spy:
    """The demo, and what it knows about those who wait."""

    def __init__(self):
        self.waiting = set()
        self.over = []  # paths of the requests that came to their end

    async def __call__(self, scope, receive, send):
        if scope["type"] == "http":
            self.waiting = scope["state"]["waiting"]
        await demo.app(scope, receive, send)
        if scope["type"] == "http":
            self.over.append(scope["path"])


@on_a_loop
async def test_nobody_waits():
    async with running() as url:
        answer = await fetch(url, "/wake", "POST")
    assert answer[2] == b"0 were waiting\n"


@on_a_loop
async def test_a_long_poll_answers_when_somebody_wakes_it():
    spy = Spy()
    async with running(spy) as url:
        clients = [await ask(url, "/wait"), await ask(url, "/wait")]
        await until(lambda: len(spy.waiting) == 2)
        assert spy.over == []  # nobody was answered yet
        answer = await fetch(url, "/wake", "POST")
        assert answer[2] == b"2 were waiting\n"
        for client in clients:
            status, _, body = await client.answer()
            assert (status, body) == (200, b"Good morning!\n")
            await client.leave()
        await until(lambda: not spy.waiting)
        answer = await fetch(url, "/wake", "POST")
        assert answer[2] == b"0 were waiting\n"


@on_a_loop
async def test_a_client_that_leaves_is_not_waited_for():
    spy = Spy()
    async with running(spy) as url:
        stays, leaves = await ask(url, "/wait"), await ask(url, "/wait")
        await until(lambda: len(spy.waiting) == 2)
        await leaves.leave()
        await until(lambda: spy.over == ["/wait"])
        assert len(spy.waiting) == 1
        answer = await fetch(url, "/wake", "POST")
        assert answer[2] == b"1 were waiting\n"
        assert (await stays.answer())[2] == b"Good morning!\n"
        await stays.leave()


@on_a_loop
async def test_a_long_poll_ends_when_the_server_stops():
    spy = Spy()
    async with asgi_ref.running(spy, timeout_graceful_shutdown=2) as url:
        client = await ask(url, "/wait")
        await until(lambda: spy.waiting)
    assert spy.over == ["/wait"]
    assert not spy.waiting
    await client.leave()


# The chat room


class Member:
    """Somebody in the room, who speaks in frames with a mask of zeros."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer

    async def say(self, words, opcode=1):
        data = words.encode()
        head = bytes([0x80 | opcode, 0x80 | len(data), 0, 0, 0, 0])
        self.writer.write(head + data)

    async def hear(self):
        first, size = await self.reader.readexactly(2)
        data = await self.reader.readexactly(size)
        return data.decode() if first == 0x81 else (first, data)

    async def leave(self):
        self.writer.close()
        await self.writer.wait_closed()


async def join(url, path="/chat"):
    place = urlsplit(url)
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    head = f"GET {path} HTTP/1.1\r\nHost: {place.netloc}\r\n"
    head += "Upgrade: websocket\r\nConnection: Upgrade\r\n"
    head += "Sec-WebSocket-Version: 13\r\n"
    head += "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    writer.write(head.encode())
    answer = await reader.readuntil(b"\r\n\r\n")
    return int(answer.split()[1]), Member(reader, writer)


@on_a_loop
async def test_the_page_of_the_chat_room():
    async with running() as url:
        status, fields, body = await fetch(url, "/chat")
    assert status == 200
    assert fields["content-type"] == "text/html; charset=utf-8"
    assert b"new WebSocket" in body
    assert b'line + "\\n"' in body


@on_a_loop
async def test_everybody_hears_what_anybody_says():
    async with running() as url:
        (_, first), (_, second) = await join(url), await join(url)
        assert await first.hear() == "somebody came: 1 here"
        assert await first.hear() == "somebody came: 2 here"
        assert await second.hear() == "somebody came: 2 here"
        await second.say("hello")
        assert await first.hear() == "hello"
        assert await second.hear() == "hello"
        await second.leave()
        assert await first.hear() == "somebody left: 1 here"
        _, again = await join(url)
        assert await first.hear() == "somebody came: 2 here"
        assert await again.hear() == "somebody came: 2 here"
        await first.leave()
        assert await again.hear() == "somebody left: 1 here"
    assert await again.hear() == (0x88, b"\x03\xf4the server is stopping")
    await again.leave()


@on_a_loop
async def test_there_is_no_other_room():
    async with running() as url:
        status, member = await join(url, "/elsewhere")
        assert status == 403
        await member.leave()


@on_a_loop
async def test_an_empty_line_and_bytes():
    async with running() as url:
        _, member = await join(url)
        assert await member.hear() == "somebody came: 1 here"
        await member.say("")
        assert await member.hear() == ""
        await member.say("x", opcode=2)
        assert await member.hear() == "(bytes)"
        await member.leave()


@on_a_loop
async def test_a_member_who_vanishes_takes_nobody_along():
    async with running() as url:
        (_, first), (_, gone) = await join(url), await join(url)
        for _ in range(2):
            await first.hear()
        gone.writer.transport.abort()  # a reset, and no Close
        await first.say("hello")
        heard = {await first.hear(), await first.hear()}
        assert heard == {"hello", "somebody left: 1 here"}
        await first.say("still here")
        assert await first.hear() == "still here"
        await first.leave()


class Stranger:
    """Somebody in the room without a server: what is said, what is heard."""

    def __init__(self, state):
        self.heard, self.says = [], asyncio.Queue()
        self.reads = asyncio.Event()
        self.reads.set()
        self.says.put_nowait({"type": "websocket.connect"})
        scope = {"type": "websocket", "path": "/chat", "state": state}
        call = demo.app(scope, self.says.get, self.send)
        self.task = asyncio.create_task(call)

    async def send(self, message):
        await self.reads.wait()
        self.heard.append(message.get("text", message["type"]))

    def say(self, text):
        self.says.put_nowait({"type": "websocket.receive", "text": text})


@on_a_loop
async def test_a_slow_member_is_out_of_the_room(monkeypatch):
    monkeypatch.setattr(demo, "PATIENCE", 0.01)
    state = {"room": {}}
    quick, slow = Stranger(state), Stranger(state)
    await until(lambda: len(slow.heard) == 2)
    slow.reads.clear()
    quick.say("hello")
    await slow.task  # it is not kept as one who hears nothing
    assert list(state["room"]) == [quick.send]
    await until(lambda: len(quick.heard) == 5)
    assert quick.heard[3:] == ["hello", "somebody left: 1 here"]
    assert slow.heard[1:] == ["somebody came: 2 here"]
    quick.task.cancel()


# What the chapter says of the size of this, and of the same with a framework.


def pages(tree):
    """Return the numbers of the lines that are HTML."""
    lines = set()
    for node in tree.body:
        value = getattr(node, "value", None)
        if isinstance(value, ast.Constant) and value.end_lineno > value.lineno:
            lines.update(range(value.lineno, value.end_lineno + 1))
    return lines


def functions(tree, text, names):
    """Return how many lines of code these functions have."""
    code = code_lines(text)
    return sum(
        len(code & set(range(node.lineno, node.end_lineno + 1)))
        for node in tree.body
        if getattr(node, "name", None) in names
    )


def test_the_sizes_on_the_page():
    text = Path(demo.__file__).read_text(encoding="utf-8")
    tree = ast.parse(text)
    own = len(code_lines(text) - pages(tree))
    assert own <= 150  # its size is part of what it teaches
    other = EXAMPLE.read_text(encoding="utf-8")
    borrowed = {
        name.name
        for node in ast.parse(other).body
        if getattr(node, "module", None) == "asgi_ref.demo"
        for name in node.names
    }
    page = (CHAPTER / "README.md").read_text(encoding="utf-8")
    words = " ".join(page.split())
    needed = functions(tree, text, borrowed)
    assert f"the module has {own} lines of code" in words
    assert f"The example has {len(code_lines(other))}, and uses" in words
    assert f"uses {needed} of the module's" in words
    assert f"So {own - len(code_lines(other)) - needed} lines" in words
