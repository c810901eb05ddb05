"""A server: accept, converse, and leave in good order."""

import asyncio
import sys

sys.path.insert(0, ".")  # the root, where this is run

from asgi_ref.connection import Connection
from asgi_ref.exchange import Exchange
from asgi_ref.listen import listen
from asgi_ref.request import parse_request
from asgi_ref.scope import about_connection, http_scope
from asgi_ref.server import Server, Settings
from asgi_ref.transport import MemoryTransport, StreamTransport

START = {"type": "http.response.start", "status": 200}
QUIET = Settings(lifespan="off", access_log=False, date_header=False)
LEAVING = [
    ("idle", "server", "GET /news"),
    ("server", "idle", "200 OK"),
    ("busy", "server", "GET /slow"),
    ("server", "server", "Ctrl+C: stop"),
    ("server", "idle", "end of stream, at once"),
    ("server", "busy", "200 OK, connection: close"),
]


def get(path):
    """Return the bytes of a request."""
    return b"GET /%b HTTP/1.1\r\nHost: a\r\n\r\n" % path


def app_with(gate):
    """Return an application; /slow waits for the gate."""

    async def app(scope, receive, send):
        await receive()
        text = b"news"
        if scope["path"] == "/slow":
            await gate.wait()
            text = b"worth the wait"
        elif scope["path"] == "/poll":
            text = (await receive())["type"].encode()
        await send(START)
        await send({"type": "http.response.body", "body": text})

    return app


async def obvious(sock, app, stop):
    """Serve until told to stop; then wait for those who are not done."""
    tasks = set()

    async def converse(reader, writer):
        tasks.add(asyncio.current_task())
        connection = Connection()
        while data := await reader.read(65536):
            connection.receive_data(data)
            request = connection.next_event()
            exchange = Exchange(connection, StreamTransport(reader, writer))
            scope = http_scope(request, about_connection(None, None), {})
            await exchange.run(app, scope)
            connection.next_cycle()
        writer.close()

    server = await asyncio.start_server(converse, sock=sock)
    await stop.wait()
    server.close()
    await asyncio.wait(tasks)  # a request under way must be finished


async def client_of(sock, path):
    """Connect and ask; return what reads the answer."""
    reader, writer = await asyncio.open_connection(*sock.getsockname())
    writer.write(get(path))
    return reader, writer


async def fails():
    """Ask for one page, keep the connection, and stop the server."""
    stop, sock = asyncio.Event(), listen(port=0)
    serving = asyncio.create_task(obvious(sock, app_with(None), stop))
    reader, writer = await client_of(sock, b"news")
    print("the client has", (await reader.readuntil(b"news"))[-4:])
    stop.set()
    for _ in range(1000):
        await asyncio.sleep(0)
    print("a thousand turns later, stopped:", serving.done())
    writer.close()
    await serving
    print("the client hangs up, stopped:", serving.done())


async def in_good_order():
    """Stop our server while three clients are there."""
    gate, sock = asyncio.Event(), listen(port=0)
    server = Server(app_with(gate), QUIET)
    serving = asyncio.create_task(server.serve(sock))
    await server.ready.wait()
    idle, poll, slow = [
        await client_of(sock, path) for path in (b"news", b"poll", b"slow")
    ]
    await idle[0].readuntil(b"news")
    while server.busy().count("GET") < 2:
        await asyncio.sleep(0)
    server.stop()
    print("idle:", await idle[0].read())
    print("poll:", (await poll[0].read()).split(b"\r\n\r\n")[1])
    print("stopped:", serving.done())
    gate.set()
    head, body = (await slow[0].read()).split(b"\r\n\r\n")
    print("slow:", body, "-", head.split(b"\r\n")[-1].decode())
    for _, writer in idle, poll, slow:
        writer.close()
    await serving
    print("stopped:", serving.done())


async def too_many():
    """Let three clients come to a server for two."""
    server = Server(app_with(None), Settings(limit_concurrency=2))
    transports = [MemoryTransport() for _ in range(3)]
    tasks = [server.attend(transport) for transport in transports]
    for transport in transports:
        transport.feed(get(b"news"))
        while not transport.sent:
            await asyncio.sleep(0)
        print(bytes(transport.sent).split(b"\r\n")[0])
    for task in tasks:
        task.cancel()


VARYING = {"request_time", "seconds"}
parse_request(get(b"news"))  # known lines make the walk shorter


async def walk(wire=print):
    """Serve one client in memory; it asks once, and leaves."""
    server = Server(app_with(None), QUIET)
    transport = MemoryTransport(clock=lambda: 0.0)
    wire("client", get(b"news"))
    transport.feed(get(b"news"))
    transport.feed(b"")
    await server.attend(transport)
    wire("server", bytes(transport.sent))


def main():
    """Run all of it."""
    for part in fails, in_good_order, too_many:
        print(f"== {part.__name__.replace('_', ' ')} ==")
        asyncio.run(part())


if __name__ == "__main__":
    main()
