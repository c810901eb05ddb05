"""Answer a handshake: agree on a version, and on what is spoken inside.

The key is answered already. Two things are missing, and a browser would
hang up on both. From RFC 6455, sections 4.1, 4.2 and 11.3.4:

    The version must be 13, and nothing else. Whoever asks for another one,
    or names none, gets 426 and is told which version would do.

    The client names its subprotocols, best first. The answer holds one of
    them, letter by letter, or the field is left out. Take the first one of
    the client's that is spoken here. If none is, open the WebSocket without
    one. A name that is there twice is answered with 400.
"""

from base64 import b64encode
from hashlib import sha1

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
UPGRADE = [(b"upgrade", b"websocket"), (b"connection", b"upgrade")]


def answer(fields, spoken):
    """Return (status, headers) for a handshake that is otherwise in order.

    fields: those of the request, {lower-case name: value}, all bytes; lines
    with the same name are joined with commas. spoken: our own subprotocols,
    a list of bytes. headers: a list of (name, value), names in lower case.
    """
    key = fields[b"sec-websocket-key"]
    accept = b64encode(sha1(key + GUID).digest())
    headers = [*UPGRADE, (b"sec-websocket-accept", accept)]
    if spoken:
        headers.append((b"sec-websocket-protocol", spoken[0]))
    return 101, headers
