"""An application, all of it: who is there, and who has left."""

import asyncio
import logging
import sys

sys.path.insert(0, ".")  # the root, where this is run

from asgi_ref import demo
from asgi_ref.server import Server, Settings
from asgi_ref.transport import MemoryTransport
from asgi_ref.websocket import websocket

SETTINGS = Settings(
    access_log=False, date_header=False, server_header=False, timeouts=False
)
JOIN = (
    b"GET /chat HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
BYE = b"\x88\x80\0\0\0\0"
SAID = "websocket.send"
MEMBERS = []

# What each of the three ways looks like on the wire.
WAYS = [
    ("browser", "app", "long poll: GET /wait"),
    ("app", "browser", "200 Good morning!"),
    ("browser", "app", "GET /wait, again"),
    ("browser", "app", "events: GET /clock"),
    ("app", "browser", "200 text/event-stream"),
    ("app", "browser", "data: 12:00:01"),
    ("app", "browser", "data: 12:00:02"),
    ("browser", "app", "WebSocket: GET /chat, Upgrade"),
    ("app", "browser", "101"),
    ("browser", "app", "hello"),
    ("app", "browser", "hello"),
]


async def obvious(scope, receive, send):
    """Let everybody in, and tell everybody what anybody says."""
    await receive()
    await send({"type": "websocket.accept"})
    MEMBERS.append(send)
    while True:
        message = await receive()
        for member in MEMBERS:
            await member({"type": SAID, "text": message["text"]})


class Client:
    """Somebody in a room: speaks in frames with a mask of zeros."""

    def __init__(self, name, server):
        self.name = name
        self.transport = Network(clock=lambda: 0.0)
        self.transport.feed(JOIN)
        self.task = server.attend(self.transport)

    async def say(self, words):
        """Say something, and let all others hear it."""
        print(f"{self.name} says {words!r}")
        size = bytes([0x81, 0x80 | len(words)])
        self.transport.feed(size + bytes(4) + words.encode())
        await settle()

    async def leave(self):
        """Close, in good order."""
        print(f"{self.name} leaves")
        self.transport.feed(BYE)
        self.transport.feed(b"")
        await settle()

    def heard(self):
        """Return what came since the last look, and how it ended."""
        data = bytes(self.transport.sent).rpartition(b"\r\n\r\n")[2]
        self.transport.sent.clear()
        lines = []
        while data:
            kind, size, rest = data[0], data[1], data[2:]
            payload, data = rest[:size], rest[size:]
            if kind == 0x81:
                lines.append(payload.decode())
            else:
                lines.append(f"closed: {int.from_bytes(payload[:2])}")
        return f"  {self.name} hears {lines}"


class Network(MemoryTransport):
    """A transport that can be stuck: then it takes no more from us."""

    def __init__(self, clock):
        super().__init__(clock)
        self.moves = asyncio.Event()
        self.moves.set()

    def write(self, data):
        """Send; True: wait before you write more."""
        return super().write(data) or not self.moves.is_set()

    async def drain(self):
        """Wait while it is stuck."""
        await self.moves.wait()


async def settle():
    """Let everybody run until all of them wait."""
    for _ in range(100):
        await asyncio.sleep(0)


async def room(app):
    """Return three clients of one server, in the order they came."""
    server = Server(app, SETTINGS, {b"websocket": websocket})
    if app is demo.app:
        await server.lifespan.startup()
    clients = []
    for name in "Ann", "Bob", "Cid":
        clients.append(Client(name, server))
        await settle()
    for client in clients:
        client.transport.sent.clear()
    return clients


async def one_leaves(app):
    """Let the second of three leave, and the others speak."""
    ann, bob, cid = await room(app)
    await bob.leave()
    for speaker in ann, cid:
        await speaker.say("hello")
        print(ann.heard())
        print(cid.heard())
    await over(ann, cid)


async def fails():
    """Let Bob leave the obvious room."""
    await one_leaves(obvious)


async def the_same_again():
    """Let Bob leave the room of the demo."""
    await one_leaves(demo.app)


async def over(*clients):
    """Let all go, one after the other."""
    for client in clients:
        client.transport.moves.set()
    for client in clients:
        client.transport.feed(b"")
        await asyncio.wait([client.task])
    MEMBERS.clear()


class Clock(asyncio.SelectorEventLoop):
    """An event loop whose clock moves when it is told to."""

    now = 0.0

    def time(self):
        """Return the time that it is said to be."""
        return self.now


async def a_slow_reader():
    """Let Bob's network be stuck, in one room and the other."""
    clock = asyncio.get_running_loop()
    for app in obvious, demo.app:
        ann, bob, cid = await room(app)
        bob.transport.moves.clear()
        print(f"{app.__name__}:")
        await ann.say("hello")
        for seconds in 0, 1, 2:
            clock.now += seconds
            await settle()
            print(f"{seconds} s more{cid.heard()}")
        await over(ann, bob, cid)


async def deaf_wait(scope, receive, send):
    """Answer when somebody wakes us: without listening beside it."""
    waiting = scope["state"]["waiting"]
    woken = asyncio.Event()
    waiting.add(woken)
    await woken.wait()
    waiting.discard(woken)
    await demo.answer(send, "Good morning!\n")


async def who_waits():
    """Let a client leave its long poll; who still waits for it?"""
    for wait in deaf_wait, demo.wait:
        left = asyncio.Queue()
        left.put_nowait({"type": "http.request"})
        state = {"waiting": set()}
        call = wait({"state": state}, left.get, None)
        task = asyncio.create_task(call)
        await settle()
        left.put_nowait({"type": "http.disconnect"})
        await settle()
        waiting = len(state["waiting"])
        print(f"{wait.__name__}: {waiting} waiting, over: {task.done()}")
        task.cancel()


VARYING = set()


async def walk(wire=print):
    """Let Ann and Bob in; Ann says hello, and Bob leaves."""
    state = {"room": {}}
    joined = []
    for name in "Ann", "Bob":
        says = asyncio.Queue()

        async def send(message, name=name):
            wire(f"app to {name}", message)

        scope = {"type": "websocket", "path": "/chat", "state": state}
        says.put_nowait({"type": "websocket.connect"})
        task = asyncio.create_task(demo.app(scope, says.get, send))
        await settle()
        joined.append((says, task))
    (ann, first), (bob, second) = joined
    hello = {"type": "websocket.receive", "text": "hello"}
    wire("Ann", hello)
    ann.put_nowait(hello)
    await settle()
    gone = {"type": "websocket.disconnect", "code": 1001}
    wire("Bob", gone)
    bob.put_nowait(gone)
    await second
    ann.put_nowait(gone)
    await first


def without_traceback(record):
    """Leave out where an error came by."""
    record.exc_info = None
    return True


def main():
    """Run all of it."""
    logging.basicConfig(stream=sys.stdout, format="log: %(message)s")
    logging.getLogger("asgi_ref").addFilter(without_traceback)
    for part in fails, the_same_again, a_slow_reader, who_waits:
        print(f"== {part.__name__.replace('_', ' ')} ==")
        with asyncio.Runner(loop_factory=Clock) as runner:
            runner.run(part())


if __name__ == "__main__":
    main()
