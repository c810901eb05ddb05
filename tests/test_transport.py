"""Transports: reading, writing with back-pressure, and time limits."""

import asyncio
import errno
import functools
import math
import os
import socket
import struct
import time
from contextlib import asynccontextmanager, suppress

import pytest

from asgi_ref.transport import (
    HIGH_WATER,
    READ_SIZE,
    STALLED,
    MemoryTransport,
    StreamTransport,
    TooSlow,
    address,
    linger,
    sweep,
)

PATIENCE = 20  # seconds before something that never comes is an error
MIB = 1024 * 1024


def on_a_loop(test):
    """Run a coroutine function as a plain, bounded test."""

    @functools.wraps(test)
    def run(*arguments, **named):
        asyncio.run(asyncio.wait_for(test(*arguments, **named), PATIENCE))

    return run


class Clock:
    """A clock that moves when it is told to."""

    now = 1000.0

    def __call__(self):
        return self.now


@asynccontextmanager
async def connected():
    """A StreamTransport and the plain client socket at its other end."""
    accepted = asyncio.Queue()
    server = await asyncio.start_server(
        lambda *streams: accepted.put_nowait(StreamTransport(*streams)),
        "127.0.0.1",
        0,
    )
    client = socket.socket()
    client.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(client, server.sockets[0].getsockname())
    transport = await accepted.get()
    try:
        yield transport, client
    finally:
        client.close()
        server.close()


def reset(client):
    """Close so that the other end gets RST instead of FIN."""
    client.setsockopt(
        socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
    )
    client.close()


async def read_all(client):
    loop, data = asyncio.get_running_loop(), bytearray()
    while piece := await loop.sock_recv(client, MIB):
        data += piece
    return bytes(data)


async def until(condition):
    """Wait for something that comes, but not when we say; see PATIENCE."""
    while not condition():
        await asyncio.sleep(0.001)


async def write(transport, data):
    """Write, and wait until there is room for more."""
    if transport.write(data):
        await transport.drain()


async def write_until_blocked(transport, piece=64 * 1024):
    """Write more than the network takes; return the task, which waits."""
    written = [0]

    async def write_for_ever():
        while True:
            await write(transport, bytes(piece))
            written[0] += piece

    task = asyncio.create_task(write_for_ever())
    await until(lambda: unsent(transport) > HIGH_WATER)
    return task, written


def unsent(transport):
    """Bytes that the network has not taken yet."""
    return transport._stream.get_write_buffer_size()


# A real socket.


@on_a_loop
async def test_read_returns_what_arrived_and_then_the_end():
    async with connected() as (transport, client):
        client.send(b"hello")
        assert await transport.read() == b"hello"
        client.shutdown(socket.SHUT_WR)
        assert await transport.read() == b""
        assert await transport.read() == b""


@on_a_loop
async def test_a_read_is_bounded():
    async with connected() as (transport, client):
        loop = asyncio.get_running_loop()
        sending = asyncio.create_task(loop.sock_sendall(client, bytes(MIB)))
        got = 0
        while got < MIB:
            piece = await transport.read()
            assert 0 < len(piece) <= READ_SIZE
            got += len(piece)
        await sending


@on_a_loop
async def test_a_reset_ends_reading_and_fails_writing():
    async with connected() as (transport, client):
        reset(client)
        assert await transport.read() == b""
        with pytest.raises(ConnectionError):
            await write(transport, b"x")
        with pytest.raises(ConnectionError):
            await write(transport, b"x")


@on_a_loop
async def test_a_half_closed_client_can_still_read():
    async with connected() as (transport, client):
        client.shutdown(socket.SHUT_WR)
        assert await transport.read() == b""
        await write(transport, b"goodbye")
        closing = asyncio.create_task(transport.close())
        assert await read_all(client) == b"goodbye"
        await closing


@on_a_loop
async def test_write_waits_for_a_client_that_does_not_read():
    async with connected() as (transport, client):
        task, written = await write_until_blocked(transport)
        at_first = written[0]
        assert at_first < 32 * MIB
        for _ in range(100):
            await asyncio.sleep(0)
        assert written[0] == at_first
        loop = asyncio.get_running_loop()
        while written[0] == at_first:  # it reads: there is room again
            await loop.sock_recv(client, MIB)
        task.cancel()


@on_a_loop
async def test_a_write_that_waits_fails_when_the_client_goes():
    async with connected() as (transport, client):
        task, _ = await write_until_blocked(transport)
        reset(client)
        with pytest.raises(ConnectionError):
            await task


@on_a_loop
async def test_a_stalled_write_is_aborted_by_the_sweeper():
    async with connected() as (transport, _):
        task, _ = await write_until_blocked(transport)
        sweep([transport], now=1000)  # it is seen to be unsent
        sweep([transport], now=1000 + STALLED)
        assert not task.done()
        sweep([transport], now=1000 + STALLED + 1)
        with pytest.raises(ConnectionError):
            await task


@on_a_loop
async def test_a_slow_client_that_reads_gets_more_time():
    async with connected() as (transport, client):
        whole = 16 * MIB
        task = asyncio.create_task(write(transport, bytes(whole)))
        await until(lambda: unsent(transport) > HIGH_WATER)
        loop, got, now = asyncio.get_running_loop(), 0, 1000
        while got < 12 * MIB:
            before = unsent(transport)
            sweep([transport], now)
            while unsent(transport) == before:
                got += len(await loop.sock_recv(client, MIB))
            now += STALLED + 1
        got += len(await read_exactly(client, whole - got))
        await task
        assert got == whole


async def read_exactly(client, count):
    loop, data = asyncio.get_running_loop(), bytearray()
    while len(data) < count:
        piece = await loop.sock_recv(client, count - len(data))
        assert piece, "the connection ended too early"
        data += piece
    return bytes(data)


@on_a_loop
async def test_no_read_times_out_while_something_is_unsent():
    """A slow client has its answer before its idle time begins."""
    async with connected() as (transport, client):
        whole = 8 * MIB
        task = asyncio.create_task(write(transport, bytes(whole)))
        await until(lambda: unsent(transport) > HIGH_WATER)
        reading = asyncio.create_task(transport.read())
        transport.deadline = 1005
        sweep([transport], now=1000)
        sweep([transport], now=1030)
        await asyncio.sleep(0)
        assert not reading.done()
        await read_exactly(client, whole)
        await task
        sweep([transport], now=1060)  # it is seen to be sent
        await asyncio.sleep(0)
        assert not reading.done()
        sweep([transport], now=1070)
        with pytest.raises(TimeoutError):
            await reading


@on_a_loop
async def test_reading_does_not_save_a_write_that_stalls():
    async with connected() as (transport, client):
        task, _ = await write_until_blocked(transport)
        transport.allow(5)
        sweep([transport], now=1000)
        client.send(b"still here, but not reading")
        assert await transport.read()
        transport.deadline = math.inf
        sweep([transport], now=1000 + STALLED + 1)
        with pytest.raises(ConnectionError):
            await task


@pytest.mark.parametrize("number", [errno.ETIMEDOUT, errno.EHOSTUNREACH])
@on_a_loop
async def test_a_client_that_the_network_has_lost(number):
    """The kernel's own time-out is no deadline of ours."""
    async with connected() as (transport, _):
        reading = asyncio.create_task(transport.read())
        await asyncio.sleep(0)
        transport._stream._fatal_error(OSError(number, os.strerror(number)))
        assert await reading == b""


@on_a_loop
async def test_interrupt_makes_a_read_time_out():
    async with connected() as (transport, client):
        reading = asyncio.create_task(transport.read())
        await asyncio.sleep(0)
        transport.interrupt()
        with pytest.raises(TooSlow):
            await reading
        transport.interrupt()  # nobody reads: the next one
        with pytest.raises(TooSlow):
            await transport.read()
        client.send(b"later")
        assert await transport.read() == b"later"


@on_a_loop
async def test_interrupt_is_for_reads_and_not_for_writes():
    async with connected() as (transport, client):
        transport.interrupt()
        writing = asyncio.create_task(write(transport, bytes(8 * MIB)))
        await read_exactly(client, 8 * MIB)
        await writing
        with pytest.raises(TooSlow):
            await transport.read()


@on_a_loop
async def test_linger_after_an_interruption():
    """An earlier time limit does not shorten the time for last words."""
    async with connected() as (transport, client):
        loop = asyncio.get_running_loop()
        transport.interrupt()
        transport.write(b"408")
        lingering = asyncio.create_task(linger(transport))
        await loop.sock_sendall(client, bytes(MIB))
        assert await read_all(client) == b"408"
        assert not lingering.done()
        client.shutdown(socket.SHUT_WR)
        await lingering


@on_a_loop
async def test_after_a_time_out_an_answer_can_be_written():
    async with connected() as (transport, client):
        transport.interrupt()
        await write(transport, b"408")
        await transport.close()
        assert await read_all(client) == b"408"


@on_a_loop
async def test_close_sends_what_was_written():
    async with connected() as (transport, client):
        writing = asyncio.create_task(write(transport, bytes(8 * MIB)))
        await until(lambda: unsent(transport) > HIGH_WATER)
        closing = asyncio.create_task(transport.close())
        assert len(await read_all(client)) == 8 * MIB
        await closing
        with suppress(ConnectionError):
            await writing


@on_a_loop
async def test_abort_sends_nothing_more():
    async with connected() as (transport, client):
        with suppress(ConnectionError):
            task, _ = await write_until_blocked(transport)
        transport.abort()
        with pytest.raises(ConnectionError):
            await task
        with suppress(ConnectionError):
            assert len(await read_all(client)) < 32 * MIB


@pytest.mark.parametrize("size", [0, 1, 5 * MIB])
@on_a_loop
async def test_a_file_is_sent_between_two_writes(tmp_path, size):
    path = tmp_path / "data"
    path.write_bytes(os.urandom(size))
    async with connected() as (transport, client):

        async def send():
            await write(transport, b"<")
            with path.open("rb") as file:
                await transport.send_file(file, size)
            await write(transport, b">")
            await transport.close()

        async with asyncio.TaskGroup() as both:  # if one fails, so do both
            both.create_task(send())
            reading = both.create_task(read_all(client))
        assert reading.result() == b"<" + path.read_bytes() + b">"


@on_a_loop
async def test_a_file_for_a_client_that_has_gone(tmp_path):
    path = tmp_path / "data"
    path.write_bytes(bytes(MIB))
    async with connected() as (transport, client):
        reset(client)
        assert await transport.read() == b""
        with path.open("rb") as file, pytest.raises(ConnectionError):
            await transport.send_file(file, MIB)


@on_a_loop
async def test_a_file_that_became_shorter(tmp_path):
    path = tmp_path / "data"
    path.write_bytes(b"short")
    async with connected() as (transport, _):
        with path.open("rb") as file, pytest.raises(EOFError):
            await transport.send_file(file, 100)


@on_a_loop
async def test_a_stalled_file_is_aborted_by_the_sweeper(tmp_path):
    """A client that never reads must not hold a file open for ever."""
    path = tmp_path / "data"
    with path.open("wb") as file:
        file.truncate(64 * MIB)
    async with connected() as (transport, _):
        with path.open("rb") as file:
            sending = asyncio.create_task(transport.send_file(file, 64 * MIB))
            await asyncio.wait([sending], timeout=0.2)
            assert not sending.done()
            sweep([transport], time.monotonic())
            await asyncio.wait([sending], timeout=0.2)
            assert not sending.done()
            sweep([transport], time.monotonic() + STALLED + 1)
            await asyncio.wait([sending], timeout=0.2)
            assert sending.done()
            assert isinstance(sending.exception(), ConnectionError)


@on_a_loop
async def test_linger_reads_on_so_that_last_words_arrive():
    async with connected() as (transport, client):
        loop = asyncio.get_running_loop()
        await write(transport, b"413")

        async def lingering():
            await linger(transport)
            await transport.close()

        task = asyncio.create_task(lingering())
        await loop.sock_sendall(client, bytes(4 * MIB))
        assert await read_all(client) == b"413"
        client.shutdown(socket.SHUT_WR)
        await task


@on_a_loop
async def test_linger_is_bounded():
    async with connected() as (transport, _):
        await linger(transport, seconds=0.01)  # and nobody sweeps


@on_a_loop
async def test_an_older_deadline_does_not_end_lingering():
    async with connected() as (transport, _):
        transport.allow(-1)
        task = asyncio.create_task(linger(transport, seconds=math.inf))
        await asyncio.sleep(0)
        sweep([transport], now=time.monotonic())
        await asyncio.sleep(0)
        assert not task.done()
        transport.interrupt()
        await task


@on_a_loop
async def test_lingering_can_be_interrupted():
    async with connected() as (transport, _):
        task = asyncio.create_task(linger(transport, seconds=math.inf))
        await asyncio.sleep(0)
        assert not task.done()
        transport.interrupt()
        await task


@on_a_loop
async def test_linger_goes_on_as_long_as_the_client_reads():
    unsent = iter([30, 20, 20])

    class Slow(MemoryTransport):
        unsent = property(lambda self: next(unsent), lambda self, value: None)

    await linger(Slow(), seconds=0.01)
    assert list(unsent) == []


@on_a_loop
async def test_the_verbs_of_the_end_can_be_said_twice():
    async with connected() as (transport, client):
        client.close()
        transport.write_eof()
        transport.write_eof()
        await transport.close()
        await transport.close()
        transport.write_eof()
        transport.abort()
        transport.abort()


@on_a_loop
async def test_abort_after_a_close_that_had_to_wait():
    async with connected() as (transport, client):
        writing = asyncio.create_task(write(transport, bytes(8 * MIB)))
        await until(lambda: unsent(transport) > HIGH_WATER)
        closing = asyncio.create_task(transport.close())
        await read_all(client)
        await asyncio.wait([closing, writing])
        transport.abort()


@on_a_loop
async def test_who_is_there():
    async with connected() as (transport, client):
        assert transport.client == client.getsockname()
        assert transport.server == client.getpeername()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (("127.0.0.1", 80), ("127.0.0.1", 80)),
        (("::1", 80, 0, 0), ("::1", 80)),
        ("/run/app.sock", ("/run/app.sock", None)),
        ("", None),
        (None, None),
    ],
)
def test_an_address_is_host_and_port_or_path_and_none(name, expected):
    assert address(name) == expected


# In memory, with a clock of our own.


@on_a_loop
async def test_in_memory_both_ways():
    transport = MemoryTransport()
    transport.feed(b"hello")
    assert await transport.read() == b"hello"
    await write(transport, b"good")
    await write(transport, b"bye")
    assert transport.sent == b"goodbye"
    transport.feed(b"")
    assert await transport.read() == b""
    await transport.close()
    with pytest.raises(ConnectionError):
        await write(transport, b"x")


@on_a_loop
async def test_sweep_expires_only_what_is_due():
    clock = Clock()
    early, late, never = (MemoryTransport(clock) for _ in range(3))
    early.allow(5)
    late.allow(10)
    assert (early.deadline, late.deadline) == (1005, 1010)
    reads = [asyncio.create_task(one.read()) for one in (early, late, never)]
    await asyncio.sleep(0)

    clock.now = 1005.0
    sweep([early, late, never], clock())
    await asyncio.sleep(0)
    assert not any(read.done() for read in reads)

    clock.now = 1005.1
    sweep([early, late, never], clock())
    with pytest.raises(TimeoutError):
        await reads[0]
    assert not reads[1].done()
    assert early.deadline == math.inf

    clock.now = 1e9
    sweep([early, late, never], clock())
    with pytest.raises(TimeoutError):
        await reads[1]
    assert not reads[2].done()
    reads[2].cancel()


@on_a_loop
async def test_sweep_while_the_set_of_transports_changes():
    clock = Clock()
    transports = {MemoryTransport(clock) for _ in range(3)}
    for one in transports:
        one.allow(1)
        one.check_time = lambda now: transports.clear()
    sweep(transports, clock() + 2)
    assert not transports


def test_the_time_for_a_stalled_message_is_a_minute():
    assert STALLED == 60
