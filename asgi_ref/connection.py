"""A connection: a sequence of requests and responses, and whose turn it is.

    connection = Connection()
    connection.receive_data(data)        bytes from the network, b"" at EOF
    connection.next_event()              a Request, body bytes, or a Signal
    connection.send_response(response)   returns the bytes to write
    connection.send_data(data)           returns the bytes to write
    connection.next_cycle()              True: ready for the next request

There are two sides, each with a state: what is being read, and what is
being written. The tables READING and WRITING hold every transition there is;
`_read` and `_write` are the only places that change a state.

It does no I/O, knows no clock and no `async`: the blocking server of chapter
08 and the asyncio server of chapter 14 drive the same object.

Source: RFC 9112, sections 6.3, 9.3 and 9.6; RFC 9110, sections 10.1.1, 15.2.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum, StrEnum

from .body import ChunkedBody, LengthBody, body_of
from .buffer import EMPTY_LINE, NEWLINE, Buffer, TooLong
from .request import ProtocolError, Request, parse_request
from .response import Response, ResponseBody, field_lines, status_line

HEAD_LIMIT = 64 * 1024  # bytes of a request's head
PIECE = 64 * 1024  # bytes of a body handed out at a time
TLS_HANDSHAKE = b"\x16"


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


READING = {
    (Reading.HEAD, "request"): Reading.BODY,
    (Reading.HEAD, "request without body"): Reading.DONE,
    (Reading.BODY, "end of body"): Reading.DONE,
    (Reading.DONE, "next cycle"): Reading.HEAD,
    (Reading.HEAD, "end of connection"): Reading.CLOSED,
    (Reading.HEAD, "error"): Reading.CLOSED,
    (Reading.BODY, "error"): Reading.CLOSED,
    (Reading.DONE, "switch protocols"): Reading.CLOSED,
}

WRITING = {
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

# What a refusal answers when no request could be read.
UNREADABLE = Request("GET", b"*", "1.1", [])


class OutOfTurn(RuntimeError):
    """The server tried to send what the table WRITING does not allow."""


class Connection:
    """One client's connection, seen from the server, without the network.

    limit_head: bytes of a request's head. keep_alive: set it to False and
    the response that is sent next will be the last one.
    """

    __slots__ = (
        *("buffer", "keep_alive", "limit_head", "reading", "request"),
        *("writing", "_awaits_continue", "_eof", "_incoming", "_outgoing"),
    )

    def __init__(self, limit_head: int = HEAD_LIMIT) -> None:
        self.buffer = Buffer()
        self.limit_head = limit_head
        self.reading = Reading.HEAD
        self.writing = Writing.NOTHING
        self.keep_alive = True
        self._eof = False
        self._forget()

    def _forget(self) -> None:
        # An idle connection waits for minutes: it should hold nothing.
        self.request = UNREADABLE
        self._incoming: LengthBody | ChunkedBody | None = None
        self._outgoing: ResponseBody | None = None
        self._awaits_continue = False

    def _read(self, event: str) -> None:
        self.reading = READING[self.reading, event]

    def _write(self, event: str) -> None:
        state = WRITING.get((self.writing, event))
        if state is None:
            raise OutOfTurn(f"{event!r} while {self.writing.value!r} is due")
        self.writing = state

    # Reading: bytes in, events out.

    def receive_data(self, data: bytes) -> None:
        """Take in what the network delivered; b"" is the end of it."""
        if data:
            self.buffer.append(data)
        else:
            self._eof = True

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
        if self.reading is Reading.CLOSED:
            return Signal.CLOSED
        return Signal.END_OF_BODY

    def _next_head(self) -> Request | Signal:
        if self.buffer.startswith(TLS_HANDSHAKE):
            raise ProtocolError(400, "TLS on a plain port (first byte 0x16)")
        try:
            head = self.buffer.take_through(EMPTY_LINE, self.limit_head)
        except TooLong:
            if self.buffer.has_through(NEWLINE, self.limit_head):
                raise ProtocolError(431, "the head is too long") from None
            raise ProtocolError(414, "the request line is too long") from None
        if head is None:
            return self._need_head()
        self.request = request = parse_request(head)
        self._incoming = body_of(request)
        self.keep_alive = self.keep_alive and request.keep_alive
        if self._incoming.complete:
            self._read("request without body")
        else:
            self._read("request")
            self._awaits_continue = request.expects_continue
        self._write("request")
        return request

    def _need_head(self) -> Signal:
        if not self._eof:
            return Signal.NEED_DATA
        if self.buffer:
            raise ProtocolError(400, "the connection ended inside a head")
        self._read("end of connection")
        return Signal.CLOSED

    def _next_piece(self) -> bytes | Signal:
        assert self._incoming is not None
        data = self._incoming.take(self.buffer)
        if self._incoming.complete:
            self._read("end of body")
        elif not data:
            if self._eof:
                raise ProtocolError(400, "the connection ended inside a body")
            return Signal.NEED_DATA
        return data or Signal.END_OF_BODY

    def fail(self) -> None:
        """Read no more; an answer that says why may still be sent."""
        self._read("error")
        self.keep_alive = False
        if self.writing is Writing.NOTHING:
            self._write("error")

    # Writing: what to send in, bytes out.

    def send_continue(self) -> bytes:
        """Return "100 Continue" if the client waits for it, else b""."""
        if not self._awaits_continue:
            return b""
        self._awaits_continue = False
        if self.buffer or self.writing is not Writing.HEAD:
            return b""  # the body is on its way, or the answer is
        self._write("100 Continue")
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
        self._write("103 Early Hints")
        return b"%b%b\r\n" % (status_line(103), block)

    def send_response(
        self, response: Response, whole: int | None = None, extra: bytes = b""
    ) -> bytes:
        """Return the head of a final response.

        whole: length of the body if all of it is known. extra: field lines
        of the server's own, such as Date.
        """
        self._write("response")
        body = self._outgoing = ResponseBody(self.request, response, whole)
        # A client that was not told to go on may send its body or not: there
        # is no telling where the next request would begin.
        if response.close or body.until_close or self._awaits_continue:
            self.keep_alive = False
        connection = b""
        if not self.keep_alive:
            connection = b"connection: close\r\n"
        elif self.request.version == "1.0":
            connection = b"connection: keep-alive\r\n"
        return b"%b%b%b%b%b\r\n" % (
            *(status_line(response.status), extra, response.block),
            *(body.line, connection),
        )

    def send_data(self, data: bytes, more: bool = True) -> bytes:
        """Return the bytes for a piece of body; `more` False ends it.

        Raises BadResponse: more or less body than Content-Length said.
        """
        if self._outgoing is None:
            raise OutOfTurn("body before response")
        piece = self._outgoing.encode(data)
        if more:
            self._write("data")
            return piece
        return piece + self.send_end()

    def send_end(self, trailers: Iterable[Iterable[bytes]] = ()) -> bytes:
        """Return the bytes that end the body, with trailer fields if chunked.

        Trailers go only to a client that said it takes them ("TE: trailers",
        RFC 9110, section 6.5.1).

        Raises BadResponse.
        """
        if self._outgoing is None:
            raise OutOfTurn("end of body before response")
        block = field_lines(trailers)
        if b"trailers" not in self.request.tokens(b"te"):
            block = b""
        end = self._outgoing.end(block)
        self._write("end")
        return end

    def send_file(self, size: int) -> tuple[bytes, bytes]:
        """Return what goes before and after `size` bytes of a file's own.

        Raises BadResponse.
        """
        if self._outgoing is None:
            raise OutOfTurn("body before response")
        before, after = self._outgoing.frame(size)
        return before, after + self.send_end()

    def take_back(self) -> None:
        """Unsay a head that was made but never written."""
        if self.writing is Writing.BODY:
            self._write("take back")

    @property
    def silent(self) -> bool:
        """Whether the response under way has no body, whatever is sent."""
        return self._outgoing is not None and self._outgoing.silent

    def next_cycle(self) -> bool:
        """Make ready for the next request; False if there can be none."""
        if not self.keep_alive:
            return False
        if (
            self.reading is not Reading.DONE
            or self.writing is not Writing.DONE
        ):
            return False
        self._read("next cycle")
        self._write("next cycle")
        self._forget()
        return True

    def switch_protocols(self) -> Buffer:
        """Give up HTTP (status 101); return what is still unread.

        Raises OutOfTurn.
        """
        self._write("switch protocols")
        self._read("switch protocols")
        return self.buffer
