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
BODILESS = frozenset({204, 205, 304})

# Fields that the server must look at, or that it writes itself.
CONTROLLED = frozenset(
    b"connection content-length date keep-alive server"
    b" transfer-encoding".split()
)

Pairs = Iterable[Iterable[bytes]]
Keep = Callable[[bytes, bytes], bool]


class BadResponse(ValueError):
    """The application's response would break a rule of HTTP."""


class Response:
    """A response's head as the application wants it, checked.

    status: 200 to 999. headers: any iterable of (name, value) in bytes; it
    is read once. block: the field lines ready to send. given: the names of
    fields that the server would otherwise add.

    Raises BadResponse.
    """

    length: int | None = None
    close = False
    given: tuple[bytes, ...] = ()

    def __init__(self, status: int, headers: Pairs = ()) -> None:
        if not 200 <= status <= 999:
            raise BadResponse(f"{status} is not a final response's status")
        self.status = status
        self.block = field_lines(headers, self._keep)

    def _keep(self, name: bytes, value: bytes) -> bool:
        """Note a field that concerns the server; True: it is also sent."""
        if name == b"content-length":
            if not value.isdigit() or self.length is not None:
                raise BadResponse(f"content-length: not one number: {value!r}")
            if self.status in (204, 205):
                return False  # 204 has no length, 205 has none but 0
            self.length = int(value)
            return True
        if name == b"connection":
            self.close = self.close or b"close" in value.lower()
            return b"upgrade" in value.lower()
        if name in (b"date", b"server"):
            self.given += (name,)
            return True
        return False


class ResponseBody:
    """How one response's body ends; turns its pieces into bytes to send.

    `whole` is the body's length if it is known though the app said nothing.
    `line` is the field line that announces the end, if the app sent none.
    `left` is what Content-Length still promises; None if it does not count.
    """

    line = b""
    chunked = until_close = False

    def __init__(
        self, request: Request, response: Response, whole: int | None = None
    ) -> None:
        self.silent = request.method == "HEAD" or response.status in BODILESS
        self.left = self.length = None if self.silent else response.length
        if self.left is None:
            self._choose(request, response, whole)

    def _choose(
        self, request: Request, response: Response, whole: int | None
    ) -> None:
        if response.status == 205:  # it must say that it is empty (15.3.6)
            self.line = b"content-length: 0\r\n"
        elif self.silent:
            pass
        elif whole is not None:
            self.left = self.length = whole
            self.line = b"content-length: %d\r\n" % whole
        elif request.version == "1.1":
            self.chunked = True
            self.line = b"transfer-encoding: chunked\r\n"
        else:
            self.until_close = True

    def encode(self, data: bytes, more: bool) -> bytes:
        """Return the bytes to send for a piece of the body.

        Raises BadResponse: more or less than Content-Length said.
        """
        if self.left is not None:
            self.count(len(data), more)
            return data
        if self.chunked:
            piece = b"%x\r\n%b\r\n" % (len(data), data) if data else b""
            return piece if more else piece + b"0\r\n\r\n"
        return b"" if self.silent else data

    def count(self, size: int, more: bool) -> None:
        """Count a piece of `size` bytes against Content-Length.

        Raises BadResponse.
        """
        if self.left is None or self.length is None:
            return
        self.left -= size
        if self.left < 0 or (self.left and not more):
            kind, sign = ("more", ">") if self.left < 0 else ("less", "<")
            raise BadResponse(
                f"{kind} body than content-length said"
                f" ({self.length - self.left} {sign} {self.length})"
            )


def field_lines(
    headers: Pairs, keep: Keep = lambda name, value: False
) -> bytes:
    """Return headers as field lines, checked.

    `keep` is asked about each field in CONTROLLED: is it sent?

    Raises BadResponse: not a pair of bytes, not a token, control character.
    """
    headers = list(headers)
    block, lines = b"", 0
    try:
        for name, value in headers:
            lower = KNOWN_NAMES.get(name) or field_name(name)
            if lower not in CONTROLLED or keep(lower, value):
                block += b"%b: %b\r\n" % (name, value)
                lines += 1
    except (AttributeError, TypeError, ValueError, ProtocolError) as error:
        raise BadResponse(explain(headers, error)) from None
    # Take the allowed characters away, and one CR LF a line must be left.
    if block.translate(None, TEXT) != b"\r\n" * lines:
        raise BadResponse(f"control character in headers: {headers!r}")
    return block


def explain(headers: list[Iterable[bytes]], error: Exception) -> str:
    """Say which of an application's headers is wrong, and why."""
    if isinstance(error, (BadResponse, ProtocolError)):
        return str(error)
    for item in headers:
        pair = tuple(item) if isinstance(item, (list, tuple)) else item
        if not isinstance(pair, tuple) or (
            [type(part) for part in pair] != [bytes, bytes]
        ):
            break
    return f"headers must be (bytes, bytes); got {pair!r}"


def http_date(seconds: float) -> bytes:
    """Return a time (seconds since 1970) as HTTP writes it.

    "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110, 5.6.7), whatever the locale.
    """
    year, month, day, hour, minute, second, weekday, *_ = gmtime(seconds)
    date = f"{DAYS[weekday]}, {day:02} {MONTHS[month - 1]} {year}"
    return f"{date} {hour:02}:{minute:02}:{second:02} GMT".encode()


def status_line(status: int) -> bytes:
    """Return the first line of a response; it always has a reason phrase."""
    return STATUS_LINES.get(status) or b"HTTP/1.1 %d Unknown\r\n" % status
