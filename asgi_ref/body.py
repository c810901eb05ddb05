"""The body of a request: who decides where it ends?

A request has no body unless its head announces one, in one of two ways:

    Content-Length: 5          the length, known before
    Transfer-Encoding: chunked pieces, each behind its length, then a zero

    5\\r\\nhello\\r\\n   a chunk: size in hexadecimal, CRLF, data, CRLF
    0\\r\\n            the last chunk
    \\r\\n             the trailer section (here without field lines)

Two servers in a row that disagree about the end of a body see different
requests in the same bytes. So a head that announces both ways, or either of
them unclearly, is refused.

A body hands out its bytes as they arrive and never collects them. It does
not read, and it does not know what the bytes mean.

Source: RFC 9112, sections 6 and 7; RFC 9110, section 8.6.
"""

from __future__ import annotations

import re
from enum import StrEnum

from .buffer import EMPTY_LINE, NEWLINE, Buffer, TooLong
from .request import (
    TOKEN,
    Headers,
    ProtocolError,
    Request,
    parse_fields,
    split_lines,
)

MAX_CHUNK_LINE = 4096
MAX_EXTENSIONS = 16 * 1024  # bytes of chunk extensions in one body
MAX_TRAILERS = 16 * 1024

# RFC 9112, section 7.1:  chunk-size [ chunk-ext ] CRLF
QUOTED = rb'"(?:[\t !#-\[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*"'
EXTENSION = rb"[ \t]*;[ \t]*%b(?:[ \t]*=[ \t]*(?:%b|%b))?" % (
    TOKEN,
    TOKEN,
    QUOTED,
)
CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,16})((?:%b)*)\r\n" % EXTENSION)

# RFC 9110, section 8.6:  Content-Length = 1*DIGIT
CONTENT_LENGTH = re.compile(rb"[0-9]{1,18}")


class LengthBody:
    """A body whose length was announced."""

    __slots__ = ("left",)

    def __init__(self, length: int) -> None:
        self.left = length

    @property
    def complete(self) -> bool:
        """Whether every byte was taken."""
        return self.left == 0

    def take(self, buffer: Buffer) -> bytes:
        """Remove this body's bytes from the buffer and return them."""
        data = buffer.take(self.left)
        self.left -= len(data)
        return data


class Part(StrEnum):
    """What a chunked body expects next."""

    SIZE = "chunk size"
    DATA = "chunk data"
    DATA_END = "end of chunk data"
    TRAILERS = "trailers"
    COMPLETE = "complete"


NEXT_PART = {
    (Part.SIZE, "chunk"): Part.DATA,
    (Part.SIZE, "last chunk"): Part.TRAILERS,
    (Part.DATA, "all data"): Part.DATA_END,
    (Part.DATA_END, "CRLF"): Part.SIZE,
    (Part.TRAILERS, "empty line"): Part.COMPLETE,
}


class ChunkedBody:
    """A body in chunks. `trailers` is filled when the body is complete."""

    __slots__ = ("_extensions", "left", "part", "trailers")

    def __init__(self) -> None:
        self.part = Part.SIZE
        self.left = 0
        self.trailers: Headers = []
        self._extensions = 0

    @property
    def complete(self) -> bool:
        """Whether the last chunk and the trailers were taken."""
        return self.part is Part.COMPLETE

    def take(self, buffer: Buffer) -> bytes:
        """Remove whole chunks and parts of chunks; return their data joined.

        Raises ProtocolError.
        """
        pieces: list[bytes] = []
        while not self.complete:
            event = self._take_part(buffer, pieces)
            if event is None:
                break
            self.part = NEXT_PART[self.part, event]
        return b"".join(pieces)

    def _take_part(self, buffer: Buffer, pieces: list[bytes]) -> str | None:
        if self.part is Part.SIZE:
            return self._take_size(buffer)
        if self.part is Part.DATA:
            data = buffer.take(self.left)
            self.left -= len(data)
            pieces.append(data)
            return None if self.left else "all data"
        if self.part is Part.DATA_END:
            return self._take_data_end(buffer)
        return self._take_trailers(buffer)

    def _take_size(self, buffer: Buffer) -> str | None:
        try:
            line = buffer.take_through(NEWLINE, MAX_CHUNK_LINE)
        except TooLong:
            raise ProtocolError(400, "a chunk's line is too long") from None
        if line is None:
            return None
        match = CHUNK_LINE.fullmatch(line)
        if match is None:
            raise ProtocolError(400, "the chunk size is malformed")
        # They are ignored (RFC 9112, 7.1.1), which is no reason to read them
        # for ever: one byte of data may come with kilobytes of extensions.
        self._extensions += len(match[2])
        if self._extensions > MAX_EXTENSIONS:
            raise ProtocolError(400, "too many chunk extensions")
        self.left = int(match[1], 16)
        return "chunk" if self.left else "last chunk"

    def _take_data_end(self, buffer: Buffer) -> str | None:
        if not buffer.startswith(b"\r\n"[: len(buffer)]):
            raise ProtocolError(400, "chunk data is longer than its size")
        if len(buffer) < 2:
            return None
        buffer.take(2)
        return "CRLF"

    def _take_trailers(self, buffer: Buffer) -> str | None:
        if buffer.startswith(b"\r\n"):
            buffer.take(2)
            return "empty line"
        try:
            trailers = buffer.take_through(EMPTY_LINE, MAX_TRAILERS)
        except TooLong:
            raise ProtocolError(431, "the trailers are too long") from None
        if trailers is None:
            return None
        self.trailers = parse_fields(split_lines(trailers))
        return "empty line"


def body_of(request: Request) -> LengthBody | ChunkedBody | None:
    """Return the body that a request's head announces; None without one.

    Raises ProtocolError: 400 for framing that two readers could take
    differently, 501 for a transfer coding that is not implemented here.
    """
    length = request.fields.get(b"content-length")
    if b"transfer-encoding" not in request.fields:
        return None if length is None else body_of_length(length)
    if length is not None:
        raise ProtocolError(400, "Content-Length and Transfer-Encoding")
    if request.version == "1.0":
        raise ProtocolError(400, "Transfer-Encoding in HTTP/1.0")
    codings = request.tokens(b"transfer-encoding")
    if codings == [b"chunked"]:
        return ChunkedBody()
    if codings[-1] != b"chunked" or codings.count(b"chunked") > 1:
        raise ProtocolError(400, "Transfer-Encoding does not end in chunked")
    raise ProtocolError(501, "a transfer coding that is not known here")


def body_of_length(length: bytes) -> LengthBody | None:
    """Return the body for a Content-Length; None if it is 0.

    Raises ProtocolError.
    """
    if CONTENT_LENGTH.fullmatch(length) is None:
        raise ProtocolError(400, "Content-Length is not one number")
    return LengthBody(int(length)) if int(length) else None
