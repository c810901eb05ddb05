"""Bytes on the wire are counted, and sizes and extensions are not data.

The same body is then allowed in one large chunk and refused in small ones.
"""

from asgi_ref.body import LengthBody
from asgi_ref.request import ProtocolError


class Limited:
    """A body of at most `limit` bytes."""

    def __init__(self, body, limit):
        self.body, self.room = body, limit
        if isinstance(body, LengthBody) and body.left > limit:
            raise ProtocolError(413, "the body is too long")

    @property
    def complete(self):
        """Whether every byte was taken."""
        return self.body.complete

    def take(self, buffer):
        """Count by how much the buffer became shorter."""
        before = len(buffer)
        data = self.body.take(buffer)
        self.room -= before - len(buffer)
        if self.room < 0:
            raise ProtocolError(413, "the body is too long")
        return data
