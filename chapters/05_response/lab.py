"""An answer that its client writes, and one that does not know its end."""

import sys
from pathlib import Path
from urllib.parse import unquote_to_bytes

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from asgi_ref.body import ChunkedBody, LengthBody
from asgi_ref.buffer import EMPTY_LINE, Buffer
from asgi_ref.request import Request, parse_fields, parse_request, split_lines
from asgi_ref.response import BadResponse, Response, status_line

EVIL = b"GET /?next=/%0D%0ASet-Cookie:%20id=7 HTTP/1.1\r\nHost: a\r\n\r\n"
LOCATION = unquote_to_bytes(parse_request(EVIL).target.partition(b"next=")[2])
GET = Request("GET", b"/", "1.1", [(b"host", b"a")])
HEAD = Request("HEAD", b"/", "1.1", [(b"host", b"a")])
OLD = Request("GET", b"/", "1.0", [])
DELETED = b'{"deleted": 7}'
PIECES = [b"hello", b"", b"bye"]


def first_answer(status, headers, body=b""):
    """Return a response, as one writes it the first time."""
    head = b"HTTP/1.1 %d -\r\n" % status
    for name, value in headers:
        head += b"%b: %b\r\n" % (name, value)
    return head + b"\r\n" + body


def fails():
    """Redirect to where the client asks; give a 204 a body."""
    print("== a redirect ==")
    read_answer(Buffer(), first_answer(302, [(b"Location", LOCATION)]))
    print("\n== a 204 with a body ==")
    wire = Buffer()
    read_answer(wire, first_answer(204, [], DELETED))
    read_answer(wire, first_answer(200, [(b"Content-Length", b"2")], b"ok"))


def read_answer(wire, data):
    """Print the next answer in what has arrived, as a client reads it."""
    wire.append(data)
    line, *lines = split_lines(wire.take_through(EMPTY_LINE, 999))
    fields = parse_fields(lines)
    length = int(dict(fields).get(b"content-length", 0))  # 204 has none
    print(line, *fields, LengthBody(length).take(wire), sep="\n    ")


def layout():
    """Return the lines of the redirect and who wrote them."""
    lines = first_answer(302, [(b"Location", LOCATION)]).splitlines(True)
    who = ["we", "we, up to the value's CR LF", "the client", "we"]
    return list(zip(lines, who, strict=True))


def answer(request, status, headers, pieces, whole=None):
    """Yield the bytes of a response, one write after the other."""
    response = Response(status, headers)
    end = response.frame(request, whole)
    yield status_line(status) + end + response.block + b"\r\n"
    for piece in pieces:
        yield response.encode(piece, more=True)
    yield response.encode(b"", more=False)


def attempt(title, *arguments):
    """Print the writes of an answer, or why there is none."""
    print(title)
    try:
        for data in filter(None, answer(*arguments)):
            print("   ", data)
    except BadResponse as error:
        print("    BadResponse:", error)


def walk(wire=print):
    """Refuse the redirect, then stream."""
    wire("client", EVIL)
    try:
        Response(302, [(b"Location", LOCATION)])
    except BadResponse:
        wire("server", b"".join(answer(GET, 500, [], [b"sorry"], 5)))
    wire("client", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    for data in filter(None, answer(GET, 200, [], PIECES)):
        wire("server", data)


def main():
    """Run all of it."""
    fails()
    print("\n== refused ==")
    attempt("a redirect", GET, 302, [(b"Location", LOCATION)], [])
    attempt("a name", GET, 200, [(b"X-Note:", b"hello")], [])
    attempt("text", GET, 200, [("X-Note", "hello")], [])
    print("\n== four ends ==")
    attempt("204", GET, 204, [], [DELETED])
    attempt("HEAD", HEAD, 200, [(b"content-length", b"14")], [DELETED])
    attempt("all of it is known", GET, 200, [], [DELETED], len(DELETED))
    attempt("a stream", GET, 200, [], PIECES)
    attempt("a stream, HTTP/1.0", OLD, 200, [], PIECES)
    print("\n== a promise ==")
    attempt("more", GET, 200, [(b"content-length", b"4")], ["café".encode()])
    attempt("less", GET, 200, [(b"content-length", b"9")], PIECES)
    print("\n== through a proxy ==")
    wire = Buffer()
    wire.append(b"".join(answer(GET, 200, [], PIECES)))
    wire.take_through(EMPTY_LINE, 999)
    print(ChunkedBody().take(wire))


if __name__ == "__main__":
    main()
