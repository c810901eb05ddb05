"""Chapter 04: who decides where the body ends?"""

import sys

sys.path.insert(0, ".")

from asgi_ref.body import ChunkedBody, LengthBody, body_of
from asgi_ref.buffer import EMPTY_LINE, Buffer
from asgi_ref.request import ProtocolError, parse_request

POST = b"POST /comments HTTP/1.1\r\nHost: shop\r\n"
LENGTH, CHUNKED = b"Content-Length: %d\r\n", b"Transfer-Encoding: chunked\r\n"
DELETE = b"DELETE /users/7 HTTP/1.1\r\nHost: shop\r\n\r\n"
NEXT = b"GET /account HTTP/1.1\r\nHost: shop\r\n\r\n"
SAMPLE = b'5;by="a;b"\r\nhello\r\n1\r\n!\r\n0\r\nSig: ok\r\n\r\n' + NEXT
LAYOUT = [
    (b"5\r\n", "size, in hexadecimal"),
    (b"hello\r\n", "5 bytes of data, CRLF"),
    (b"0\r\n", "the last chunk"),
    (b"Sig: ok\r\n\r\n", "trailers, empty line"),
    (b"GET /account HTTP/1.1\r\n", "the next request"),
]


def fails():
    """Read heads as chapter 03 does, one behind the other."""
    for comment in b"hello", DELETE:
        buffer = Buffer()
        buffer.append(POST + LENGTH % len(comment) + b"\r\n" + comment + NEXT)
        print("the comment is", comment[:15])
        while head := buffer.take_through(EMPTY_LINE, 65536):
            print(" ", parse_request(head).label)


def by_length(request):
    """Believe Content-Length, and only that."""
    return LengthBody(int(request.fields.get(b"content-length", 0)))


def by_chunks(request):
    """Believe Transfer-Encoding, and only that."""
    chunked = b"transfer-encoding" in request.fields
    return ChunkedBody() if chunked else LengthBody(0)


def two_readers():
    """Show the same bytes to readers who choose bodies differently."""
    body = b"0\r\n\r\n" + DELETE
    for choose in by_length, by_chunks, body_of:
        buffer = Buffer()
        buffer.append(POST + LENGTH % len(body) + CHUNKED + b"\r\n" + body)
        print(choose.__name__)
        try:
            while head := buffer.take_through(EMPTY_LINE, 65536):
                request = parse_request(head)
                choose(request).take(buffer)
                print(" ", request.label)
        except ProtocolError as error:
            print(f"  {error.status}: {error}")


def walk(wire=print):
    """Take a chunked body that arrives in three pieces."""
    body, buffer = ChunkedBody(), Buffer()
    for piece in b"5\r\nhel", b"lo\r", b"\n0\r\n\r\n" + NEXT:
        wire("client", piece)
        buffer.append(piece)
        wire("body", body.take(buffer))


def passes():
    """Let 64 MiB of body go by, and see what is held meanwhile."""
    body, buffer, held = LengthBody(64 * 2**20), Buffer(), 0
    while not body.complete:
        buffer.append(bytes(65536))
        held = max(held, len(buffer))
        body.take(buffer)
    print(f"64 MiB went by, never more than {held} bytes were held")


def predict():
    """Take one body whole."""
    body, buffer = ChunkedBody(), Buffer()
    buffer.append(SAMPLE)
    print(body.take(buffer), body.trailers, buffer.peek(12), sep="\n")


if __name__ == "__main__":
    for part in fails, two_readers, walk, passes, predict:
        print(f"== {part.__name__.replace('_', ' ')} ==")
        part()
