"""A connection: whose bytes are these, and whose turn is it?"""

import socket
import sys
from contextlib import suppress

sys.path.insert(0, ".")  # the root, where this is run

from asgi_ref.buffer import EMPTY_LINE, Buffer
from asgi_ref.connection import Connection, OutOfTurn
from asgi_ref.request import ProtocolError, parse_request
from asgi_ref.response import Response

POST = b"POST /notes HTTP/1.1\r\nHost: a\r\nContent-Length: 35\r\n\r\n"
TEXT = b"GET /cart/pay HTTP/1.1\r\nHost: a\r\n\r\n"
NEWS = b"GET /news HTTP/1.1\r\nHost: a\r\n\r\n"
PUT = b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue"
LAYOUT = [(POST, "head"), (TEXT, "its body"), (NEWS, "next head")]
RACE = [
    ("proxy", "server", "GET /news"),
    ("server", "proxy", "200 OK"),
    ("server", "server", "5 seconds idle: close"),
    ("proxy", "server", "POST /pay, not knowing yet"),
    ("server", "proxy", "reset, no answer"),
]


def app(request):
    """Look at the head only: notes are for people who have logged in."""
    return Response(401 if request.method == "POST" else 200)


def fails():
    """Serve two requests with the parts of chapters 02 to 05."""
    buffer = Buffer()
    buffer.append(POST + TEXT + NEWS)
    for asked in "POST /notes", "GET /news":
        head = buffer.take_through(EMPTY_LINE, 65536)
        request = parse_request(head)
        print("asked:", asked)
        print("  ", request.label, "->", app(request).status)


def serve(connection):
    """Answer the request under way, however much of it was read."""
    head = connection.send_response(app(connection.request), whole=0)
    return head + connection.send_data(b"", more=False)


def to_the_end():
    """Serve the same bytes with a connection."""
    connection = Connection()
    connection.receive_data(POST + TEXT + NEWS)
    print(connection.next_event().label, "->", serve(connection)[9:12])
    print("next cycle:", connection.next_cycle())
    print("body:", connection.next_event())
    print("then:", connection.next_event().value)
    print("next cycle:", connection.next_cycle())
    print(connection.next_event().label, "->", serve(connection)[9:12])


def refused():
    """Send a body before its head; send TLS to a plain port."""
    early, secure = Connection(), Connection()
    early.receive_data(NEWS)
    early.next_event()
    secure.receive_data(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc")
    for act in (lambda: early.send_data(b"hello")), secure.next_event:
        try:
            act()
        except (OutOfTurn, ProtocolError) as error:
            print(error)


def idle():
    """Send a request on a connection that the server has just closed."""
    proxy, server = socket.socketpair()
    server.close()  # after five seconds without a word
    got = b""
    with proxy, suppress(OSError):
        proxy.sendall(NEWS)
        got = proxy.recv(4096)
    print("the proxy got", got, "for its client")


parse_request(PUT + b"\r\n\r\n")  # known lines make the walk shorter


def walk(wire=print):
    """Let a client ask first whether it may send its body."""
    connection = Connection()
    for data in PUT + b"\r\n\r\n", b"hi" + NEWS:
        wire("client", data)
        connection.receive_data(data)
        connection.next_event()
        wire("server", connection.send_continue() or serve(connection))
    connection.next_cycle()


if __name__ == "__main__":
    for part in fails, to_the_end, refused, idle:
        print(f"== {part.__name__.replace('_', ' ')} ==")
        part()
