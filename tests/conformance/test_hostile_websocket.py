"""Clients of a WebSocket that mean no good, over real sockets.

What they may cost is bounded, and other clients are served meanwhile.
"""

import asyncio
import functools
from urllib.parse import urlsplit

import asgi_ref

PATIENCE = 20  # seconds before something that never comes is an error
MIB = 1024 * 1024
HANDSHAKE = (
    b"GET /chat HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
PING = b"\x89\x84\0\0\0\0" + b"ping"
HELLO = b"\x81\x85\0\0\0\0" + b"hello"
EMPTY_PIECE = b"\x00\x80\0\0\0\0"


def on_a_loop(test):
    """Run a coroutine function as a plain, bounded test."""

    @functools.wraps(test)
    def run():
        asyncio.run(asyncio.wait_for(test(), PATIENCE))

    return run


def running(app):
    return asgi_ref.running(
        app, lifespan="off", access_log=False, timeout_graceful_shutdown=1
    )


async def join(url):
    place = urlsplit(url)
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    writer.write(HANDSHAKE)
    assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
    return reader, writer


async def echo(scope, receive, send):
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({**message, "type": "websocket.send"})


async def say_hello(reader, writer):
    writer.write(HELLO)
    assert await reader.readexactly(7) == b"\x81\x05hello"


@on_a_loop
async def test_a_client_that_reads_nothing_stops_the_application():
    """64 MiB fit into no buffer of the system: the rest must wait."""
    sent = 0

    async def pour(scope, receive, send):
        nonlocal sent
        await receive()
        await send({"type": "websocket.accept"})
        for _ in range(1024):
            await send({"type": "websocket.send", "bytes": bytes(65_532)})
            sent += 1

    async with running(pour) as url:
        reader, writer = await join(url)
        before = -1
        while before != sent:  # until nothing moves between two looks
            before = sent
            await asyncio.sleep(0.1)
        assert 0 < sent < 1000
        whole = await reader.readexactly(1024 * 65_536)
        assert whole[:4] == b"\x82\x7e\xff\xfc"
        assert await reader.readexactly(4) == b"\x88\x02\x03\xe8"
        writer.close()


@on_a_loop
async def test_a_flood_of_pings():
    async with running(echo) as url:
        reader, writer = await join(url)
        other = await join(url)
        writer.write(PING * 50_000)
        await say_hello(*other)
        pongs = await reader.readexactly(6 * 50_000)
        assert pongs == b"\x8a\x04ping" * 50_000
        await say_hello(reader, writer)
        writer.close()
        other[1].close()


@on_a_loop
async def test_a_flood_of_pieces_without_anything_in_them():
    async with running(echo) as url:
        reader, writer = await join(url)
        other = await join(url)
        writer.write(b"\x01\x80\0\0\0\0" + EMPTY_PIECE * 200_000)
        await say_hello(*other)
        writer.write(b"\x80\x81\0\0\0\0.")
        assert await reader.readexactly(3) == b"\x81\x01."
        writer.close()
        other[1].close()


@on_a_loop
async def test_a_client_that_sends_and_never_reads():
    """Its echoes fill its own buffers; then it is not read any more."""
    got = 0

    async def count(scope, receive, send):
        nonlocal got
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            got += len(message["bytes"])
            await send({**message, "type": "websocket.send"})

    async with running(count) as url:
        _, writer = await join(url)
        size = 65_535
        message = b"\x82\xfe" + size.to_bytes(2, "big") + bytes(4 + size)
        writer.write(message * 1024)
        other = await join(url)
        before = -1
        while before != got:
            before = got
            await asyncio.sleep(0.1)
        assert 0 < got < 60 * MIB
        writer.transport.abort()
        other[1].close()
