"""The response: from a status and headers to bytes that are safe to send.

A field value that contains CR LF ends its line and starts another one; one
with two of them ends the head. If a value came from a user, the user writes
the response. So names and values are checked here, where bytes are made.

The second question is again where the body ends. The server decides:

    no body             HEAD requests, 204, 205, 304: whatever the app sends
    Content-Length      the app said, or the whole body is known at once
    chunked             the length is not known, HTTP/1.1
    end of connection   the length is not known, HTTP/1.0

It does not know the clock (it is told the time), whose turn it is
(connection), or what the body means.

Source: RFC 9110, sections 5.5, 6.4.1, 6.6.1, 8.6 and 15; RFC 9112, 6 and 7.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from http import HTTPStatus
from time import gmtime

from .request import KNOWN, Field, ProtocolError, Request, parse_field

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
    """A final response: what the application wants, made safe to send.

    status: 200 to 999. headers: any iterable of (name, value) in bytes; it
    is read once. block: the field lines ready to send. given: the names of
    fields that the server would otherwise add. length: of the body, if it
    is known. left: what of it is still to come; None if it does not count.

    Raises BadResponse.
    """

    length: int | None
    left: int | None
    given: tuple[bytes, ...] = ()

    def __init__(self, status: int, headers: Pairs = ()) -> None:
        if not 200 <= status <= 999:
            raise BadResponse(f"{status} is not a final response's status")
        self.status = status
        self.length = self.left = None
        self.close = self.silent = self.chunked = False
        self.block = field_lines(headers, self._keep)

    def _keep(self, name: bytes, value: bytes) -> bool:
        """Note a field that concerns the server; True: it is also sent."""
        if name == b"content-length":
            if not value.isdigit() or self.length is not None:
                raise BadResponse(f"content-length: not one number: {value!r}")
            if len(value) > 18:  # no file is as long, and `int` has a limit
                raise BadResponse("content-length: too many digits")
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

    def frame(self, request: Request, whole: int | None = None) -> bytes:
        """Decide how the body ends; return the field line that says so.

        whole: the body's length, if all of it is there already.
        """
        if request.method.upper() == "HEAD" or self.status in BODILESS:
            self.silent = True
            # RFC 9112, section 6.3 forgets 205: it must say that it is empty.
            return b"content-length: 0\r\n" if self.status == 205 else b""
        if self.length is None and whole is not None:
            self.length = whole
            return b"content-length: %d\r\n" % whole
        self.left = self.length
        if self.length is not None:
            return b""
        if request.version == "1.1":
            self.chunked = True
            return b"transfer-encoding: chunked\r\n"
        self.close = True
        return b""

    def encode(self, data: bytes, more: bool) -> bytes:
        """Return the bytes to send for a piece of the body.

        Raises BadResponse: more or less than Content-Length said.
        """
        self.count(len(data), more)
        if self.chunked:
            piece = b"%x\r\n%b\r\n" % (len(data), data) if data else b""
            return piece if more else piece + b"0\r\n\r\n"
        return b"" if self.silent else data

    def count(self, size: int, more: bool) -> None:
        """Count a piece of `size` bytes against Content-Length.

        Raises BadResponse.
        """
        if self.left is None or self.length is None:
            return  # nothing was promised
        self.left -= size
        if self.left < 0 or (self.left and not more):
            kind, sign = ("more", ">") if self.left < 0 else ("less", "<")
            raise BadResponse(
                f"{kind} body than content-length said"
                f" ({self.length - self.left} {sign} {self.length})"
            )


class OwnLines:
    """The field lines that a server adds to its responses.

    headers: the server's own; a Date or Server among them replaces ours.
    What the application has set is left out.

    Raises BadResponse.
    """

    def __init__(
        self,
        headers: Iterable[Field] = (),
        date: bool = True,
        server: bool = True,
    ) -> None:
        self._headers = list(headers)
        field_lines(self._headers)
        names = {name.lower() for name, _ in self._headers}
        for name in names & CONTROLLED - {b"date", b"server"}:
            raise BadResponse(f"{name.decode()}: it depends on the response")
        if server and b"server" not in names:
            self._headers.insert(0, (b"server", b"asgi_ref"))
        self._date = date and b"date" not in names
        # Made anew each second: it takes longer than the rest of a head.
        self.at = lru_cache(8)(self._at)

    def _at(self, seconds: int, given: tuple[bytes, ...] = ()) -> bytes:
        """Return the lines at a time, in seconds since 1970."""
        date = [(b"date", http_date(seconds))] if self._date else []
        return b"".join(
            b"%b: %b\r\n" % field
            for field in date + self._headers
            if field[0].lower() not in given
        )


def field_lines(
    headers: Pairs, keep: Keep = lambda name, value: False
) -> bytes:
    """Return headers as field lines, checked.

    `keep` is asked about each field in CONTROLLED: is it sent?

    Raises BadResponse: not a pair of bytes, not a token, control character.
    """
    headers = list(headers)
    block = b""
    try:
        for name, value in headers:
            line, controlled = field_line(name, value)
            if not controlled or keep(controlled, value):
                block += line
    except (AttributeError, TypeError, ValueError, ProtocolError) as error:
        raise BadResponse(explain(headers, error)) from None
    return block


# An application repeats its headers, too. `typed`: a memoryview of a known
# name is equal to it, and would be taken for it.
@lru_cache(KNOWN, typed=True)
def field_line(name: bytes, value: bytes) -> tuple[bytes, bytes]:
    """Return a field line, and its lower-case name if in CONTROLLED.

    Raises ProtocolError: what we may not receive we may not send either.
    """
    line = b"%b: %b" % (name, value)
    lower, _ = parse_field(line)
    if lower != name.lower():
        raise ProtocolError(400, f"{name!r} is not a field name")
    return line + b"\r\n", lower if lower in CONTROLLED else b""


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


@lru_cache(None)
def status_line(status: int) -> bytes:
    """Return the first line of a response; it always has a reason phrase."""
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = "Unknown"
    return b"HTTP/1.1 %d %b\r\n" % (status, phrase.encode())
