"""A transport: four verbs between a connection and the network.

    data = await transport.read()      bytes; b"" when the client is done
    await transport.write(data)        returns when there is room for more
    await transport.close()
    transport.client, transport.server

One thread serves many clients because `await` means: somebody else may run
until this is ready. `read` waits for bytes. `write` waits when the client
reads more slowly than we write; otherwise everything that it does not read
would pile up in our memory.

Time limits cost nothing per request: each transport has a deadline, and one
sweeper looks at all of them now and then (`sweep`).

StreamTransport speaks to a socket, MemoryTransport to a test, with whatever
clock it is given. Neither knows what the bytes mean.

Source: asyncio streams and `loop.sendfile` (Python library reference).
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from socket import SHUT_RDWR
from typing import Any, BinaryIO

Address = tuple[str, int | None] | None

READ_SIZE = 256 * 1024  # bytes, what asyncio asks the kernel for at most
HIGH_WATER = 64 * 1024  # unsent bytes above which asyncio makes writers wait
STALLED = 60.0  # seconds without progress, in the middle of a message


class StreamTransport:
    """A transport over a pair of asyncio streams."""

    __slots__ = (
        *("_reader", "_sends_file", "_stream", "_unsent", "_writer"),
        *("client", "deadline", "server"),
    )

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._stream = writer.transport
        self._unsent = 0
        self._sends_file = False
        self.client = address(writer.get_extra_info("peername"))
        self.server = address(writer.get_extra_info("sockname"))
        self.deadline = math.inf

    async def read(self) -> bytes:
        """Return what arrived; wait if nothing did; b"" at the end.

        Raises TimeoutError: the deadline passed.
        """
        try:
            return await self._reader.read(READ_SIZE)
        except ConnectionError:
            return b""

    async def write(self, data: bytes) -> None:
        """Send; wait while too much is unsent.

        Raises ConnectionError: the client has gone.
        """
        self._stream.write(data)
        self._unsent = self._stream.get_write_buffer_size()
        if self._unsent > HIGH_WATER or self._stream.is_closing():
            await self._drain()

    async def _drain(self) -> None:
        self.allow(STALLED)
        await self._writer.drain()
        self.deadline = math.inf

    async def send_file(self, file: BinaryIO, size: int) -> None:
        """Send `size` bytes of a file. Raises as `write` does."""
        send = asyncio.get_running_loop().sendfile
        self._sends_file = True
        try:
            for start in range(0, size, READ_SIZE):
                self.allow(STALLED)
                count = min(READ_SIZE, size - start)
                if await send(self._stream, file, start, count) < count:
                    raise ConnectionAbortedError("the file became shorter")
        except RuntimeError as error:  # the transport is closing
            raise ConnectionResetError(str(error)) from error
        finally:
            self._sends_file = False
            self.deadline = math.inf

    def write_eof(self) -> None:
        """Say that nothing more will be sent; reading goes on."""
        if self._writer.can_write_eof() and not self._stream.is_closing():
            with suppress(OSError):  # the client has gone
                self._writer.write_eof()

    async def close(self) -> None:
        """End the connection once what was written is sent."""
        self._writer.close()
        if not self._stream.get_write_buffer_size():
            return  # the kernel has it all
        self.allow(STALLED)
        with suppress(OSError):
            await self._writer.wait_closed()

    def abort(self) -> None:
        """End the connection now."""
        unsent = self._stream.get_write_buffer_size()
        if unsent or not self._stream.is_closing():
            self._stream.abort()

    def allow(self, seconds: float) -> None:
        """Set the deadline, so many seconds from now."""
        self.deadline = time.monotonic() + seconds

    def expire(self) -> None:
        """The deadline has passed: interrupt, or abort a stalled write."""
        unsent = self._stream.get_write_buffer_size()
        if 0 < unsent < self._unsent:  # the client is slow, but it reads
            self._unsent = unsent
            self.allow(STALLED)
        elif unsent:
            self.abort()
        elif self._sends_file:  # ends `sendfile`, which must clean up itself
            self._writer.get_extra_info("socket").shutdown(SHUT_RDWR)
        else:
            self.interrupt()

    def interrupt(self) -> None:
        """Make the read that waits, and every later one, time out."""
        self._reader.set_exception(TimeoutError("the client was too slow"))


class MemoryTransport:
    """A transport without a network, for tests, labs and exercises.

    `feed` is what the client sends, `sent` what it got; `clock` may be any
    function that returns seconds. All else is as in StreamTransport.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.client: Address = ("127.0.0.1", 50000)
        self.server: Address = ("127.0.0.1", 8000)
        self.deadline = math.inf
        self.sent = bytearray()
        self.closed = False
        self._clock = clock
        self._reader = asyncio.StreamReader()

    def feed(self, data: bytes) -> None:
        """Let the client send; b"" is the end of its stream."""
        if data:
            self._reader.feed_data(data)
        else:
            self._reader.feed_eof()

    async def read(self) -> bytes:
        return await self._reader.read(READ_SIZE)

    async def write(self, data: bytes) -> None:
        if self.closed:
            raise ConnectionResetError("the client has gone")
        self.sent += data

    async def send_file(self, file: BinaryIO, size: int) -> None:
        await self.write(file.read(size))

    def write_eof(self) -> None:
        self.closed = True

    async def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = True

    def allow(self, seconds: float) -> None:
        self.deadline = self._clock() + seconds

    def interrupt(self) -> None:
        self._reader.set_exception(TimeoutError("the client was too slow"))

    def expire(self) -> None:
        self.interrupt()


def address(name: Any) -> Address:
    """Return a socket's name as (host, port), or (path, None), or None."""
    if isinstance(name, tuple):
        return name[:2]  # of IPv4 it is all, and not copied
    return (name, None) if isinstance(name, str) and name else None


Transport = StreamTransport | MemoryTransport


def sweep(transports: Iterable[Transport], now: float) -> None:
    """Expire the transports whose deadline has passed."""
    for transport in list(transports):
        if transport.deadline < now:
            transport.deadline = math.inf
            transport.expire()


async def linger(transport: Transport, seconds: float = 2.0) -> None:
    """Close in a way that lets the client read our last words.

    Closing a socket that holds unread bytes makes the kernel send a reset,
    which may overtake the answer. So: say that we are done, read and throw
    away what still comes, for a bounded time (RFC 9112, section 9.6).
    """
    transport.write_eof()
    transport.allow(seconds)
    with suppress(TimeoutError):
        while await transport.read():
            pass
