"""A line is complete when its end is there, not when recv() returns."""

import socket
import sys

sys.path.insert(0, ".")  # the repository's root
from asgi_ref.buffer import EMPTY_LINE, Buffer, TooLong
from asgi_ref.listen import listen

PIECES = [b"GET / HTTP/1.1\r", b"\nHost: example.org\r\n\r", b"\nGET /2 HT"]
MORE = b"TP/1.0\r\n\r\nGET /3 HTTP/1.0\r\n\r\n"
HEAD = b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n"

# For the page's figures.
RECEIVED = [(data, f"recv() {n}") for n, data in enumerate(PIECES, 1)]
SEARCHED = [(HEAD[:-3], "searched"), (b"\n\r", "again"), (b"\n", "new")]


def over_tcp(pieces):
    """Send each piece by itself; yield what recv() returns for it."""
    with listen(port=0) as door:
        client = socket.create_connection(door.getsockname())
        server, _ = door.accept()
        with client, server:
            for piece in pieces:
                client.sendall(piece)
                yield server.recv(65536)


def split_what_came():
    """Look for lines in what each recv() returned."""
    for data in over_tcp(PIECES):
        print("recv()", data)
        for line in data.split(b"\r\n"):
            print("  line", line)


def ask_the_buffer():
    """Keep what came, and ask for heads until none is complete."""
    buffer = Buffer()
    for data in over_tcp([*PIECES, MORE]):
        print("recv()", data)
        buffer.append(data)
        while head := buffer.take_through(EMPTY_LINE, limit=100):
            print("  head", head)
        print("  left", buffer.peek(100))


class Counting:
    """A pattern that counts the bytes that it is asked to look at."""

    def __init__(self, pattern):
        self.pattern, self.bytes = pattern, 0

    def search(self, data, start, limit):
        """Search, and count."""
        self.bytes += min(len(data), limit) - start
        return self.pattern.search(data, start, limit)


def drip():
    """Search after each byte: has_through() begins at 0 every time."""
    print(" bytes   from the start   from _searched")
    for size in 1000, 2000, 4000, 8000:
        buffer, anew, ours = Buffer(), *map(Counting, 2 * [EMPTY_LINE])
        for _ in range(size):
            buffer.append(b"x")
            buffer.has_through(anew, limit=10_000)
            buffer.take_through(ours, limit=10_000)
        print(f"{size:6,} {anew.bytes:16,} {ours.bytes:16,}")


def step_back():
    """Go on 0, 1 or 2 bytes before the cut: is the empty line found?"""
    print("before    after      back 0  back 1  back 2")
    for left in 3, 2, 1:
        cut = len(HEAD) - left
        row = f"{HEAD[-4:cut]!s:10}{HEAD[cut:]!s:11}"
        for back in 0, 1, 2:
            found = EMPTY_LINE.search(HEAD, cut - back)
            row += f"{'found' if found else 'LOST':8}"
        print(row.rstrip())


def too_long():
    """The same 100 bytes in pieces of 1, 10 and 100, and a limit of 64."""
    data = b"x" * 96 + HEAD[-4:]
    for size in 1, 10, 100:
        buffer = Buffer()
        try:
            for at in range(0, 100, size):
                buffer.append(data[at : at + size])
                buffer.take_through(EMPTY_LINE, limit=64)
        except TooLong:
            print(f"pieces of {size}: TooLong, with {len(buffer)} bytes")


def whole_or_not():
    """Take a megabyte that came in one piece, and one that came in two."""
    sent = bytes(1_000_000)
    for pieces in [sent], [sent[:10], sent[10:]]:
        buffer = Buffer()
        for piece in pieces:
            buffer.append(piece)
        taken = buffer.take(len(sent))
        print(len(pieces), "in: equal", taken == sent, "same", taken is sent)


def walk(wire=print):
    """Play the four pieces."""
    buffer = Buffer()
    for data in [*PIECES, MORE]:
        wire("client", data)
        buffer.append(data)
        while buffer.take_through(EMPTY_LINE, limit=100):
            pass


if __name__ == "__main__":
    tries = split_what_came, ask_the_buffer, whole_or_not
    for part in *tries, drip, step_back, too_long:
        print(f"== {part.__name__.replace('_', ' ')} ==")
        part()
