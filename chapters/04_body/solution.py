"""A limit that counts what goes by, and keeps none of it."""

from asgi_ref.body import ChunkedBody, LengthBody
from asgi_ref.buffer import Buffer
from asgi_ref.request import ProtocolError


class Limited:
    """A body of at most `limit` bytes.

    Raises ProtocolError: 413, already here if Content-Length says so.
    """

    def __init__(self, body: LengthBody | ChunkedBody, limit: int) -> None:
        self.body = body
        self.room = limit
        if isinstance(body, LengthBody):
            self.check(body.left)

    @property
    def complete(self) -> bool:
        """Whether every byte was taken."""
        return self.body.complete

    def take(self, buffer: Buffer) -> bytes:
        """Remove this body's bytes from the buffer and return them.

        Raises ProtocolError: 413.
        """
        data = self.body.take(buffer)
        self.check(len(data))
        self.room -= len(data)
        return data

    def check(self, size: int) -> None:
        """Refuse data for which there is no room.

        Raises ProtocolError: 413.
        """
        if size > self.room:
            raise ProtocolError(413, "the body is too long")
