"""The body is collected before its size is looked at.

One line of code, and right for every body that ends. But the size is known
only at the end, and the client decides when that is.
"""

from asgi_ref.request import ProtocolError


class Limited:
    """A body of at most `limit` bytes."""

    def __init__(self, body, limit):
        self.body, self.limit = body, limit
        self.collected = b""
        if getattr(body, "left", 0) > limit:
            raise ProtocolError(413, "the body is too long")

    @property
    def complete(self):
        """Whether every byte was taken."""
        return self.body.complete

    def take(self, buffer):
        """Collect; return the whole at the end."""
        self.collected += self.body.take(buffer)
        if not self.complete:
            return b""
        if len(self.collected) > self.limit:
            raise ProtocolError(413, "the body is too long")
        return self.collected
