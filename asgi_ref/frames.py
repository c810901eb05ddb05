"""Frames: where a message begins and ends, now that HTTP is over.

    frames = Frames()
    frames.receive_data(data)      bytes from the network
    frames.next_event()            str, bytes, Ping, Pong, Close, or None
    encode(TEXT, payload)          returns the bytes to write

      first byte       second byte         then             then
    | FIN RSV opcode | MASK length 0-125 | 4 bytes mask  |  payload, masked
                           126: 2 bytes of length come first, 127: 8 bytes

A message may come in several frames, with control frames between them. A
text is checked as its bytes arrive, in the middle of a frame as well: the
first byte that cannot be UTF-8 ends the connection.

The mask protects nobody's secret. It makes bytes that a web page has chosen
look random on the wire, for old proxies that might take them for HTTP.

It does no I/O and answers nothing; who reads and who replies is decided in
websocket. What a compressed message is, it is told (`inflate`).

Source: RFC 6455, sections 5, 7.4 and 8.1.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable
from enum import StrEnum
from typing import NamedTuple

MAX_SIZE = 16 * 1024 * 1024  # bytes of one message
STRIDED = 16 * 1024  # bytes from which four translations beat one XOR

# The first byte: flags and opcodes (5.2).
FIN, RSV1, CONTROL = 0x80, 0x40, 0x08
CONTINUATION, TEXT, BINARY = 0x0, 0x1, 0x2
CLOSE, PING, PONG = 0x8, 0x9, 0xA
OPCODE = 0x0F  # these bits of it
OPCODES = {CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG}

# The second byte: the mask bit and a length. 126 means that two bytes follow
# with the real one, 127 eight.
MASKED = 0x80
TWO_BYTES = MASKED | 126
LONGEST_HEAD = 14

# Close codes that may be sent (7.4; the registry has added 1012 to 1014).
CLOSE_CODES = {*range(1000, 1004), *range(1007, 1015), *range(3000, 5000)}
NO_CODE, LOST = 1005, 1006  # these are never sent, they are only reported
NOT_UTF_8 = "the text is not UTF-8"


class FrameError(Exception):
    """The client broke a rule; fail the connection with `code` (7.1.7)."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class Ping(NamedTuple):
    """A question that must be answered with a Pong of the same payload."""

    payload: bytes


class Pong(NamedTuple):
    """The answer to a Ping, or an unasked sign of life."""

    payload: bytes


class Close(NamedTuple):
    """The client's last frame; 1005 if it gave no code."""

    code: int
    reason: str


Event = str | bytes | Ping | Pong | Close


class Expects(StrEnum):
    """What the next frame may be; control frames may come before it."""

    MESSAGE = "the first frame of a message"
    MORE = "the next frame of a message"
    NOTHING = "nothing after Close"


# (what is expected, first byte) to what is expected afterwards. Reserved
# bits and opcodes, control frames in pieces: whatever is not here is refused.
ORDER = {
    (Expects.MESSAGE, FIN | TEXT): Expects.MESSAGE,
    (Expects.MESSAGE, FIN | BINARY): Expects.MESSAGE,
    (Expects.MESSAGE, TEXT): Expects.MORE,
    (Expects.MESSAGE, BINARY): Expects.MORE,
    (Expects.MORE, CONTINUATION): Expects.MORE,
    (Expects.MORE, FIN | CONTINUATION): Expects.MESSAGE,
    (Expects.MESSAGE, FIN | PING): Expects.MESSAGE,
    (Expects.MESSAGE, FIN | PONG): Expects.MESSAGE,
    (Expects.MORE, FIN | PING): Expects.MORE,
    (Expects.MORE, FIN | PONG): Expects.MORE,
    (Expects.MESSAGE, FIN | CLOSE): Expects.NOTHING,
    (Expects.MORE, FIN | CLOSE): Expects.NOTHING,
}

# The same where compression was agreed upon: RSV1 in the first frame of a
# message says that it is compressed (RFC 7692, section 6).
WITH_RSV1 = ORDER | {
    (expects, first | RSV1): after
    for (expects, first), after in ORDER.items()
    if first & OPCODE in (TEXT, BINARY)
}

# No frame under way, nothing used of what is unread, a message is due.
BETWEEN_MESSAGES = (-1, 0, Expects.MESSAGE)

# inflate(piece, room, last): what a piece of a compressed message means
Inflate = Callable[[bytes, int, bool], bytes]
from_bytes = int.from_bytes
new_checker = codecs.getincrementaldecoder("utf-8")


class Frames:
    """Bytes of one client in, whole messages and control frames out.

    limit: bytes of one message, in however many frames. inflate: given if
    messages may be compressed. unread: what has come and is not used yet.
    """

    __slots__ = (
        *("expects", "unread", "_at", "_checker", "_first", "_inflate"),
        *("_kind", "_left", "_limit", "_mask", "_message", "_order"),
        "_short",
    )

    def __init__(
        self, limit: int = MAX_SIZE, inflate: Inflate | None = None
    ) -> None:
        self._limit, self._short = limit, min(limit, 125)
        self._inflate = inflate
        self._order = ORDER if inflate is None else WITH_RSV1
        self.expects = Expects.MESSAGE
        # No Buffer: payload is used as it comes, so what is kept of it is
        # the beginning of a head or of a control frame.
        self.unread, self._at = b"", 0
        # The frame under way: first byte (-1: none is), mask, bytes left.
        self._first, self._mask, self._left = -1, b"", 0
        # The message under way: its first frame's first byte, and its bytes.
        # They go into one block: a list of a million pieces would take far
        # more memory than the bytes that the limit counts.
        self._kind, self._message = 0, bytearray()
        self._checker: codecs.IncrementalDecoder | None = None

    def receive_data(self, data: bytes) -> None:
        """Take in what the network delivered."""
        self.unread = self.unread[self._at :] + data
        self._at = 0

    def next_event(self) -> Event | None:
        """Return the next event in what was received; None: need more.

        After a Close or an error there is nothing more, whatever comes.

        Raises FrameError.
        """
        try:
            if (self._first, self._at, self.expects) == BETWEEN_MESSAGES:
                message = short_message(self.unread, self._short)
                if message is not None:
                    self.unread = b""
                    return message
            while self._first >= 0 or self._next_head():
                if self._first & CONTROL:
                    return self._control_frame()
                message = self._take_piece()
                if message is not None or self._left:
                    return message
        except FrameError:
            self.expects, self._first = Expects.NOTHING, -1
            raise
        return None

    def _take(self, count: int) -> bytes:
        piece = self.unread[self._at : self._at + count]
        self._at += len(piece)
        if self._at == len(self.unread):
            self.unread, self._at = b"", 0
        return piece

    def _next_head(self) -> bool:
        """Take the head of a frame; False if it is not complete."""
        head = self.unread[self._at : self._at + LONGEST_HEAD]
        if len(head) < 2 or self.expects is Expects.NOTHING:
            return False
        first, size = head[0], head[1] - MASKED
        after = self._order.get((self.expects, first))
        if after is None:
            raise FrameError(1002, explain(self.expects, first))
        end = 6
        if not 0 <= size < 126:
            end, size = long_size(head)
        if len(head) < end:
            return False
        self._first, self._mask, self._left = first, head[end - 4 : end], size
        self.expects = after
        self._take(end)
        if not first & CONTROL:
            self._begin(first, size)
        return True

    def _begin(self, first: int, size: int) -> None:
        if first & OPCODE != CONTINUATION:
            self._kind = first
        # What a compressed frame will grow to is seen when it has.
        room = self._limit - len(self._message)
        if size > room and not self._kind & RSV1:
            raise too_big(self._limit)

    def _control_frame(self) -> Event | None:
        if len(self.unread) - self._at < self._left:
            return None
        payload = xor(self._take(self._left), self._mask)
        opcode, self._first = self._first & OPCODE, -1
        if opcode == CLOSE:
            return parse_close(payload)
        return Ping(payload) if opcode == PING else Pong(payload)

    def _take_piece(self) -> str | bytes | None:
        """Take what has come of a data frame; return a complete message."""
        piece = xor(self._take(self._left), self._mask)
        turn = len(piece) % 4
        self._left -= len(piece)
        if self._left:  # the mask goes on where this piece ends
            self._mask = self._mask[turn:] + self._mask[:turn]
        else:
            self._first = -1
        last = not self._left and self.expects is Expects.MESSAGE
        if self._kind & RSV1 and self._inflate is not None:
            room = self._limit - len(self._message)
            piece = self._inflate(piece, room, last)
        if self._kind & OPCODE == TEXT:
            self._check(piece, last)
        self._message += piece
        if not last:
            return None
        message, self._message = bytes(self._message), bytearray()
        return decode(message) if self._kind & OPCODE == TEXT else message

    def _check(self, piece: bytes, last: bool) -> None:
        self._checker = self._checker or new_checker()
        try:
            self._checker.decode(piece, last)
        except UnicodeDecodeError:
            raise FrameError(1007, NOT_UTF_8) from None
        # Python waits for the third byte of a surrogate, to hand all of it
        # to an error handler; but it is wrong since the second one.
        rest, _ = self._checker.getstate()
        if b"\xed\xa0" <= rest < b"\xee":
            raise FrameError(1007, NOT_UTF_8)


def short_message(data: bytes, limit: int) -> str | bytes | None:
    """Return the message if `data` is one short frame and nothing else.

    Nearly all small messages come like this, and little is left to check
    then. Raises FrameError.
    """
    size = len(data) - 6
    if not 0 <= size <= limit or data[1] != size | MASKED:
        return None
    if data[0] == FIN | TEXT:
        return decode(xor(data[6:], data[2:6]))
    return xor(data[6:], data[2:6]) if data[0] == FIN | BINARY else None


def long_size(head: bytes) -> tuple[int, int]:
    """Return where a frame's head ends, and the size of its payload.

    If the head is not complete, the size means nothing.

    Raises FrameError: no mask, too long for a control frame, or a number
    that would have fitted into fewer bytes (5.1, 5.2, 5.5).
    """
    if head[1] < MASKED:
        raise FrameError(1002, "a frame without a mask")
    if head[0] & CONTROL:
        raise FrameError(1002, "a control frame of more than 125 bytes")
    end, least = (8, 126) if head[1] == TWO_BYTES else (14, 1 << 16)
    size = int.from_bytes(head[2 : end - 4], "big")
    if len(head) >= end and not least <= size < 1 << 63:
        raise FrameError(1002, "a length that is not written in its form")
    return end, size


def explain(expects: Expects, first: int) -> str:
    """Say what is wrong with a frame that has this first byte."""
    if (expects, first & (FIN | OPCODE)) in ORDER:
        return f"reserved bits are set (first byte {first:#04x})"
    opcode = first & OPCODE
    if opcode not in OPCODES:
        return f"opcode {opcode} means nothing"
    if first & CONTROL and not first & FIN:
        return "a control frame in pieces"
    return f"opcode {opcode}, but {expects} is due"


def too_big(limit: int) -> FrameError:
    """Return the error for a message that is over the limit."""
    return FrameError(1009, f"a message of more than {limit} bytes")


def decode(data: bytes) -> str:
    """Return UTF-8 as a text. Raises FrameError (8.1)."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise FrameError(1007, NOT_UTF_8) from None


def parse_close(payload: bytes) -> Close:
    """Return what a Close frame says. Raises FrameError (5.5.1, 7.4)."""
    if not payload:
        return Close(NO_CODE, "")
    code = int.from_bytes(payload[:2], "big")
    if len(payload) == 1 or code not in CLOSE_CODES:
        raise FrameError(1002, "a Close without a valid code")
    return Close(code, decode(payload[2:]))


def xor(data: bytes, mask: bytes) -> bytes:
    """Mask or unmask: data[i] ^ mask[i % 4] (5.3).

    A loop over the bytes takes forty times as long for a few thousand. Two
    big numbers are faster to make, XOR and turn back; for more bytes it is
    faster to translate every fourth one.
    """
    size = len(data)
    if size < STRIDED:
        key = (mask * (size // 4 + 1))[:size]
        number = from_bytes(data, "big") ^ from_bytes(key, "big")
        return number.to_bytes(size, "big")
    out = bytearray(size)
    for i in range(4):
        out[i::4] = data[i::4].translate(TABLES[mask[i]])
    return bytes(out)


EVERY_BYTE = bytes(range(256))
TABLES = [xor(EVERY_BYTE, bytes([byte] * 4)) for byte in EVERY_BYTE]


def encode(opcode: int, payload: bytes) -> bytes:
    """Return a whole message, or a control frame, as one frame.

    opcode: RSV1 added to it says that the payload is compressed. The
    server's frames have no mask (5.1).
    """
    first, size = FIN | opcode, len(payload)
    if size < 126:
        return b"%c%c%b" % (first, size, payload)
    if size < 1 << 16:
        return b"%c\x7e%b%b" % (first, size.to_bytes(2, "big"), payload)
    return b"%c\x7f%b%b" % (first, size.to_bytes(8, "big"), payload)


def encode_close(code: int, reason: str = "") -> bytes:
    """Return a Close frame; without a code for 1005.

    Raises ValueError: the code may not be sent, or the reason is too long.
    """
    if code == NO_CODE:
        return encode(CLOSE, b"")
    if code not in CLOSE_CODES:
        raise ValueError(f"{code} is not a close code that may be sent")
    payload = code.to_bytes(2, "big") + reason.encode()
    if len(payload) > 125:
        raise ValueError(f"a reason of more than 123 bytes: {reason!r}")
    return encode(CLOSE, payload)
