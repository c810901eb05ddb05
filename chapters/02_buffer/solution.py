"""One good answer: go back by all but one byte of END."""

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
        # Its first three bytes may have been the last three.
        start = max(0, self.searched - len(END) + 1)
        at = self.find(self.data, END, start)
        size = len(self.data) if at < 0 else at + len(END)
        if size > self.limit or (at < 0 and size == self.limit):
            raise TooLong
        if at < 0:
            self.searched = size
            return None
        self.searched = 0  # it counted bytes that leave now
        head = bytes(self.data[:size])
        del self.data[:size]
        return head
