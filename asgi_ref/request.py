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

Headers = list[tuple[bytes, bytes]]

MAX_FIELD_LINES = 100
MAX_KNOWN = 1000

# RFC 9110, section 5.6.2:  token = 1*tchar
TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"

# RFC 9112, section 2.3:  HTTP-version = "HTTP/" DIGIT "." DIGIT
VERSION = re.compile(rb"HTTP/(\d)\.(\d)")

# RFC 9112, section 3.2.2:  absolute-form, the target sent to a proxy
ABSOLUTE_FORM = re.compile(rb"https?://([^/?:][^/?]*)(.*)", re.IGNORECASE)

# RFC 9110, section 7.2:  Host = uri-host [ ":" port ]
NAME = rb"[\w\-.~!$&'()*+,;=]*"
ADDRESS = rb"\[[0-9A-Fa-f:.]+\]"
HOST = re.compile(
    rb"(?:%b(?:%%[0-9A-Fa-f]{2}%b)*|%b)(?::\d*)?" % (NAME, NAME, ADDRESS)
)

# RFC 9110, section 5.5:  field-vchar, SP and HTAB; no other control character
TEXT = bytes([9, *range(32, 127), *range(128, 256)])

# What was found right once need not be checked again. Field names lead to
# their lower-case form. Bounded, for a client may make up any number of them.
KNOWN_NAMES: dict[bytes, bytes] = {}
KNOWN_HOSTS: set[bytes] = set()
KNOWN_METHODS = {b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"OPTIONS"}


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
        self.headers = headers
        self.fields = dict(headers)
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


def parse_request(head: bytes) -> Request:
    """Return the Request in `head`, which ends with its empty line.

    Raises ProtocolError.
    """
    # Some clients send one CRLF too many after a body (RFC 9112, 2.2).
    line, *lines = split_lines(head.removeprefix(b"\r\n")) or [b""]
    method, target, version = parse_line(line)
    request = Request(method.decode(), target, version, parse_fields(lines))
    host = request.fields.get(b"host")
    if host not in KNOWN_HOSTS:
        check_host(host, version)
    if not target.startswith(b"/") or b"#" in target or method == b"CONNECT":
        resolve_target(request)
    return request


def parse_line(line: bytes) -> tuple[bytes, bytes, str]:
    """Return method, target and version of a request line (RFC 9112, 3).

    Raises ProtocolError.
    """
    parts = line.split(b" ")
    if len(parts) != 3:
        raise ProtocolError(400, "the request line is malformed")
    method, target, version = parts
    if not target.isascii() or b"\t" in target:
        raise ProtocolError(400, "the request target is malformed")
    if method not in KNOWN_METHODS and not re.fullmatch(TOKEN, method):
        raise ProtocolError(400, "the method is not a token")
    if version == b"HTTP/1.1":
        return method, target, "1.1"
    match = VERSION.fullmatch(version)
    if match is None:
        raise ProtocolError(400, "the HTTP version is malformed")
    if match[1] != b"1":
        raise ProtocolError(505, "only HTTP/1.1 and HTTP/1.0 are spoken here")
    # A later HTTP/1.x is answered as the latest that we know (2.5).
    return method, target, "1.0" if match[2] == b"0" else "1.1"


def split_lines(head: bytes) -> list[bytes]:
    """Return the lines of a head without its final empty line.

    Take the allowed characters away, and one CR LF a line must be left.

    Raises ProtocolError: control characters, bare CR or LF (RFC 9112, 2.2).
    """
    lines = head.split(b"\r\n")
    if head.translate(None, TEXT) != b"\r\n" * (len(lines) - 1):
        raise ProtocolError(400, "control character, or a bare CR or LF")
    return lines[:-2]


def parse_fields(lines: list[bytes]) -> Headers:
    """Return field lines as (lower-case name, value) pairs.

    Raises ProtocolError: no colon, bad name, too many lines.
    """
    if len(lines) > MAX_FIELD_LINES:
        raise ProtocolError(431, f"more than {MAX_FIELD_LINES} field lines")
    headers = []
    try:
        for line in lines:
            name, value = line.split(b":", 1)
            lower = KNOWN_NAMES.get(name) or field_name(name)
            headers.append((lower, value.strip(b" \t")))
    except ValueError:
        raise ProtocolError(400, "a field line without a colon") from None
    return headers


def field_name(name: bytes) -> bytes:
    """Return a field name in lower case.

    The colon must follow at once: white space before it was used to smuggle
    requests (RFC 9112, section 5.1). A line that starts with white space
    continues the line before it in an obsolete way (section 5.2); its name
    is no token either.

    Raises ProtocolError: not a token.
    """
    if re.fullmatch(TOKEN, name) is None:
        shown = name.decode("latin-1")
        raise ProtocolError(400, f"{shown!r} is not a field name")
    lower = name.lower()
    if len(KNOWN_NAMES) < MAX_KNOWN:
        KNOWN_NAMES[name] = lower
    return lower


def combine(headers: Headers) -> dict[bytes, bytes]:
    """Return one value per name; repeated lines are joined with commas."""
    fields: dict[bytes, bytes] = {}
    for name, value in headers:
        before = fields.get(name)
        fields[name] = value if before is None else before + b", " + value
    return fields


def check_host(host: bytes | None, version: str) -> None:
    """Raise ProtocolError unless there is one valid Host (RFC 9112, 3.2).

    Two Host lines were combined with ", ", and a blank is not in HOST.
    """
    if host is None:
        if version == "1.1":
            raise ProtocolError(400, "HTTP/1.1 without a Host field")
        return
    if HOST.fullmatch(host) is None:
        raise ProtocolError(400, "not one valid Host")
    if len(KNOWN_HOSTS) < MAX_KNOWN:
        KNOWN_HOSTS.add(host)


def resolve_target(request: Request) -> None:
    """Bring a target that does not start with "/" into origin-form.

    Raises ProtocolError.
    """
    target = request.target
    if request.method == "CONNECT":
        raise ProtocolError(501, "CONNECT asks for a proxy")
    if b"#" in target:
        raise ProtocolError(400, "a fragment in the request target")
    if target == b"*" and request.method == "OPTIONS":
        return
    match = ABSOLUTE_FORM.fullmatch(target)
    if match is None or HOST.fullmatch(match[1]) is None:
        raise ProtocolError(400, "the request target is malformed")
    authority, path = match.groups()
    request.target = path if path.startswith(b"/") else b"/" + path
    # The target's host counts, the Host field does not (RFC 9112, 3.2.2).
    others = [field for field in request.headers if field[0] != b"host"]
    request.headers = [(b"host", authority), *others]
    request.fields[b"host"] = authority
