"""The head of a request: from bytes to a Request, or to a refusal.

    GET /items/7?q=a HTTP/1.1\\r\\n     request line: method target version
    Host: example.com\\r\\n             field lines: name, colon, value
    \\r\\n                              the empty line ends the head

A server that guesses what a doubtful head may have meant will one day guess
differently from the proxy in front of it; that difference is how requests
are smuggled. So this parser never repairs: what the grammar does not allow
raises ProtocolError with the status that the client gets.

It does not know where the head ends (buffer), where the body ends (body), or
whose turn it is (connection).

Source: RFC 9110, sections 5 and 7.2; RFC 9112, sections 2, 3 and 5.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

Field = tuple[bytes, bytes]
Headers = list[Field]
Parse = Callable[[bytes], Field]

MAX_FIELD_LINES = 100

# A client repeats most lines in each of its requests. What was found right
# once is not checked again: so many answers are remembered, of heads shorter
# than LONG. Both bound the cost, for a client can make up any lines it likes.
KNOWN = 1024
LONG = 4096

# RFC 9110, section 5.6.2:  token = 1*tchar
TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"

# RFC 9112, section 2.3:  HTTP-version = "HTTP/" DIGIT "." DIGIT
VERSION = re.compile(rb"HTTP/(\d)\.(\d)")

# RFC 9112, section 3.2.2:  absolute-form, the target sent to a proxy
ABSOLUTE_FORM = re.compile(rb"(https?)://([^/?:][^/?]*)(.*)", re.IGNORECASE)

# RFC 9110, section 7.2:  Host = uri-host [ ":" port ]
NAME = rb"[\w\-.~!$&'()*+,;=]*"
FUTURE = rb"[vV][0-9A-Fa-f]+\.[\w\-.~!$&'()*+,;=:]+"
ADDRESS = rb"\[(?:(?P<ipv6>[0-9A-Fa-f:.]+)|%b)\]" % FUTURE
HOST = re.compile(
    rb"(?:%b(?:%%[0-9A-Fa-f]{2}%b)*|%b)(?::\d*)?" % (NAME, NAME, ADDRESS)
)

# RFC 9110, section 5.5:  field-vchar, SP and HTAB; no other control character
TEXT = bytes([9, *range(32, 127), *range(128, 256)])


class ProtocolError(Exception):
    """The client broke a rule of HTTP; the connection must end.

    `status` is the HTTP status to answer with, `args[0]` says why.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class Request:
    """A request's head.

    method: as received ("GET"). target: bytes, origin-form or b"*".
    version: "1.0" or "1.1". headers: (name, value) pairs in the order
    received, names in lower case. fields: the same as a dict, lines with the
    same name combined (RFC 9110, section 5.3).
    """

    __slots__ = ("fields", "headers", "method", "target", "version")

    def __init__(
        self, method: str, target: bytes, version: str, headers: Headers
    ) -> None:
        self.method, self.target, self.version = method, target, version
        self.headers, self.fields = headers, dict(headers)
        if len(self.fields) != len(headers):
            self.fields = combine(headers)

    @property
    def label(self) -> str:
        """The request in the log's words: "GET /items?page=2"."""
        return f"{self.method} {self.target.decode()}"

    def tokens(self, name: bytes) -> list[bytes]:
        """Return a comma-separated field as a list, in lower case."""
        value = self.fields.get(name, b"").lower()
        return [part.strip(b" \t") for part in value.split(b",")]

    @property
    def keep_alive(self) -> bool:
        """Whether the client wants the connection to go on.

        HTTP/1.1 goes on unless told; HTTP/1.0 the reverse (RFC 9112, 9.3).
        """
        if b"connection" not in self.fields:
            return self.version == "1.1"
        options = self.tokens(b"connection")
        if b"close" in options:
            return False
        return self.version == "1.1" or b"keep-alive" in options

    @property
    def expects_continue(self) -> bool:
        """Whether the body waits for "100 Continue" (RFC 9110, 10.1.1)."""
        expected = b"100-continue" in self.tokens(b"expect")
        return expected and self.version == "1.1"

    @property
    def upgrade(self) -> list[bytes]:
        """The protocols that the client would rather speak (9110, 7.8)."""
        asked = b"upgrade" in self.tokens(b"connection")
        if not asked or self.version == "1.0":
            return []
        return self.tokens(b"upgrade")


def parse_request(head: bytes, scheme: bytes = b"http") -> Request:
    """Return the Request in `head`, which ends with its empty line.

    scheme: b"https" if the connection is secured by TLS.

    Raises ProtocolError.
    """
    # Some clients send one CRLF too many after a body (RFC 9112, 2.2).
    lines = split_lines(head.removeprefix(b"\r\n"))
    if len(head) < LONG:
        line = known_line(lines.pop(0))
        request = Request(*line, parse_fields(lines, known_field))
    else:
        line = parse_line(lines.pop(0))
        request = Request(*line, parse_fields(lines))
    if b"host" not in request.fields and request.version == "1.1":
        raise ProtocolError(400, "HTTP/1.1 without a Host field")
    if not request.target.startswith(b"/"):
        resolve_target(request, scheme)
    return request


def split_lines(head: bytes) -> list[bytes]:
    """Return the lines of a head without its final empty line.

    Raises ProtocolError: the last line ends in a bare LF (RFC 9112, 2.2).
    """
    lines = head.split(b"\r\n")
    if len(lines) < 3 or lines.pop() or lines.pop():
        raise ProtocolError(400, "a line ends in LF instead of CR LF")
    return lines


def parse_line(line: bytes) -> tuple[str, bytes, str]:
    """Return method, target and version of a request line (RFC 9112, 3).

    Raises ProtocolError.
    """
    if line.translate(None, TEXT):
        raise ProtocolError(400, "control character, or a bare CR or LF")
    parts = line.split(b" ")
    if len(parts) != 3:
        raise ProtocolError(400, "the request line is malformed")
    method, target, version = parts
    if re.fullmatch(TOKEN, method) is None:
        raise ProtocolError(400, "the method is not a token")
    if not target.isascii() or b"\t" in target or b"#" in target:
        raise ProtocolError(400, "the request target is malformed")
    match = VERSION.fullmatch(version)
    if match is None:
        raise ProtocolError(400, "the HTTP version is malformed")
    if match[1] != b"1":
        raise ProtocolError(505, "only HTTP/1.1 and HTTP/1.0 are spoken here")
    if method == b"CONNECT":
        raise ProtocolError(501, "CONNECT asks for a proxy")
    # A later HTTP/1.x is answered as the latest that we know (2.5).
    return method.decode(), target, "1.0" if match[2] == b"0" else "1.1"


def parse_field(line: bytes) -> tuple[bytes, bytes]:
    """Return a field line as (lower-case name, value).

    The colon must follow the name at once: white space before it was used
    to smuggle requests (RFC 9112, section 5.1). A line that starts with
    white space continues the line before it in an obsolete way (section
    5.2); its name is no token either.

    Raises ProtocolError: no colon, no token, a control character.
    """
    name, colon, value = line.partition(b":")
    if not colon:
        raise ProtocolError(400, "a field line without a colon")
    shown = name.decode("latin-1")
    if re.fullmatch(TOKEN, name) is None:
        raise ProtocolError(400, f"{shown!r} is not a field name")
    if value.translate(None, TEXT):
        raise ProtocolError(400, f"{shown}: a control character, CR or LF")
    name, value = name.lower(), value.strip(b" \t")
    if name == b"host" and not is_host(value):
        raise ProtocolError(400, "not a valid Host")
    return name, value


def is_host(value: bytes) -> bool:
    """Say whether a value is a host, perhaps with a port."""
    match = HOST.fullmatch(value)
    if match is None or match["ipv6"] is None:
        return match is not None
    from ipaddress import IPv6Address  # most servers never need it

    try:
        IPv6Address(match["ipv6"].decode())
    except ValueError:
        return False
    return True


known_line = lru_cache(KNOWN)(parse_line)
known_field = lru_cache(KNOWN)(parse_field)


def parse_fields(lines: list[bytes], parse: Parse = parse_field) -> Headers:
    """Return field lines as (lower-case name, value) pairs.

    Raises ProtocolError: too many lines, or one of them is malformed.
    """
    if len(lines) > MAX_FIELD_LINES:
        raise ProtocolError(431, f"more than {MAX_FIELD_LINES} field lines")
    return list(map(parse, lines))


def combine(headers: Headers) -> dict[bytes, bytes]:
    """Return one value per name; repeated lines are joined with commas.

    Raises ProtocolError: more than one Host (RFC 9112, section 3.2).
    """
    fields: dict[bytes, bytes] = {}
    for name, value in headers:
        if name == b"host" and name in fields:
            raise ProtocolError(400, "more than one Host field")
        before = fields.get(name)
        fields[name] = value if before is None else before + b", " + value
    return fields


def resolve_target(request: Request, scheme: bytes) -> None:
    """Bring a target that does not start with "/" into origin-form.

    Raises ProtocolError.
    """
    asks_server = request.method == "OPTIONS"  # not about one resource
    if request.target == b"*" and asks_server:
        return
    match = ABSOLUTE_FORM.fullmatch(request.target)
    if match is None or not is_host(match[2]):
        raise ProtocolError(400, "the request target is malformed")
    if match[1].lower() != scheme:  # RFC 9110, section 7.4
        raise ProtocolError(421, f"{match[1].decode()} is not spoken here")
    _, authority, path = match.groups()
    if not path.startswith(b"/"):
        path = b"/" + path if path or not asks_server else b"*"
    request.target = path
    # The target's host counts, the Host field does not (RFC 9112, 3.2.2).
    others = [field for field in request.headers if field[0] != b"host"]
    request.headers = [(b"host", authority), *others]
    request.fields[b"host"] = authority
