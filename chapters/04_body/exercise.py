"""Exercise 04: a body that may not be longer than a limit.

Somebody sends you 900 GB, in good order. Write a body that has the same
interface as LengthBody and ChunkedBody (`complete`, `take`), takes its bytes
from the body that it was given, and raises

    ProtocolError(413, "the body is too long")

as soon as it is known that the body has more than `limit` bytes of data.
Exactly `limit` bytes are allowed. Sizes, extensions and trailers of a
chunked body are not data.

The check:  pytest chapters/04_body
"""

from asgi_ref.body import ChunkedBody, LengthBody
from asgi_ref.buffer import Buffer
from asgi_ref.request import ProtocolError  # noqa: F401


class Limited:
    """A body of at most `limit` bytes.

    Raises ProtocolError: 413, already here if Content-Length says so.
    """

    def __init__(self, body: LengthBody | ChunkedBody, limit: int) -> None:
        self.body = body
        self.limit = limit
        ...

    @property
    def complete(self) -> bool:
        """Whether every byte was taken."""
        return self.body.complete

    def take(self, buffer: Buffer) -> bytes:
        """Remove this body's bytes from the buffer and return them.

        Raises ProtocolError: 413.
        """
        ...
        return self.body.take(buffer)
