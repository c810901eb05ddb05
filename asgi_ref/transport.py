"""A transport: four verbs between a connection and the network.

    data = await transport.read()      bytes; b"" when the client is done
    full = transport.write(data)       True: wait before you write more
    await transport.drain()            returns when there is room for more
    await transport.close()
    transport.client, transport.server

One thread serves many clients because `await` means: somebody else may run
until this is ready. `read` waits for bytes. `drain` waits when the client
reads more slowly than we write; otherwise everything that it does not read
would pile up in our memory. Most often there is nothing to wait for.

Time limits cost nothing per request: each transport has a deadline for what
it reads, and one sweeper looks at all of them now and then (`sweep`). It also
sees whether what we have written moves. A client that reads slowly keeps its
connection; one that has stopped loses it.

StreamTransport speaks to a socket, MemoryTransport to a test, with whatever
clock it is given. Neither knows what the bytes mean.

Source: asyncio streams and `loop.sendfile` (Python library reference).
"""

from __future__ import annotations

import asyncio
import math
import os
import struct
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from socket import SHUT_RDWR, SO_LINGER, SOL_SOCKET
from typing import Any, BinaryIO

Address = tuple[str, int | None] | None

READ_SIZE = 256 * 1024  # bytes, what asyncio asks the kernel for at most
HIGH_WATER = 64 * 1024  # unsent bytes above which asyncio makes writers wait
STALLED = 60.0  # seconds without progress, in the middle of a message
LINGER = 2.0  # seconds for last words to arrive

# The option SO_LINGER, on, with 0 seconds: unsent bytes are dropped.
NO_TIME = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)


class TooSlow(TimeoutError):
    """A read took longer than it may; the network's time-outs are no such."""


def forget_interruption(reader: asyncio.StreamReader) -> TooSlow | None:
    """Take back what would end a read; return it, or None."""
    late = reader.exception()
    if not isinstance(late, TooSlow):
        return None
    reader.set_exception(None)  # type: ignore[arg-type]
    return late


class StreamTransport:
    """A transport over a pair of asyncio streams."""

    __slots__ = (
        *("_reader", "_sends_file", "_stalls", "_stream", "_unsent"),
        *("_writer", "client", "deadline", "server"),
    )

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._stream = writer.transport
        self._unsent, self._stalls = 0, math.inf
        self._sends_file = False
        self.client = address(writer.get_extra_info("peername"))
        self.server = address(writer.get_extra_info("sockname"))
        self.deadline = math.inf

    async def read(self) -> bytes:
        """Return what arrived; wait if nothing did; b"" at the end.

        Raises TooSlow: the deadline passed.
        """
        try:
            return await self._reader.read(READ_SIZE)
        except TooSlow:
            forget_interruption(self._reader)
            raise
        except OSError:
            return b""

    def write(self, data: bytes) -> bool:
        """Send; True: call `drain`, too much is unsent or the client left."""
        self._stream.write(data)
        unsent = self._stream.get_write_buffer_size()
        return unsent > HIGH_WATER or self._stream.is_closing()

    async def drain(self) -> None:
        """Wait while too much is unsent.

        Raises OSError: the client has gone.
        """
        # asyncio would raise here what is meant for the next read.
        late = forget_interruption(self._reader)
        await self._writer.drain()
        if late is not None:
            self._reader.set_exception(late)

    async def send_file(self, file: BinaryIO, size: int) -> None:
        """Send `size` bytes of a file. Raises as `drain` does."""
        if self.tls is not None:
            return await self._encrypt_file(file, size)
        send = asyncio.get_running_loop().sendfile
        self._sends_file = True
        try:
            for start in range(0, size, READ_SIZE):
                self._stalls = time.monotonic() + STALLED
                count = min(READ_SIZE, size - start)
                if await send(self._stream, file, start, count) < count:
                    raise EOFError("the file became shorter")
        except RuntimeError as error:  # the transport is closing
            raise ConnectionResetError(str(error)) from error
        finally:
            self._sends_file = False

    async def _encrypt_file(self, file: BinaryIO, size: int) -> None:
        # The kernel cannot do it for us, and asyncio's own way out is slow
        # and not made for a second call while the client is slow.
        for start in range(0, size, HIGH_WATER):
            piece = file.read(min(HIGH_WATER, size - start))
            if len(piece) < min(HIGH_WATER, size - start):
                raise EOFError("the file became shorter")
            if self.write(piece):
                await self.drain()

    @property
    def tls(self) -> Any:
        """What TLS knows (an ssl.SSLObject), or None without TLS."""
        return self._writer.get_extra_info("ssl_object")

    @property
    def ended(self) -> bool:
        """Whether the client has said all; a read would return b""."""
        return self._reader.at_eof() or self._stream.is_closing()

    @property
    def unsent(self) -> int:
        """How many bytes the network has not taken yet."""
        return self._stream.get_write_buffer_size()

    def write_eof(self) -> None:
        """Say that nothing more will be sent; reading begins anew."""
        forget_interruption(self._reader)
        if self._writer.can_write_eof() and not self._stream.is_closing():
            with suppress(OSError):  # the client has gone
                self._writer.write_eof()

    async def close(self) -> None:
        """End the connection once what was written is sent."""
        if not self._stream.is_closing():  # a second time is too much for TLS
            self._writer.close()
        if self._stream.get_write_buffer_size():
            with suppress(OSError):
                await self._writer.wait_closed()

    def abort(self, reset: bool = False) -> None:
        """End the connection now; with a reset, it does not look complete."""
        if reset:
            sock = self._writer.get_extra_info("socket")
            sock.setsockopt(SOL_SOCKET, SO_LINGER, NO_TIME)
        unsent = self._stream.get_write_buffer_size()
        if unsent or not self._stream.is_closing():
            self._stream.abort()

    def allow(self, seconds: float) -> None:
        """Set the deadline for reading, so many seconds from now."""
        self.deadline = time.monotonic() + seconds

    def check_time(self, now: float) -> None:
        """End what takes too long; called by the sweeper."""
        unsent = self._stream.get_write_buffer_size()
        if self._sends_file:
            if self._stalls < now:  # it ends `sendfile`, which cleans up
                self._stalls = math.inf
                with suppress(OSError):  # the client is quicker
                    self._writer.get_extra_info("socket").shutdown(SHUT_RDWR)
        elif unsent != self._unsent:  # the client is slow, but it reads
            self._unsent, self._stalls = unsent, now + STALLED
            self.deadline = max(self.deadline, now + LINGER)
        elif unsent and self._stalls < now:
            self.abort()
        elif not unsent and self.deadline < now:
            self.interrupt()

    def interrupt(self) -> None:
        """Make the read that waits time out; if none does, the next one."""
        self.deadline = math.inf
        self._reader.set_exception(TooSlow("the client was too slow"))


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
        self.unsent = 0
        self.tls = None
        self._clock = clock
        self._reader = asyncio.StreamReader()

    @property
    def ended(self) -> bool:
        return self._reader.at_eof() or self.closed

    def feed(self, data: bytes) -> None:
        """Let the client send; b"" is the end of its stream."""
        if data:
            self._reader.feed_data(data)
        else:
            self._reader.feed_eof()

    async def read(self) -> bytes:
        try:
            return await self._reader.read(READ_SIZE)
        except TooSlow:
            forget_interruption(self._reader)
            raise

    def write(self, data: bytes) -> bool:
        if not self.closed:
            self.sent += data
        return self.closed

    async def drain(self) -> None:
        if self.closed:
            raise ConnectionResetError("the client has gone")

    async def send_file(self, file: BinaryIO, size: int) -> None:
        if self.write(file.read(size)):
            await self.drain()

    def write_eof(self) -> None:
        forget_interruption(self._reader)
        self.closed = True

    async def close(self) -> None:
        self.closed = True

    def abort(self, reset: bool = False) -> None:
        self.closed = True

    def allow(self, seconds: float) -> None:
        self.deadline = self._clock() + seconds

    def check_time(self, now: float) -> None:
        if self.deadline < now:
            self.interrupt()

    def interrupt(self) -> None:
        self.deadline = math.inf
        self._reader.set_exception(TooSlow("the client was too slow"))


def address(name: Any) -> Address:
    """Return a socket's name as (host, port), or (path, None), or None."""
    if isinstance(name, tuple):
        return name[:2]  # of IPv4 it is all, and not copied
    return (name, None) if isinstance(name, str) and name else None


Transport = StreamTransport | MemoryTransport


def sweep(transports: Iterable[Transport], now: float) -> None:
    """End what takes too long on any of the transports."""
    for transport in list(transports):
        transport.check_time(now)


async def linger(transport: Transport, seconds: float = LINGER) -> None:
    """Close in a way that lets the client read our last words.

    Closing a socket that holds unread bytes makes the kernel send a reset,
    which may overtake the answer. So: say that we are done, read and throw
    away what still comes, for a bounded time (RFC 9112, section 9.6). It
    begins anew as long as the client takes some of what is still unsent.
    """
    transport.write_eof()
    before = transport.deadline = math.inf  # no other limit than ours
    while (unsent := transport.unsent) < before:  # the client reads on
        before = unsent
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while await transport.read():
                    pass
                return
