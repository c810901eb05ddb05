"""Frames in, messages out: in fragments, with control frames between them.

    take(TEXT, b"Hel")                 None: more is to come
    take(FIN | PING, b"there?")        ("ping", b"there?"), at once
    take(FIN | CONTINUATION, b"lo")    "Hello"

`Messages.take` is given one frame after the other: its first byte, and the
payload without its mask. It returns what the frame completes: a str, bytes,
a pair for a control frame, or None. What the order forbids is a ValueError.

The starter knows messages of one frame. Most messages are, and so it works
for weeks.
"""

FIN, CONTROL, OPCODE = 0x80, 0x08, 0x0F
CONTINUATION, TEXT, BINARY, PING, PONG = 0x0, 0x1, 0x2, 0x9, 0xA


class Messages:
    """What one client says, message by message."""

    def __init__(self):
        self.kind = None  # TEXT or BINARY while a message is under way
        self.so_far = b""

    def take(self, first, payload):
        """Return a message, ("ping", payload), ("pong", payload) or None.

        Raises ValueError: a frame that may not come here (a beginning inside
        of a message, a continuation of nothing, a control frame in pieces),
        or a text that is not UTF-8.
        """
        opcode = first & OPCODE
        return payload.decode() if opcode == TEXT else payload
