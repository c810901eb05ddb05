"""One head, read by three programs: two that guess and one that refuses."""

import ssl
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from asgi_ref import request
from asgi_ref.buffer import EMPTY_LINE, Buffer

HIDDEN = b"GET /admin HTTP/1.1\r\nHost: shop\r\n\r\n"
SENT = [
    (b"POST /search HTTP/1.1\r\n", "request line"),
    (b"Host: shop\r\n", "field line"),
    (b"Content-Length : 35\r\n", "proxy: the body's length; server: nothing"),
    (b"\r\n", "end of the head"),
    (HIDDEN, "proxy: the body; server: the next request"),
]


def first_try(head):
    """Return the fields of a head; names in lower case."""
    fields = {}
    for line in head.decode("latin-1").split("\r\n")[1:]:
        parts = line.split(": ")
        if len(parts) == 2:  # the empty lines at the end have one part
            fields[parts[0].lower()] = parts[1]
    return fields


def tidy(head):
    """Do the same, and forgive blanks around a name."""
    return {name.strip(): value for name, value in first_try(head).items()}


def seen(data, read):
    """Yield the requests that a program sees in what was sent."""
    buffer = Buffer()
    buffer.append(data)
    while head := buffer.take_through(EMPTY_LINE, limit=65536):
        body = buffer.take(int(read(head).get("content-length", 0)))
        yield head.split(b"\r\n")[0], len(body)


def refusal(parse, data):
    """Return what a parser of the package says to a client."""
    try:
        return f"taken as {parse(data)}"
    except request.ProtocolError as error:
        return f"{error.status} {error}"


def client_hello():
    """Return the first bytes of an https client."""
    out, tls = ssl.MemoryBIO(), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        tls.wrap_bio(ssl.MemoryBIO(), out, server_hostname="a").do_handshake()
    except ssl.SSLWantReadError:  # it waits for an answer
        return out.read()


def walk(wire=print):
    """Send one head twice, then with a blank too many."""
    request.known_line.cache_clear()
    request.known_field.cache_clear()
    head = b"GET /items?page=2 HTTP/1.1\r\nHost:shop\r\nAccept: */*\r\n\r\n"
    for sent in head, head, head.replace(b"Host:", b"Host :"):
        wire("client", sent)
        try:
            request.parse_request(sent)
        except request.ProtocolError as error:
            wire("server", b"HTTP/1.1 %d Bad Request\r\n..." % error.status)


if __name__ == "__main__":
    print("== first try ==")
    for line in b"Host: shop", b"Host:shop", b"Host : shop":
        print(line, first_try(b"GET / HTTP/1.1\r\n%b\r\n\r\n" % line))
    print("== two readers ==")
    data = b"".join(piece for piece, label in SENT)
    print("proxy: ", list(seen(data, tidy)))
    print("server:", list(seen(data, first_try)))
    print("== refused ==")
    for line in b"Host:shop", b"Host : shop", b" Folded: 1", b"X: 1\nY: 2":
        print(line, "->", refusal(request.parse_field, line))
    print("== https ==")
    hello = client_hello()
    print(hello[:3], "->", refusal(request.parse_line, hello))
    print("== remembered ==")
    walk()
    print(request.known_field.cache_info())
