"""A buffer: bytes that have arrived and are not understood yet.

TCP delivers bytes, not messages. One `recv()` may return half a line or three
requests, so every parser in this package takes what it needs from a Buffer
and leaves the rest. If what it asks for is not complete, it gets None, and
nothing is lost.

It does no I/O and knows nothing of HTTP.
"""

from __future__ import annotations

import re

NEWLINE = re.compile(rb"\n")
EMPTY_LINE = re.compile(rb"\n\r?\n")


class TooLong(Exception):
    """The end of a line or head was not found within its limit."""


class Buffer:
    """Bytes in at the back, lines and pieces out at the front.

    >>> buffer = Buffer()
    >>> buffer.append(b"GET / HT")
    >>> buffer.take_through(NEWLINE, limit=100)
    >>> buffer.append(b"TP/1.1\\r\\nHost")
    >>> buffer.take_through(NEWLINE, limit=100)
    b'GET / HTTP/1.1\\r\\n'
    """

    __slots__ = ("_data", "_searched")

    def __init__(self) -> None:
        self._data: bytes | bytearray = b""
        # Everything before this position was searched in vain. Without it a
        # head that drips in byte by byte costs quadratic time.
        self._searched = 0

    def __len__(self) -> int:
        return len(self._data)

    def append(self, data: bytes) -> None:
        """Add bytes that have just arrived."""
        if self._data:
            self._growing().extend(data)
        else:
            self._data = data

    def peek(self, count: int) -> bytes:
        """Return the next bytes; they are not taken."""
        return bytes(self._data[:count])

    def startswith(self, prefix: bytes) -> bool:
        """Say whether the next bytes are `prefix`; they are not taken."""
        return self._data.startswith(prefix)

    def take(self, limit: int) -> bytes:
        """Remove and return the next bytes: `limit`, or all if fewer."""
        self._searched = 0
        if limit >= len(self._data):
            taken, self._data = bytes(self._data), b""
            return taken
        data = self._growing()
        taken = bytes(data[:limit])
        del data[:limit]
        return taken

    def _growing(self) -> bytearray:
        if isinstance(self._data, bytes):
            self._data = bytearray(self._data)
        return self._data

    def take_through(self, end: re.Pattern[bytes], limit: int) -> bytes | None:
        """Remove and return the bytes up to and with the first `end`.

        Return None if `end` has not arrived. `end` is NEWLINE or EMPTY_LINE;
        after None, ask for the same one again.

        Raises TooLong: no `end` within the first `limit` bytes.
        """
        found = end.search(self._data, self._searched, limit)
        if found is None:
            if len(self._data) >= limit:
                raise TooLong
            # The last two bytes may be the first two of an empty line.
            self._searched = max(0, len(self._data) - 2)
            return None
        return self.take(found.end())

    def has_through(self, end: re.Pattern[bytes], limit: int) -> bool:
        """Say whether the first `limit` bytes contain `end`."""
        return end.search(self._data, 0, limit) is not None
