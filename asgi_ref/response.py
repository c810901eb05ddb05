"""The response: from a status and headers to bytes that are safe to send.

A field value that contains CR LF ends its line and starts another one; one
with two of them ends the head. If a value came from a user, the user writes
the response. So names and values are checked here, where bytes are made.

The second question is again where the body ends. The server decides:

    no body             HEAD requests, 204, 304: whatever the app sends
    Content-Length      the app said, or the whole body is known at once
    chunked             the length is not known, HTTP/1.1
    end of connection   the length is not known, HTTP/1.0

It does not know the clock (a Date line is handed in), whose turn it is
(connection), or what the body means.

Source: RFC 9110, sections 5.5, 6.4.1, 6.6.1, 8.6 and 15; RFC 9112, 6 and 7.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from http import HTTPStatus
from time import gmtime

from .request import KNOWN_NAMES, TEXT, ProtocolError, Request, field_name

STATUS_LINES = {
    int(status): b"HTTP/1.1 %d %b\r\n" % (status, status.phrase.encode())
    for status in HTTPStatus
}
DAYS = "Mon Tue Wed Thu Fri Sat Sun".split()
MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
BODILESS = frozenset({204, 304})

# Fields that the server must look at or writes itself.
CONTROLLED = frozenset(
    {b"connection", b"content-length", b"date", b"keep-alive", b"server"}
    | {b"transfer-encoding"}
)

Keep = Callable[[bytes, bytes], bool]


class BadResponse(ValueError):
    """The application's response would break a rule of HTTP."""


class Response:
    """A response's head as the application wants it, checked.

    status: 200 to 999. headers: any iterable of (name, value) in bytes; it
    is read once. block: the field lines ready to send.

    Raises BadResponse.
    """

    __slots__ = (
        *("block", "close", "has_date", "has_server", "length", "status"),
    )

    def __init__(
        self, status: int, headers: Iterable[Iterable[bytes]] = ()
    ) -> None:
        if not 200 <= status <= 999:
            raise BadResponse(f"{status} is not a final response's status")
        self.status = status
        self.length: int | None = None
        self.close = self.has_date = self.has_server = False
        self.block = field_lines(headers, self._controlled)

    def _controlled(self, name: bytes, value: bytes) -> bool:
        """Note a field that concerns the server; True: send it as well."""
        if name == b"content-length":
            if not value.isdigit() or self.length is not None:
                raise BadResponse(
                    f"content-length {value!r} is not one number"
                )
            self.length = int(value)
        elif name == b"connection":
            self.close = b"close" in value.lower()
            return b"upgrade" in value.lower()
        elif name == b"date":
            self.has_date = True
        elif name == b"server":
            self.has_server = True
        return name in (b"date", b"server")


class ResponseBody:
    """How one response's body ends; turns its pieces into bytes to send.

    `whole` is the body's length if it is known though the app said nothing.
    `line` is the field line that announces the end to the client.
    """

    __slots__ = ("chunked", "left", "line", "length", "silent", "until_close")

    def __init__(
        self, request: Request, response: Response, whole: int | None = None
    ) -> None:
        status = response.status
        self.length = response.length
        self.line = b""
        self.chunked = self.until_close = False
        self.silent = request.method == "HEAD" or status in BODILESS
        if status == 205:  # it has no content and must say so (15.3.6)
            self.silent, self.length = True, 0
        elif self.length is None and not self.silent:
            self.length = whole
        if self.length is not None:
            if status != 204:  # there it is forbidden (RFC 9110, 8.6)
                self.line = b"content-length: %d\r\n" % self.length
        elif not self.silent:
            self.chunked = request.version == "1.1"
            self.until_close = not self.chunked
            if self.chunked:
                self.line = b"transfer-encoding: chunked\r\n"
        self.left = self.length or 0

    def encode(self, data: bytes) -> bytes:
        """Return the bytes to send for one piece of the body.

        Raises BadResponse: more than Content-Length said.
        """
        if self.silent or not data:
            return b""
        before, after = self.frame(len(data))
        return before + data + after if before else data

    def frame(self, size: int) -> tuple[bytes, bytes]:
        """Return what goes before and after a piece of `size` bytes.

        Raises BadResponse: more than Content-Length said.
        """
        if self.chunked:
            return b"%x\r\n" % size, b"\r\n"
        if self.length is not None:
            self.left -= size
            if self.left < 0:
                sent = self.length - self.left
                raise BadResponse(
                    "more body than content-length said"
                    f" ({sent} > {self.length})"
                )
        return b"", b""

    def end(self, trailers: bytes = b"") -> bytes:
        """Return the bytes that end the body.

        Raises BadResponse: less than Content-Length said.
        """
        if self.chunked:
            return b"0\r\n%b\r\n" % trailers
        if self.left and not self.silent:
            sent = (self.length or 0) - self.left
            raise BadResponse(
                f"less body than content-length said ({sent} < {self.length})"
            )
        return b""


def field_lines(
    headers: Iterable[Iterable[bytes]], keep: Keep = lambda name, value: False
) -> bytes:
    """Return headers as field lines, checked.

    `keep` is asked about each field in CONTROLLED: is it sent?

    Raises BadResponse: not a pair of bytes, not a token, control character.
    """
    lines = []
    for item in headers:
        try:
            name, value = item
            lower = KNOWN_NAMES.get(name) or field_name(name)
            line = b"%b: %b\r\n" % (name, value)
        except (TypeError, ValueError, ProtocolError):
            raise BadResponse(explain(item)) from None
        if line.count(b"\n") != 1 or line.count(b"\r") != 1:
            raise BadResponse(f"CR or LF in header {item!r}")
        if lower not in CONTROLLED or keep(lower, value):
            lines.append(line)
    block = b"".join(lines)
    if block.translate(None, TEXT):
        raise BadResponse(f"control character in headers {block!r}")
    return block


def explain(item: object) -> str:
    """Say what is wrong with an item of an application's headers."""
    pair = tuple(item) if isinstance(item, (list, tuple)) else item
    if (
        isinstance(pair, tuple)
        and [type(part) for part in pair] == [bytes] * 2
    ):
        return f"{pair[0]!r} is not a field name"
    return f"headers must be (bytes, bytes); got {pair!r}"


def http_date(seconds: float) -> bytes:
    """Return a time (seconds since 1970) as HTTP writes it.

    "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110, 5.6.7), whatever the locale.
    """
    year, month, day, hour, minute, second, weekday, *_ = gmtime(seconds)
    return (
        f"{DAYS[weekday]}, {day:02} {MONTHS[month - 1]} {year}"
        f" {hour:02}:{minute:02}:{second:02} GMT"
    ).encode()


def status_line(status: int) -> bytes:
    """Return the first line of a response; it always has a reason phrase."""
    return STATUS_LINES.get(status) or b"HTTP/1.1 %d Unknown\r\n" % status
