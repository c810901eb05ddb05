"""A WebSocket: what came before the end, what the end was, who listens."""

import asyncio
import sys
from copy import copy
from dataclasses import replace
from types import SimpleNamespace

sys.path.insert(0, ".")  # the root, where this is run

from asgi_ref.connection import Connection
from asgi_ref.exchange import Exchange
from asgi_ref.frames import (
    CLOSE,
    FIN,
    PING,
    TEXT,
    Close,
    Frames,
    encode,
    encode_close,
    xor,
)
from asgi_ref.handshake import Handshake
from asgi_ref.server import Server, Settings
from asgi_ref.transport import MemoryTransport
from asgi_ref.websocket import WebSocket, websocket

CONNECT = {"type": "websocket.connect"}
ACCEPT = {"type": "websocket.accept"}
GONE = {"type": "websocket.disconnect", "code": 1006, "reason": ""}
REQUEST = (
    b"GET /chat HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
SETTINGS = Settings(
    lifespan="off", access_log=False, date_header=False, server_header=False
)


def frame(opcode, payload, mask=b"\x37\xfa\x21\x3d"):
    """Return a client's frame: short, and masked."""
    size = bytes([FIN | opcode, 0x80 | len(payload)])
    return size + mask + xor(payload, mask)


BYE = b"\x0f\xa1moving on"  # 4001, and why
WORDS = frame(TEXT, b"one") + frame(TEXT, b"two")
FAREWELL = WORDS + frame(CLOSE, BYE)


async def bouncer(scope, receive, send):
    """Let nobody in."""
    await receive()
    await send({"type": "websocket.close", "code": 4003})


async def chat(scope, receive, send):
    """Let everybody in, and answer."""
    await receive()
    await send(ACCEPT)
    while (message := await receive())["type"] == "websocket.receive":
        print("the app gets", repr(message["text"]))
        await send({"type": "websocket.send", "text": message["text"]})
    print("the app gets disconnect", message["code"], message["reason"])


def obvious(transport, handshake):
    """Return the two functions that an application wants."""
    frames, inbox, gone = Frames(), [CONNECT], False

    async def receive():
        nonlocal gone
        while not inbox and not gone:
            frames.receive_data(await transport.read())
            while (event := frames.next_event()) is not None:
                if isinstance(event, Close):
                    gone = True
                else:
                    inbox.append({"type": "websocket.receive", "text": event})
        return GONE if gone else inbox.pop(0)

    async def send(message):
        if message["type"] == "websocket.accept":
            transport.write(handshake.accept())
        elif message["type"] == "websocket.send":
            transport.write(encode(TEXT, message["text"].encode()))
        else:
            transport.write(encode_close(message["code"]))

    return receive, send


async def fails():
    """Serve two clients with the obvious pair of functions."""
    for app in bouncer, chat:
        print(f"{app.__name__}:")
        connection, transport = Connection(), MemoryTransport()
        connection.receive_data(REQUEST)
        handshake = Handshake(connection.next_event())
        transport.feed(FAREWELL)
        await app({}, *obvious(transport, handshake))
        show(transport)


def show(transport):
    """Print what the client got: a first line, then frames if any."""
    head, _, rest = bytes(transport.sent).partition(b"\r\n\r\n")
    print("the client gets", head.split(b"\r\n")[0])
    if rest:
        print("and then", rest)


async def serve(app, *data):
    """Serve one client in memory, who says this and no more."""
    transport = MemoryTransport(clock=lambda: 0.0)
    for piece in data:
        transport.feed(piece)
    server = Server(app, SETTINGS, {b"websocket": websocket})
    task = server.attend(transport)
    return transport, task


async def in_order():
    """Serve the same two clients with the real pair."""
    for app in bouncer, chat:
        print(f"{app.__name__}:")
        transport, task = await serve(app, REQUEST, FAREWELL, b"")
        await task
        show(transport)


async def who_reads():
    """Ping a client whose application waits for something else."""
    gate = asyncio.Event()

    async def report(scope, receive, send):
        await receive()
        await send(ACCEPT)
        await gate.wait()  # for a database, say
        print("the report is ready")
        try:
            await send({"type": "websocket.send", "text": "report"})
        except OSError as error:
            print(f"send raises {type(error).__name__}: {error}")

    transport, task = await serve(report, REQUEST)
    await settle()
    transport.sent.clear()
    transport.feed(frame(PING, b"still there?"))
    await settle()
    print("the client gets", bytes(transport.sent))
    transport.sent.clear()
    transport.feed(frame(CLOSE, BYE))
    await settle()
    print("it closes, and gets", bytes(transport.sent))
    gate.set()
    transport.feed(b"")
    await task


async def settle():
    """Let everybody run until all of them wait."""
    for _ in range(50):
        await asyncio.sleep(0)


class Clock(asyncio.SelectorEventLoop):
    """An event loop whose clock moves when it is told to."""

    now = 0.0

    def time(self):
        """Return the time that it is said to be."""
        return self.now


async def unnoticed():
    """Let a client be there no more, and let time pass."""
    clock = asyncio.get_running_loop()
    transport, task = await serve(chat, REQUEST)
    await settle()
    transport.sent.clear()
    for _ in range(4):
        clock.now += 10
        await settle()
        print(f"{clock.now:.0f} s: sent", bytes(transport.sent))
        transport.sent.clear()
    transport.feed(b"")  # under a debugger nobody is given up
    await task


async def quiet_chat(scope, receive, send):
    """Answer, and print nothing."""
    await receive()
    await send(ACCEPT)
    while (message := await receive())["type"] == "websocket.receive":
        await send({**message, "type": "websocket.send"})


def asked():
    """Return an HTTP connection that was asked for a WebSocket."""
    connection = Connection()
    connection.receive_data(REQUEST)
    connection.next_event()
    return connection


# What the chapters before have shown is done before the walk begins.
ASKED = asked()
HANDSHAKE = Handshake(ASKED.request)
SHORT = frame(TEXT, b"one") + frame(CLOSE, BYE)
SERVER = Server(quiet_chat, replace(SETTINGS, timeouts=False))


VARYING = {"seconds"}  # a clock


async def walk(wire=print):
    """Take a message and a Close to an application and back."""
    transport = MemoryTransport(clock=lambda: 0.0)
    connection = copy(ASKED)
    conversation = SimpleNamespace(  # this much of one is needed here
        server=SERVER, transport=transport, connection=connection
    )
    exchange = Exchange(connection, transport)
    socket = WebSocket(conversation, HANDSHAKE, exchange)
    transport.feed(SHORT)
    wire("client", SHORT)
    await socket.run(quiet_chat, {})
    wire("server", bytes(transport.sent))


def main():
    """Run all of it."""
    for part in fails, in_order, who_reads, unnoticed:
        print(f"== {part.__name__.replace('_', ' ')} ==")
        with asyncio.Runner(loop_factory=Clock) as runner:
            runner.run(part())


if __name__ == "__main__":
    main()
