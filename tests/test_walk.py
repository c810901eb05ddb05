"""How long is the walk of one request, or of one message of a WebSocket?

A short way through the package is easier to follow in a debugger, and it is
faster. So there is a budget. The figure is for the second request on a
connection (then whatever is made once has been made), for an application
that says hello, without the access log.

While a trace function is set the server has no time limits, see `_sweep`.

A message is counted from where the server waits for it to where it waits for
the next one; the application is an echo.
"""

import asyncio
import sys
from collections import Counter
from pathlib import Path

import asgi_ref
from asgi_ref.listen import listen
from asgi_ref.server import Server, Settings
from asgi_ref.websocket import websocket

PACKAGE = str(Path(asgi_ref.__file__).parent)
PATIENCE = 20  # seconds before something that never comes is an error

MAX_LINES = 200
MAX_FILES = 10
MAX_ECHO_LINES = 90

REQUEST = b"GET /hello HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n"
START = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-type", b"text/plain")],
}
BODY = {"type": "http.response.body", "body": b"Hello, world!\n"}


async def hello(scope, receive, send):
    await send(START)
    await send(BODY)


class Steps:
    """Counts the lines, calls and files of the package while it is on."""

    def __init__(self):
        self.lines = Counter()
        self.calls = Counter()

    def on_call(self, frame, event, argument):
        code = frame.f_code
        if not code.co_filename.startswith(PACKAGE):
            return None
        self.calls[Path(code.co_filename).name, code.co_qualname] += 1
        return self.on_line

    def on_line(self, frame, event, argument):
        if event == "line":
            file = Path(frame.f_code.co_filename).name
            self.lines[file, frame.f_lineno] += 1
        return self.on_line

    def lines_of(self, file):
        return sum(n for (name, _), n in self.lines.items() if name == file)

    @property
    def files(self):
        return sorted({file for file, _ in self.lines})


async def walk():
    """Send two requests; return the steps from the first answer on.

    The server runs to where it waits for a request, then comes the second
    request, and the count ends where the server waits for a third.
    """
    server = Server(hello, Settings(access_log=False, lifespan="off"))
    sock = listen(port=0)
    serving = asyncio.create_task(server.serve(sock))
    await server.ready.wait()
    reader, writer = await asyncio.open_connection(*sock.getsockname())

    async def ask():
        writer.write(REQUEST)
        answer = await reader.readuntil(BODY["body"])
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        for _ in range(5):
            await asyncio.sleep(0)  # the server gets ready for the next

    steps = Steps()
    # Frames that exist already, such as that of the connection's task, are
    # traced when they are entered again: the event for that is "call".
    sys.settrace(steps.on_call)
    try:
        await ask()
        steps.lines.clear()
        steps.calls.clear()
        await ask()
    finally:
        sys.settrace(None)
    writer.close()
    server.stop()
    await serving
    return steps


def test_the_walk_of_one_request_is_short():
    before = sys.gettrace()  # a debugger, or a measurement of coverage
    try:
        steps = asyncio.run(asyncio.wait_for(walk(), PATIENCE))
        if any("_make_lines" in name for _, name in steps.calls):
            # A new second began in between, with a new Date: ask once more.
            steps = asyncio.run(asyncio.wait_for(walk(), PATIENCE))
    finally:
        sys.settrace(before)
    lines = sum(steps.lines.values())
    calls = sum(steps.calls.values())
    print(f"\none request: {lines} lines, {calls} calls,", end=" ")
    print(f"{len(steps.files)} files")
    for file in steps.files:
        print(f"  {steps.lines_of(file):4} lines  {file}")
    for (file, name), count in steps.calls.items():
        print(f"  {count:4} calls  {file}: {name}")
    assert lines <= MAX_LINES
    assert len(steps.files) <= MAX_FILES


HANDSHAKE = (
    b"GET /chat HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
MESSAGE = b"x" * 64
MASKED = b"\x81\xc0\0\0\0\0" + MESSAGE


async def echo(scope, receive, send):
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message["text"]})


async def walk_of_a_message():
    """Send two messages; return the steps from the first answer on."""
    settings = Settings(access_log=False, lifespan="off")
    server = Server(echo, settings, {b"websocket": websocket})
    sock = listen(port=0)
    serving = asyncio.create_task(server.serve(sock))
    await server.ready.wait()
    reader, writer = await asyncio.open_connection(*sock.getsockname())
    steps = Steps()

    async def say():
        writer.write(MASKED)
        assert await reader.readexactly(66) == b"\x81\x40" + MESSAGE
        for _ in range(5):
            await asyncio.sleep(0)  # the server gets ready for the next

    sys.settrace(steps.on_call)
    try:
        writer.write(HANDSHAKE)
        await reader.readuntil(b"\r\n\r\n")
        await say()
        steps.lines.clear()
        steps.calls.clear()
        await say()
    finally:
        sys.settrace(None)
    writer.close()
    server.stop()
    await serving
    return steps


def test_the_walk_of_one_message_is_short():
    before = sys.gettrace()
    try:
        walk = walk_of_a_message()
        steps = asyncio.run(asyncio.wait_for(walk, PATIENCE))
    finally:
        sys.settrace(before)
    lines = sum(steps.lines.values())
    print(f"\none message: {lines} lines, {sum(steps.calls.values())} calls")
    for file in steps.files:
        print(f"  {steps.lines_of(file):4} lines  {file}")
    for (file, name), count in steps.calls.items():
        print(f"  {count:4} calls  {file}: {name}")
    assert lines <= MAX_ECHO_LINES
