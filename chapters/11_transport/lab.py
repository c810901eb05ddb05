"""A transport: one thread, many clients, and whose line runs next."""

import asyncio
import math
import socket
import sys
import time

sys.path.insert(0, ".")  # the root, where this is run

from asgi_ref.transport import (
    HIGH_WATER,
    MemoryTransport,
    StreamTransport,
    TooSlow,
    linger,
    sweep,
)

PIECE = 64 * 1024
MB = 1_000_000
TURNS = [
    ("loop", "main", "run"),
    ("main", "loop", "I let others go first"),
    ("loop", "A", "run"),
    ("A", "loop", "no bytes: I wait"),
    ("loop", "B", "run"),
    ("B", "loop", "bytes were there: I am done"),
    ("loop", "main", "run"),
    ("main", "loop", "A has bytes now; I wait for both"),
    ("loop", "A", "run"),
    ("A", "loop", "I am done"),
]


async def route(name, pause):
    """Serve one client: half a second of waiting, then the answer."""
    print(name, "asks")
    await pause(0.5)
    print(name, "is answered")


async def blocking(seconds):
    """Wait, and do not let go of the thread."""
    time.sleep(seconds)


async def three(pause):
    """Serve three clients at once, on one thread."""
    async with asyncio.TaskGroup() as tasks:
        for name in "ABC":
            tasks.create_task(route(name, pause))


async def time_sleep():
    """Serve three with routes that block."""
    await three(blocking)


async def asyncio_sleep():
    """Serve three with routes that wait."""
    await three(asyncio.sleep)


async def attend(name, transport):
    """Say what a client sends."""
    print(name, "wants bytes")
    print(name, "has", await transport.read())


async def who_is_next():
    """Two tasks: nothing has arrived for A, two bytes for B."""
    a, b = MemoryTransport(), MemoryTransport()
    b.feed(b"hi")
    tasks = [
        asyncio.create_task(attend("A", a)),
        asyncio.create_task(attend("B", b)),
    ]
    print("main has made two tasks")
    await asyncio.sleep(0)
    print("main feeds A")
    a.feed(b"ho")
    print("main waits for both")
    await asyncio.wait(tasks)


async def stream(transport, pieces, waits):
    """Write as a route does that streams a film."""
    for _ in range(pieces):
        full = transport.write(bytes(PIECE))
        if full and waits:
            await transport.drain()


async def pair():
    """Return a transport, and the plain socket at its client's end."""
    ours, client = socket.socketpair()
    streams = await asyncio.open_connection(sock=ours)
    client.setblocking(False)
    return StreamTransport(*streams), client


async def without_drain():
    """Write 50 MB to a client that never reads."""
    transport, client = await pair()
    await stream(transport, 50 * MB // PIECE, waits=False)
    print("wait in memory: more than 40 MB?", transport.unsent > 40 * MB)
    transport.abort()
    client.close()


async def with_drain():
    """The same, and whoever writes too much waits."""
    transport, client = await pair()
    film = stream(transport, 50 * MB // PIECE, waits=True)
    task = asyncio.create_task(film)
    await asyncio.sleep(0)
    small = HIGH_WATER + PIECE
    print("wait in memory: more than 128 KiB?", transport.unsent > small)
    print("the route is done?", task.done())
    loop, got = asyncio.get_running_loop(), 0
    while not task.done():  # now the client reads
        got += len(await loop.sock_recv(client, MB))
    print("the client reads; more than 40 MB?", got > 40 * MB)
    transport.abort()
    client.close()


class Clock:
    """A clock that moves when it is told to."""

    now = 0.0

    def __call__(self):
        """Return the time."""
        return self.now


async def hear(name, transport):
    """Give a client five seconds for its first bytes."""
    transport.allow(5)
    try:
        data = await transport.read()
        transport.deadline = math.inf
        print(name, "has", data)
    except TooSlow as error:
        print(name, "is late:", error)


async def time_limits():
    """Two clients; one says something in time."""
    clock = Clock()
    a, b = MemoryTransport(clock), MemoryTransport(clock)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(hear("A", a))
        tasks.create_task(hear("B", b))
        await asyncio.sleep(0)
        a.feed(b"GET /")
        await asyncio.sleep(0)
        for clock.now in 3.0, 6.0:
            print(f"{clock.now:.0f} seconds")
            sweep([a, b], clock.now)
            await asyncio.sleep(0)


async def answer_an_upload(lingers):
    """Say 413 to a client that is sending, and hang up."""
    loop, closed = asyncio.get_running_loop(), asyncio.Event()

    async def serve(reader, writer):
        transport = StreamTransport(reader, writer)
        try:
            await transport.read()
            transport.write(b"413")
            if lingers:
                await linger(transport)
            await transport.close()
        finally:
            closed.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    client = socket.socket()
    client.setblocking(False)
    with client:
        await loop.sock_connect(client, server.sockets[0].getsockname())
        try:
            for _ in range(400):
                await loop.sock_sendall(client, bytes(PIECE))
            client.shutdown(socket.SHUT_WR)
            print("sent all, then read:", await loop.sock_recv(client, 9))
        except OSError:
            print("cut off while sending")
        await closed.wait()
    server.close()


async def hang_up():
    """Close at once; close slowly."""
    await answer_an_upload(lingers=False)
    await answer_an_upload(lingers=True)


async def walk(wire=print):
    """A client that sends in time, then one that does not; then the end."""
    clock = Clock()
    transport = MemoryTransport(clock)
    transport.allow(5)
    wire("client", b"GET /")
    transport.feed(b"GET /")
    await transport.read()
    reading = asyncio.create_task(transport.read())
    await asyncio.sleep(0)
    clock.now = 6.0
    sweep([transport], clock.now)
    await asyncio.wait([reading])
    assert isinstance(reading.exception(), TooSlow)
    wire("server", b"408")
    if transport.write(b"408"):
        await transport.drain()
    ending = asyncio.create_task(linger(transport))
    await asyncio.sleep(0)
    wire("client", b"")
    transport.feed(b"")
    await ending
    await transport.close()


PARTS = time_sleep, asyncio_sleep, who_is_next, without_drain, with_drain
PARTS += time_limits, hang_up

if __name__ == "__main__":
    for part in PARTS:
        print(f"== {part.__name__.replace('_', ' ')} ==")
        asyncio.run(part())
