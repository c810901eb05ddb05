"""A connection: a sequence of requests and responses, and whose turn it is.

    connection = Connection()
    connection.receive_data(data)        bytes from the network, b"" at EOF
    connection.next_event()              a Request, body bytes, or a Signal
    connection.send_response(response)   returns the bytes to write
    connection.send_data(data)           returns the bytes to write
    connection.next_cycle()              True: ready for the next request

There are two sides, each with a state: what is being read, and what is
being written. The tables READING and WRITING hold every transition there is;
no state is ever set but by looking it up there.

It does no I/O, knows no clock and no `async`: the blocking server of chapter
08 and the asyncio server of chapter 14 drive the same object.

Source: RFC 9112, sections 6.3, 9.3 and 9.6; RFC 9110, sections 10.1.1, 15.2.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum, StrEnum
from typing import NoReturn

from .body import ChunkedBody, LengthBody, body_of
from .buffer import EMPTY_LINE, NEWLINE, Buffer, TooLong
from .request import ProtocolError, Request, parse_request
from .response import Pairs, Response, field_lines, status_line

HEAD_LIMIT = 64 * 1024  # bytes of a request's head
TLS_HANDSHAKE = b"\x16"
TLS_ON_PLAIN_PORT = (
    "the client spoke TLS to this plain port (first byte 0x16): use http://"
)


class Signal(Enum):
    """What `next_event` returns when it is neither a head nor a body."""

    NEED_DATA = "need data"
    END_OF_BODY = "end of body"
    CLOSED = "closed"


class Reading(StrEnum):
    """What is read from the client next."""

    HEAD = "head"
    BODY = "body"
    DONE = "done"
    CLOSED = "closed"


class Writing(StrEnum):
    """What is written to the client next."""

    NOTHING = "nothing"
    HEAD = "head"
    BODY = "body"
    DONE = "done"
    CLOSED = "closed"


class OutOfTurn(RuntimeError):
    """The server tried to do what the tables do not allow."""


class Table(dict[tuple[StrEnum, str], StrEnum]):
    """(state, event) to next state; whatever is not in it is refused."""

    def __missing__(self, key: tuple[StrEnum, str]) -> NoReturn:
        raise OutOfTurn(f"{key[1]!r} while {key[0].value!r} is due")


READING = Table(
    {
        (Reading.HEAD, "request"): Reading.BODY,
        (Reading.HEAD, "request without body"): Reading.DONE,
        (Reading.BODY, "end of body"): Reading.DONE,
        (Reading.DONE, "next cycle"): Reading.HEAD,
        (Reading.HEAD, "end of connection"): Reading.CLOSED,
        (Reading.HEAD, "error"): Reading.CLOSED,
        (Reading.BODY, "error"): Reading.CLOSED,
        (Reading.DONE, "switch protocols"): Reading.CLOSED,
    }
)

WRITING = Table(
    {
        (Writing.NOTHING, "request"): Writing.HEAD,
        (Writing.NOTHING, "error"): Writing.HEAD,
        (Writing.HEAD, "100 Continue"): Writing.HEAD,
        (Writing.HEAD, "103 Early Hints"): Writing.HEAD,
        (Writing.HEAD, "response"): Writing.BODY,
        (Writing.BODY, "take back"): Writing.HEAD,
        (Writing.BODY, "data"): Writing.BODY,
        (Writing.BODY, "end"): Writing.DONE,
        (Writing.DONE, "next cycle"): Writing.NOTHING,
        (Writing.HEAD, "switch protocols"): Writing.CLOSED,
    }
)

# What a refusal answers when no request could be read.
UNREADABLE = Request("GET", b"*", "1.1", [])
NO_RESPONSE = Response(204)


class Connection:
    """One client's connection, seen from the server, without the network.

    limit_head: bytes of a request's head. scheme: b"https" if TLS secures
    it. keep_alive: set it to False and the response that is sent next will
    be the last one.
    """

    __slots__ = (
        *("buffer", "keep_alive", "limit_head", "reading", "request"),
        *("scheme", "writing"),
        *("_awaits_continue", "_eof", "_incoming", "_outgoing"),
    )

    def __init__(
        self, limit_head: int = HEAD_LIMIT, scheme: bytes = b"http"
    ) -> None:
        self.buffer = Buffer()
        self.limit_head, self.scheme = limit_head, scheme
        self.reading: StrEnum = Reading.HEAD
        self.writing: StrEnum = Writing.NOTHING
        self.keep_alive = True
        self.request = UNREADABLE
        self._incoming: LengthBody | ChunkedBody | None = None
        self._outgoing = NO_RESPONSE
        self._awaits_continue = self._eof = False

    # Reading: bytes in, events out.

    def receive_data(self, data: bytes) -> None:
        """Take in what the network delivered; b"" is the end of it."""
        self.buffer.append(data)
        self._eof = not data

    def next_event(self) -> Request | bytes | Signal:
        """Return the next event in what was received, or NEED_DATA.

        A Request comes first, then its body as pieces of bytes, then
        END_OF_BODY until `next_cycle`. CLOSED: nothing more will come.

        Raises ProtocolError: answer with its status, then close.
        """
        try:
            if self.reading is Reading.HEAD:
                return self._next_head()
            if self.reading is Reading.BODY:
                return self._next_piece()
        except ProtocolError:
            self.fail()
            raise
        closed = self.reading is Reading.CLOSED
        return Signal.CLOSED if closed else Signal.END_OF_BODY

    def _next_head(self) -> Request | Signal:
        try:
            head = self.buffer.take_through(EMPTY_LINE, self.limit_head)
        except TooLong:
            head = None
        if head is None or head.startswith(TLS_HANDSHAKE):
            return self._no_head(head or self.buffer.peek(1))
        self.request = request = parse_request(head, self.scheme)
        self._incoming = body_of(request)
        if self._incoming is None:
            self.reading = READING[self.reading, "request without body"]
        else:
            self.reading = READING[self.reading, "request"]
            self._awaits_continue = request.expects_continue
        self.writing = WRITING[self.writing, "request"]
        self.keep_alive = self.keep_alive and request.keep_alive
        return request

    def _no_head(self, first: bytes) -> Signal:
        if first.startswith(TLS_HANDSHAKE):
            raise ProtocolError(400, TLS_ON_PLAIN_PORT)
        if len(self.buffer) >= self.limit_head:
            if self.buffer.has_through(NEWLINE, self.limit_head):
                raise ProtocolError(431, "the head is too long")
            raise ProtocolError(414, "the request line is too long")
        if not self._eof:
            return Signal.NEED_DATA
        if self.begun:
            raise ProtocolError(400, "the connection ended inside a head")
        self.reading = READING[self.reading, "end of connection"]
        return Signal.CLOSED

    @property
    def begun(self) -> bool:
        """Whether a part of the next head is there; a CRLF is none."""
        return self.buffer.peek(3) not in (b"", b"\r", b"\r\n")

    def _next_piece(self) -> bytes | Signal:
        assert self._incoming is not None
        data = self._incoming.take(self.buffer)
        if data:  # it was not waited for
            self._awaits_continue = False
        if self._incoming.complete:
            self.reading = READING[self.reading, "end of body"]
        elif not data:
            if self._eof:
                raise ProtocolError(400, "the connection ended inside a body")
            return Signal.NEED_DATA
        return data or Signal.END_OF_BODY

    def fail(self) -> None:
        """Read no more; an answer that says why may still be sent."""
        self.reading = READING[self.reading, "error"]
        self.keep_alive = False
        if self.writing is Writing.NOTHING:
            self.writing = WRITING[self.writing, "error"]

    # Writing: what to send in, bytes out.

    def send_continue(self) -> bytes:
        """Return "100 Continue" if the client waits for it, else b""."""
        waits, self._awaits_continue = self._awaits_continue, False
        if not waits or self.buffer or self.writing is not Writing.HEAD:
            return b""  # the body is on its way, or the answer is
        self.writing = WRITING[self.writing, "100 Continue"]
        return b"HTTP/1.1 100 Continue\r\n\r\n"

    def send_early_hints(self, links: Iterable[bytes]) -> bytes:
        """Return "103 Early Hints" with these Link fields (RFC 8297).

        b"" if it is too late, or if the client speaks HTTP/1.0, which knows
        no informational responses (RFC 9110, section 15.2).

        Raises BadResponse.
        """
        block = field_lines((b"link", link) for link in links)
        if self.writing is not Writing.HEAD or self.request.version == "1.0":
            return b""
        self.writing = WRITING[self.writing, "103 Early Hints"]
        return b"%b%b\r\n" % (status_line(103), block)

    def send_response(
        self, response: Response, whole: int | None = None, extra: bytes = b""
    ) -> bytes:
        """Return the head of a final response.

        whole: length of the body if all of it is known. extra: field lines
        of the server's own, such as Date.
        """
        self.writing = WRITING[self.writing, "response"]
        self._outgoing = response
        extra += response.frame(self.request, whole)
        # A client that was not told to go on may send its body or not: there
        # is no telling where the next request would begin.
        if response.close or self._awaits_continue:
            self.keep_alive = False
        if not self.keep_alive:
            extra += b"connection: close\r\n"
        elif self.request.version == "1.0":
            extra += b"connection: keep-alive\r\n"
        return status_line(response.status) + extra + response.block + b"\r\n"

    def send_data(self, data: bytes, more: bool = True) -> bytes:
        """Return the bytes for a piece of body; `more` False ends it.

        Raises BadResponse: more or less body than Content-Length said.
        """
        encoded = self._outgoing.encode(data, more)
        self.writing = WRITING[self.writing, "data" if more else "end"]
        return encoded

    def send_end(self, trailers: Pairs = ()) -> bytes:
        """Return the bytes that end the body, with trailers if chunked.

        Trailers go only to a client that said it takes them ("TE: trailers",
        RFC 9110, section 6.5.1).

        Raises BadResponse.
        """
        block = field_lines(trailers)
        wanted = b"trailers" in self.request.tokens(b"te")
        end = self.send_data(b"", more=False)
        if wanted and self._outgoing.chunked:
            return b"0\r\n%b\r\n" % block
        return end

    def send_file(self, size: int) -> None:
        """Note that a file's own bytes are sent as the whole body.

        Raises BadResponse: Content-Length said another size.
        """
        self._outgoing.count(size, more=False)
        self.writing = WRITING[self.writing, "end"]

    @property
    def silent(self) -> bool:
        """Whether the response under way has no body, whatever is sent."""
        return self._outgoing.silent

    @property
    def open_ended(self) -> bool:
        """Whether only the end of the connection ends the body under way."""
        response = self._outgoing
        known = response.silent or response.chunked
        return not known and response.length is None

    def take_back(self) -> None:
        """Unsay a head that was made but never written."""
        if self.writing is Writing.BODY:
            self.writing = WRITING[self.writing, "take back"]

    @property
    def read_out(self) -> bool:
        """Whether the client sends nothing more, as far as it has said."""
        done = self.reading is Reading.DONE and not self.buffer
        return self._eof or (done and not self.request.keep_alive)

    def next_cycle(self) -> bool:
        """Make ready for the next request; False if there can be none."""
        reading = READING.get((self.reading, "next cycle"))
        writing = WRITING.get((self.writing, "next cycle"))
        if not (reading and writing and self.keep_alive):
            return False
        self.reading, self.writing = reading, writing
        # An idle connection waits for minutes: it should hold nothing.
        self.request, self._outgoing = UNREADABLE, NO_RESPONSE
        self._incoming = None
        return True

    def switch_protocols(self) -> Buffer:
        """Give up HTTP (status 101); return what is still unread.

        Raises OutOfTurn.
        """
        after = WRITING[self.writing, "switch protocols"]
        self.reading = READING[self.reading, "switch protocols"]
        self.writing = after
        return self.buffer
