"""permessage-deflate: messages that are smaller on the wire than they are.

    permessage-deflate; client_max_window_bits       the client offers
    permessage-deflate; server_max_window_bits=12    the server agrees

Each message is a piece of one long DEFLATE stream, so that what was said
once need not be said again: both sides remember the last 2 ** window bits
bytes ("context"), unless they agreed to forget after each message.

A small frame can inflate to a thousand times its size. So the output is
bounded while it is made, not looked at when it is there.

It does not know which messages are compressed (frames), or how an offer is
written in a header (handshake).

Source: RFC 7692, sections 5 and 7.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass

from .frames import MAX_SIZE, FrameError, too_big

NAME = b"permessage-deflate"

# Each WebSocket needs a compressor of its own: 256 KiB with zlib's defaults
# (15 and 8), 32 KiB with these, for nearly the same result.
WINDOW_BITS = 12
MEMORY_LEVEL = 5

# What a compressor's flush ends with; it is not sent (7.2.1).
TAIL = b"\x00\x00\xff\xff"

# Empty blocks. The table of codes that a block may begin with can be so long
# that it swallows about twenty of them before they make no sense in it.
EMPTY_BLOCKS = (b"\x00" + TAIL) * 32

# Blocks of a message that say they are the last one: each costs a new stream.
MOST_STREAMS = 100

# zlib cannot do 8: an old one makes 9 of it, which the client cannot read,
# a later one refuses.
BITS = {b"%d" % bits: bits for bits in range(9, 16)}

Parameters = Iterable[tuple[bytes, bytes]]


@dataclass(frozen=True)
class Agreement:
    """What both sides have agreed upon; in words: `line`."""

    server_bits: int = WINDOW_BITS
    client_bits: int | None = None  # None: nothing was said, it may be 15
    server_forgets: bool = False
    client_forgets: bool = False

    @property
    def line(self) -> bytes:
        """The value of the server's Sec-WebSocket-Extensions field."""
        line = b"%b; server_max_window_bits=%d" % (NAME, self.server_bits)
        if self.client_bits is not None:
            line += b"; client_max_window_bits=%d" % self.client_bits
        if self.server_forgets:
            line += b"; server_no_context_takeover"
        if self.client_forgets:
            line += b"; client_no_context_takeover"
        return line


def agree(offers: Iterable[tuple[bytes, Parameters]]) -> Agreement | None:
    """Return an agreement with the first offer that is acceptable (5.1)."""
    for name, parameters in offers:
        pairs = list(parameters)
        known = dict(pairs)
        if name == NAME and len(known) == len(pairs):
            agreement = accept(known)
            if agreement is not None:
                return agreement
    return None


def accept(offer: dict[bytes, bytes]) -> Agreement | None:
    """Return an agreement with one offer, or None (7.1)."""
    values = dict(offer)
    server_forgets = values.pop(b"server_no_context_takeover", None)
    client_forgets = values.pop(b"client_no_context_takeover", None)
    server = BITS.get(values.pop(b"server_max_window_bits", b"15"))
    # Without a value it says only that the client can be told (7.1.2.2).
    client_can = b"client_max_window_bits" in values
    client = BITS.get(values.pop(b"client_max_window_bits", b"") or b"15")
    # What is left over is unknown; flags have no value; 8 we cannot do.
    if values or server is None or client is None:
        return None
    if server_forgets or client_forgets:
        return None
    return Agreement(
        min(server, WINDOW_BITS),
        min(client, WINDOW_BITS) if client_can else None,
        server_forgets is not None,
        client_forgets is not None,
    )


class Deflate:
    """Compresses and inflates the messages of one WebSocket.

    limit: bytes of one message. Neither compressor nor inflater costs
    anything before it is used.
    """

    __slots__ = (
        *("_agreement", "_compressor", "_inflater", "_limit", "_streams"),
    )

    def __init__(self, agreement: Agreement, limit: int = MAX_SIZE) -> None:
        self._agreement, self._limit = agreement, limit
        self._streams = 0  # that the message under way has ended
        self._compressor: zlib._Compress | None = None
        self._inflater: zlib._Decompress | None = None

    def compress(self, message: bytes) -> bytes:
        """Return a whole message, compressed; it must not be empty."""
        compressor = self._compressor or zlib.compressobj(
            wbits=-self._agreement.server_bits, memLevel=MEMORY_LEVEL
        )
        if not self._agreement.server_forgets:
            self._compressor = compressor
        data = compressor.compress(message)
        data += compressor.flush(zlib.Z_SYNC_FLUSH)
        return data.removesuffix(TAIL)

    def inflate(self, piece: bytes, room: int, last: bool) -> bytes:
        """Return what a piece of a message means; at most `room` bytes.

        last: the message ends with it.

        Raises FrameError: more than that, not DEFLATE, or not all of it.
        """
        try:
            data = self._inflate(piece, room + 1)
            if len(data) > room:
                raise too_big(self._limit)
            if last:
                self._end_message()
        except zlib.error:
            raise FrameError(1007, "the message is not DEFLATE") from None
        return data

    def _inflate(self, piece: bytes, most: int) -> bytes:
        inflater = self._inflater or self._new_inflater()
        data = inflater.decompress(piece, most)
        while inflater.eof:
            # A client may say of a block that it is the last one ever
            # (7.2.3.4). Then a new stream begins. Very many of them would
            # only be meant to keep us busy.
            self._streams += 1
            if self._streams > MOST_STREAMS:
                raise FrameError(1007, "a message of many streams")
            rest, inflater = inflater.unused_data, self._new_inflater()
            data += inflater.decompress(rest, max(1, most - len(data)))
        self._inflater = inflater
        return data

    def _end_message(self) -> None:
        # If all of it has come, a new block begins after the tail, and empty
        # ones change nothing. In the middle of a block, what we append is
        # taken for a part of the message, or makes no sense.
        if self._inflate(TAIL + EMPTY_BLOCKS, 1):
            raise FrameError(1007, "the message ends inside a block")
        self._streams = 0
        if self._agreement.client_forgets:
            self._inflater = None

    def _new_inflater(self) -> zlib._Decompress:
        return zlib.decompressobj(-(self._agreement.client_bits or 15))
