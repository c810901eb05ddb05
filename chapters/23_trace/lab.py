"""A trace: what was said, in its order, and nobody notices."""

import asyncio
import itertools
import sys
import textwrap

sys.path.insert(0, ".")  # the root, where this is run

from asgi_ref.server import Server, Settings
from asgi_ref.trace import HEADING, Stepper, Trace, json_line, ladder
from asgi_ref.transport import MemoryTransport
from asgi_ref.websocket import websocket

POST = b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\none"
GET = b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n"
LOGIN = (
    b"GET /me HTTP/1.1\r\nHost: a\r\nX-Id: 7\r\nCook",
    b"ie: session=8d1f0c\r\nAccept: */*\r\n\r\n",
)
OPEN = (
    b"GET /chat HTTP/1.1\r\nHost: a\r\n"
    b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
HELLO = b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"
BYE = b"\x88\x82\x00\x00\x00\x00\x03\xe8"
SCOPE = {"type": "http", "http_version": "1.1", "method": "GET", "path": "/"}
SCOPE |= {"raw_path": b"/", "query_string": b"", "root_path": ""}
SETTINGS = Settings(lifespan="off", date_header=False, access_log=False)
TURNS = 50  # of the event loop, until we believe that nothing more happens


async def echo(scope, receive, send):
    """Send each piece back before the next one is read."""
    await send({"type": "http.response.start", "status": 200})
    more = True
    while more:
        message = await receive()
        body, more = message["body"], message["more_body"]
        part = {"type": "http.response.body", "body": body}
        await send({**part, "more_body": more})


def printing(app):
    """Print the body that comes, and each message that was sent."""

    async def printed(scope, receive, send):
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        print("  the body is", body)

        async def again():
            return {"type": "http.request", "body": body, "more_body": False}

        async def show(message):
            await send(message)
            print("  sent", message["type"])

        await app(scope, again, show)

    return printed


async def hello(scope, receive, send):
    """Answer."""
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": b"Hello!\n"})


async def chat(scope, receive, send):
    """Say what was said backwards."""
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message["text"][::-1]})


def clock():
    """Return a clock that goes on by a tenth of a millisecond when asked."""
    times = itertools.count()
    return lambda: next(times) / 10_000


async def turns():
    """Let everybody run, until nobody has anything to do."""
    for _ in range(TURNS):
        await asyncio.sleep(0)


def attended(app, trace=None):
    """Serve one client in memory; return its transport. trace: who hears."""
    transport = heard = MemoryTransport()
    if trace is not None:
        app, heard = trace.app(app), trace.around(transport)
    Server(app, SETTINGS, {b"websocket": websocket}).attend(heard)
    return transport


async def converse(app, *pieces, trace=None):
    """Send pieces, each when the one before was dealt with; then leave."""
    transport = attended(app, trace)
    for piece in (*pieces, b""):
        transport.feed(piece)
        await turns()


async def dialogue(app, trace=None):
    """Send "one", and "two" only when "one" has come back."""
    transport = attended(app, trace)
    transport.feed(POST)
    await turns()
    if b"one" in transport.sent:
        print("  client: one has come back")
        transport.feed(b"two")
        await turns()
        print("  client: two has come back:", b"two" in transport.sent)
    else:
        print("  client: nothing comes back, good bye")
    transport.feed(b"")
    await turns()


def fails():
    """Look at a conversation with print, and without."""
    print("== fails ==")
    print("without print")
    asyncio.run(dialogue(echo))
    print("with print")
    asyncio.run(dialogue(printing(echo)))


def show(event):
    """Print an event for people."""
    print(ladder(event))


def traced():
    """Have the same conversation, and record it."""
    print("== traced ==")
    stations = []
    trace = Trace(lambda event: stations.append(event.station), clock())
    asyncio.run(dialogue(echo, trace))
    print(" ".join(stations[4:12]))


def one_request():
    """Show all of one request."""
    print("== one request ==")
    print(HEADING)
    asyncio.run(converse(hello, GET, trace=Trace(show, clock())))


def one_websocket():
    """Show one WebSocket, from its 101 on."""
    print("== one websocket ==")
    events = []
    trace = Trace(events.append, clock())
    asyncio.run(converse(chat, OPEN, HELLO, BYE, trace=trace))
    first = next(i for i, e in enumerate(events) if e.station == "write")
    for event in events[first + 1 :]:
        show(event)


def secrets():
    """Read a head with a cookie that comes in two pieces."""
    print("== secrets ==")
    events = []
    trace = Trace(events.append, clock())
    asyncio.run(converse(hello, *LOGIN, trace=trace))
    for event in events[1:3]:
        show(event)
    scope = next(event for event in events if event.station == "scope")
    for field in scope.what["headers"]:
        print("the scope says", field)


def for_programs():
    """Show the same request as lines of JSON."""
    print("== for programs ==")
    events = []
    trace = Trace(events.append, clock())
    asyncio.run(converse(hello, GET, trace=trace))
    for event in events:
        if event.station == "send":
            print(textwrap.fill(json_line(event), 68))


def step():
    """Stop before each message; somebody types three answers."""
    print("== step ==")
    typed = iter(["", "p", "c"])

    def ask(prompt):
        answer = next(typed)
        print(f"{prompt}{answer}")
        return answer

    trace = Trace(Stepper(print, ask), clock())
    asyncio.run(called(trace.app(hello)))


async def called(app):
    """Call an application, without a server."""

    async def send(message):
        pass

    await app(SCOPE, None, send)


PARTIES = {
    "read": ("client", "server"),
    "write": ("server", "client"),
    "scope": ("server", "application"),
    "receive": ("server", "application"),
    "send": ("application", "server"),
}


def heard():
    """Return the ladder of one request as a figure, by listening to it."""
    events, rungs = [], []
    trace = Trace(events.append, clock())
    asyncio.run(converse(hello, GET, trace=trace))
    for event in events:
        what = event.what
        if event.station in PARTIES and what:
            sizes = isinstance(what, bytes)
            text = f"{len(what)} bytes" if sizes else what["type"]
            rungs.append((*PARTIES[event.station], text))
    return rungs


VARYING = {"library", "path", "folder", "file", "frame", "framework"}  # paths


class Mute:
    """As much of a transport as a walk needs."""

    client = None

    def write(self, data):
        """Send nothing."""
        return False


async def walk(wire=print):
    """Hear one message, and the bytes that it becomes."""
    events = []
    trace = Trace(events.append, clock())
    transport = trace.around(Mute())

    async def send(message):
        transport.write(b"HTTP/1.1 200 OK\r\nSet-Cookie: id=8d1f0c\r\n\r\n")

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200})

    wire("server", SCOPE)
    await trace.app(app)(SCOPE, None, send)
    wire("trace", ladder(events[-2]).encode())


def main():
    """Run all of it."""
    fails()
    traced()
    one_request()
    one_websocket()
    secrets()
    for_programs()
    step()


if __name__ == "__main__":
    main()
