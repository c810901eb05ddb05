"""Bytes that were searched in vain are searched again."""

from asgi_ref.buffer import TooLong

END = b"\r\n\r\n"


class Heads:
    """Bytes in with `feed`, heads out with `next_head`."""

    def __init__(self, limit, find=bytearray.find):
        self.limit = limit
        self.find = find
        self.data = bytearray()
        self.searched = 0

    def feed(self, piece):
        """Add bytes that have just arrived."""
        self.data += piece

    def next_head(self):
        """Remove and return the first head with its END; None if incomplete.

        Raises TooLong: no END within the first `limit` bytes.
        """
        at = self.find(self.data, END, 0)
        size = len(self.data) if at < 0 else at + len(END)
        if size > self.limit or (at < 0 and size == self.limit):
            raise TooLong
        if at < 0:
            return None
        head = bytes(self.data[:size])
        del self.data[:size]
        return head
