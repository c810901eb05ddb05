"""The handshake: how HTTP stops being HTTP.

    GET /chat HTTP/1.1                        HTTP/1.1 101 Switching Protocols
    Upgrade: websocket                  ─▶    upgrade: websocket
    Connection: Upgrade                       connection: upgrade
    Sec-WebSocket-Version: 13                 sec-websocket-accept: s3pPLMBi...
    Sec-WebSocket-Key: dGhlIHNhbXBsZ...

The key is no secret and proves nothing about the client. The answer to it
proves that the server understood the question: no other program would put
just this GUID behind the key and send the SHA-1 of both.

It does not know who decides (websocket) or what follows (frames). What the
extensions mean is not its business either (deflate); it reads their list.

Source: RFC 6455, sections 4.2, 9.1 and 11.3.
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode, b64encode
from hashlib import sha1

from .request import TOKEN, ProtocolError, Request
from .response import BadResponse, Pairs, field_lines

# RFC 6455, section 1.3: a GUID that nobody else has a use for
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
VERSION = b"13"

# RFC 6455, section 9.1:  extension-param = token [ "=" (token | quoted) ]
PARAMETER = re.compile(rb'(%b)(?:[ \t]*=[ \t]*("?)(%b)\2)?' % (TOKEN, TOKEN))

# What comes with a refusal: 426 says what would be understood.
REFUSAL_FIELDS = {
    405: [(b"allow", b"GET")],
    426: [
        (b"upgrade", b"websocket"),
        (b"connection", b"upgrade"),
        (b"sec-websocket-version", VERSION),
    ],
}

Offer = tuple[bytes, list[tuple[bytes, bytes]]]


class Handshake:
    """One client's wish to open a WebSocket, found in order.

    subprotocols: those that the client speaks, best first. offers: the
    extensions that it offers, each with its (parameter, value) pairs.

    Raises ProtocolError: answer with its status and its REFUSAL_FIELDS.
    """

    def __init__(self, request: Request) -> None:
        check(request)
        self.key = request.fields.get(b"sec-websocket-key", b"")
        if not is_key(self.key):
            raise ProtocolError(400, "the key is not 16 bytes in base64")
        self.subprotocols = subprotocols(request)
        self.offers = offers(request)

    def accept(
        self,
        subprotocol: str | None = None,
        headers: Pairs = (),
        extension: bytes = b"",
        own_lines: bytes = b"",
    ) -> bytes:
        """Return the bytes that open the WebSocket.

        extension: what was agreed upon. own_lines: the server's field lines.

        Raises BadResponse: a header that the server must write itself, or a
        subprotocol that the client did not ask for; it would hang up.
        """
        lines = b"sec-websocket-accept: %b\r\n" % accept_key(self.key)
        if subprotocol is not None:
            if subprotocol not in self.subprotocols:
                raise BadResponse(
                    f"subprotocol {subprotocol!r} was not asked for;"
                    f" the client speaks {self.subprotocols}"
                )
            lines += b"sec-websocket-protocol: %b\r\n" % subprotocol.encode()
        if extension:
            lines += b"sec-websocket-extensions: %b\r\n" % extension
        return (
            b"HTTP/1.1 101 Switching Protocols\r\n"
            b"upgrade: websocket\r\nconnection: upgrade\r\n"
            b"%b%b%b\r\n" % (lines, own_lines, extra_lines(headers))
        )


def check(request: Request) -> None:
    """Raise ProtocolError unless a WebSocket is asked for (4.2.1)."""
    if request.method != "GET":
        raise ProtocolError(405, "a WebSocket is opened with GET")
    if b"websocket" not in request.upgrade:  # never so in HTTP/1.0
        raise ProtocolError(400, "no upgrade to websocket was asked for")
    # An old draft has no version at all: it learns the same thing (4.4).
    if request.fields.get(b"sec-websocket-version") != VERSION:
        raise ProtocolError(426, "only version 13 of WebSocket is spoken here")


def is_key(key: bytes) -> bool:
    """Say whether a key is 16 bytes in base64 (4.2.1, item 5)."""
    try:
        return len(b64decode(key, validate=True)) == 16
    except binascii.Error:
        return False


def accept_key(key: bytes) -> bytes:
    """Return the answer to a key (4.2.2, item 5.4).

    >>> accept_key(b"dGhlIHNhbXBsZSBub25jZQ==")
    b's3pPLMBiTxaQ9kYGzzhZRbK+xOo='
    """
    return b64encode(sha1(key + GUID).digest())


def subprotocols(request: Request) -> list[str]:
    """Return the subprotocols asked for; their case matters (11.3.4).

    Raises ProtocolError: not tokens, or one of them twice.
    """
    names = elements(request, b"sec-websocket-protocol")
    if not all(re.fullmatch(TOKEN, name) for name in names):
        raise ProtocolError(400, "a subprotocol is not a token")
    if len(set(names)) != len(names):
        raise ProtocolError(400, "a subprotocol is asked for twice")
    return [name.decode() for name in names]


def offers(request: Request) -> list[Offer]:
    """Return the extensions offered, in the client's order (9.1).

    Raises ProtocolError: malformed.
    """
    found: list[Offer] = []
    for element in elements(request, b"sec-websocket-extensions"):
        parts = [part.strip(b" \t") for part in element.split(b";")]
        matches = [PARAMETER.fullmatch(part) for part in parts]
        pairs = [(m[1], m[3] or b"") for m in matches if m is not None]
        if len(pairs) < len(parts) or pairs[0][1]:
            raise ProtocolError(400, "the extensions are malformed")
        found.append((pairs[0][0], pairs[1:]))
    return found


def elements(request: Request, name: bytes) -> list[bytes]:
    """Return a comma-separated field; empty ones do not count (9110, 5.6.1).

    No value that may stand in one of these fields contains a comma.
    """
    value = request.fields.get(name, b"")
    return [part.strip(b" \t") for part in value.split(b",") if part.strip()]


def extra_lines(headers: Pairs) -> bytes:
    """Return the application's headers as field lines.

    Raises BadResponse: one that only the server may write.
    """
    headers = list(headers)
    lines = field_lines(headers)
    for name, _ in headers:
        if name.lower().startswith((b"sec-websocket-", b"upgrade")):
            raise BadResponse(f"{name!r} is written by the server")
    return lines
