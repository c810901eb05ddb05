"""An exchange: who waits for whom, and how does each learn of the end?"""

import asyncio
import logging
import socket
import sys

sys.path.insert(0, ".")  # the root, where this is run

from asgi_ref.connection import Connection
from asgi_ref.exchange import Exchange
from asgi_ref.response import Response
from asgi_ref.scope import about_connection, http_scope
from asgi_ref.transport import MemoryTransport, StreamTransport

GET = b"GET /clock HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST /notes HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nlamp"
START = {"type": "http.response.start", "status": 200}
TICK = {"type": "http.response.body", "body": b"tick\n", "more_body": True}
BODY = {"type": "http.response.body", "body": b"done\n"}
STREAM = [
    ("client", "server", "GET /clock"),
    ("server", "app", "receive: http.request"),
    ("app", "server", "send: start, body + more_body"),
    ("server", "client", "200 OK, tick"),
    ("client", "server", "end of stream"),
    ("server", "app", "receive: http.disconnect"),
]


async def clock(scope, receive, send):
    """Send a tick, then wait for whoever looks at it to leave."""
    await receive()
    await send(START)
    await send(TICK)
    print("the app waits; it gets", await receive())


def obvious(reader, writer):
    """Return the two functions that an application wants."""
    response, told = Response(200, []), False

    async def receive():
        nonlocal told
        if not told:
            told = True
            return {"type": "http.request", "body": b"", "more_body": False}
        while not writer.is_closing():  # as long as the client is there
            await asyncio.sleep(0)
        return {"type": "http.disconnect"}

    async def send(message):
        if message["type"] == "http.response.body":
            writer.write(response.encode(message["body"], more=True))

    return receive, send


async def connected():
    """Return the two ends of a connection: our streams, and a socket."""
    ours, client = socket.socketpair()
    reader, writer = await asyncio.open_connection(sock=ours)
    return reader, writer, client


async def fails():
    """Serve somebody who leaves with the obvious pair of functions."""
    reader, writer, client = await connected()
    receive, send = obvious(reader, writer)
    app = asyncio.create_task(clock({}, receive, send))
    print("the client got", await asyncio.to_thread(client.recv, 4096))
    client.close()
    for _ in range(1000):
        await asyncio.sleep(0)
    print("a thousand turns later, is_closing():", writer.is_closing())
    print("and a read:", await reader.read(4096))
    app.cancel()
    writer.close()


def exchange_over(transport, data):
    """Return the exchange for the request in some bytes, and its scope."""
    connection = Connection()
    connection.receive_data(data)
    request = connection.next_event()
    exchange = Exchange(connection, transport)
    return exchange, http_scope(request, about_connection(None, None), {})


async def is_told():
    """Serve the same client with an exchange."""
    reader, writer, client = await connected()
    exchange, scope = exchange_over(StreamTransport(reader, writer), GET)
    app = asyncio.create_task(exchange.run(clock, scope))
    await asyncio.to_thread(client.recv, 4096)
    client.close()
    await app
    try:
        await exchange.send(TICK)
    except OSError as error:
        print("a tick more:", type(error).__name__, "-", error)
    writer.close()


async def silent(scope, receive, send):
    """Return without a word."""


async def late(scope, receive, send):
    """Find out too late that something is wrong."""
    await send(START)
    raise RuntimeError("the database is gone")


async def later(scope, receive, send):
    """Find out when a part is sent."""
    await send(START)
    await send(TICK)
    raise RuntimeError("the database is gone")


async def three_wrong():
    """Let three applications fail, each a little later than the last."""
    for app in silent, late, later:
        transport = MemoryTransport()
        exchange, scope = exchange_over(transport, GET)
        await exchange.run(app, scope)
        lines = bytes(transport.sent).split(b"\r\n")
        print(f"{app.__name__}: {lines[0].decode()}", end=", ")
        print("body", lines[lines.index(b"") + 1 :], end=", ")
        print("cut" if exchange.cut == "cut" else "whole")


async def notes(scope, receive, send):
    """Read a note, and answer."""
    note = await receive()
    assert note["body"] == b"lamp"
    await send(START)
    await send(BODY)


async def walk(wire=print):
    """Take one request to an application and back."""
    wire("client", POST)
    transport = MemoryTransport()
    exchange, scope = exchange_over(transport, POST)
    await exchange.run(notes, scope)
    wire("server", bytes(transport.sent))


def main():
    """Run all of it; what our log says is printed, too."""
    logging.basicConfig(
        stream=sys.stdout, format="log: %(message)s", level=logging.ERROR
    )
    logging.getLogger("asgi_ref").addFilter(without_traceback)
    for part in fails, is_told, three_wrong:
        print(f"== {part.__name__.replace('_', ' ')} ==")
        asyncio.run(part())


def without_traceback(record):
    """Leave the line of a log record, and drop its traceback."""
    record.exc_info = None
    return True


if __name__ == "__main__":
    main()
