"""The limit is for one head, not for all that has arrived."""

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
        if len(self.data) >= self.limit:
            raise TooLong
        start = max(0, self.searched - len(END) + 1)
        at = self.find(self.data, END, start)
        if at < 0:
            self.searched = len(self.data)
            return None
        self.searched = 0
        head = bytes(self.data[: at + len(END)])
        del self.data[: at + len(END)]
        return head
