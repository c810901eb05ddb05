"""Heads out of a stream: complete, bounded, and searched once.

A head ends with END here and with nothing else. The pieces that arrive are
cut anywhere. Write `next_head`; search with `self.find` only, because the
check counts with it: `self.find(self.data, END, start)` returns the position
of the first END at or after `start`, or -1.

The check: pytest chapters/02_buffer
"""

from asgi_ref.buffer import TooLong  # noqa: F401 - for you to raise

END = b"\r\n\r\n"


class Heads:
    """Bytes in with `feed`, heads out with `next_head`."""

    def __init__(self, limit, find=bytearray.find):
        self.limit = limit
        self.find = find
        self.data = bytearray()
        self.searched = 0  # what was searched in vain; use it

    def feed(self, piece):
        """Add bytes that have just arrived."""
        self.data += piece

    def next_head(self):
        """Remove and return the first head with its END; None if incomplete.

        Raises TooLong: no END within the first `limit` bytes.
        """
        if not self.data.endswith(END):  # and what if more has come?
            return None
        head = bytes(self.data)
        self.data.clear()
        return head
