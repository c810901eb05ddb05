"""A server of ten lines, a request in two pieces, and where one listens."""

import contextlib
import socket
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from asgi_ref.listen import CannotListen, close, listen, listen_unix, url

# What `curl http://127.0.0.1:8000/hello` sends.
CURL = [
    (b"GET /hello HTTP/1.1\r\n", "request line: what it wants"),
    (b"Host: 127.0.0.1:8000\r\n", "field line: whom it asks"),
    (b"User-Agent: curl/7.88.1\r\n", "field line: who asks"),
    (b"Accept: */*\r\n", "field line: what it can read"),
    (b"\r\n", "empty line: the end"),
]
HELLO = b"".join(line for line, _ in CURL)

QUEUE = [
    ("server", "kernel", "bind, listen"),
    ("client", "kernel", "connect: a handshake"),
    ("client", "kernel", "GET /hel"),
    ("kernel", "server", "accept: a second socket"),
    ("kernel", "server", "recv: GET /hel"),
    ("client", "kernel", "lo HTTP/1.1 ..."),
]


def serve_one(server):
    """Answer one request: a whole server."""
    connection, _ = server.accept()
    request = connection.recv(65536)
    target = request.split()[1]
    body = b"You asked for " + target
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d" % len(body)
    connection.sendall(head + b"\r\n\r\n" + body)
    connection.close()


def ask(first, rest=b"", wire=print, serve=serve_one):
    """Be the client; the server runs when we say so."""
    server = listen(port=0)
    with server, socket.create_connection(server.getsockname()) as client:
        client.sendall(first)
        wire("client", first)
        serve(server)
        wire("server", client.recv(65536))
        if rest:
            client.sendall(rest)
            wire("client", rest)


def serve_patiently(server):
    """Read until the empty line has come, 16 bytes at a time."""
    connection, request = server.accept()[0], b""
    while not request.endswith(b"\r\n\r\n"):
        piece = connection.recv(16)
        print(piece)
        request += piece
    connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
    connection.close()


def restart():
    """Bind an address where a connection has TIME_WAIT."""
    with listen(port=0) as server:
        address = server.getsockname()
        client = socket.create_connection(address)
        server.accept()[0].close()  # who closes first has the TIME_WAIT
        client.close()
    with socket.socket() as plain:
        try:
            plain.bind(address)
        except OSError as error:
            print("bind() says:", error.strerror)
    with listen(*address) as again:
        print("listen() has it:", again.getsockname() == address)
        try:
            listen(*address)
        except CannotListen as error:
            print("and a second server:", type(error).__name__)


def every_address():
    """Listen everywhere, and see where a connection arrives."""
    with listen("0.0.0.0", 0) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            connection, _ = server.accept()
            print("listens at", server.getsockname()[0])
            print("talks at", connection.getsockname()[0])
            connection.close()


def walk(wire=print):
    """Run what the page plays."""
    ask(HELLO[:8], HELLO[8:], wire)
    with contextlib.suppress(CannotListen):
        listen(port=70000)
    with tempfile.TemporaryDirectory() as new, contextlib.chdir(new):
        server = listen_unix("app.sock")
        url(server)
        close(server)


def main():
    """Print one part after the other."""
    print("== one piece ==")
    ask(HELLO)
    print("== two pieces ==")
    ask(HELLO[:8], HELLO[8:])
    print("== patience ==")
    ask(HELLO, serve=serve_patiently)
    print("== restart ==")
    restart()
    print("== every address ==")
    every_address()


if __name__ == "__main__":
    main()
