"""One good answer."""

FIN, CONTROL, OPCODE = 0x80, 0x08, 0x0F
CONTINUATION, TEXT, BINARY, PING, PONG = 0x0, 0x1, 0x2, 0x9, 0xA


class Messages:
    """What one client says, message by message."""

    def __init__(self):
        self.kind = None
        self.so_far = b""

    def take(self, first, payload):
        """Return a message, ("ping", payload), ("pong", payload) or None."""
        opcode, last = first & OPCODE, bool(first & FIN)
        if opcode & CONTROL:  # says nothing about the message under way
            if not last:
                raise ValueError("a control frame in pieces")
            return ("ping" if opcode == PING else "pong"), payload
        if (opcode == CONTINUATION) != (self.kind is not None):
            raise ValueError(f"opcode {opcode} may not come here")
        if opcode != CONTINUATION:
            self.kind = opcode
        self.so_far += payload
        if not last:
            return None
        kind, message = self.kind, self.so_far
        self.kind, self.so_far = None, b""
        return message.decode() if kind == TEXT else message
