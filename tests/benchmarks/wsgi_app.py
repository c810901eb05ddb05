"""The application of app.py for servers that speak WSGI.

    python wsgi_app.py PORT     serves it with the standard library's server

The four routes are those of app.py, so the same client can load both kinds.
"""

import sys
from collections.abc import Callable, Iterable
from typing import Any
from wsgiref.simple_server import (
    ServerHandler,
    WSGIRequestHandler,
    WSGIServer,
    make_server,
)

HELLO = b"Hello, world!"
PIECE = bytes(16 * 1024)
PIECES = 64

Environ = dict[str, Any]
Start = Callable[..., Any]


def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
    """Serve the four routes."""
    handler = ROUTES.get(environ["PATH_INFO"], not_found)
    status, length, body = handler(environ)
    headers = [("Content-Type", "text/plain"), ("Content-Length", str(length))]
    start_response(status, headers)
    return body


Answer = tuple[str, int, Iterable[bytes]]


def hello(environ: Environ) -> Answer:
    """The least an application can do."""
    return "200 OK", len(HELLO), [HELLO]


def echo(environ: Environ) -> Answer:
    """Hold the whole body, then send it back in one piece."""
    data = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
    return "200 OK", len(data), [data]


def count(environ: Environ) -> Answer:
    """Read a body of any length and hold none of it."""
    left = total = int(environ["CONTENT_LENGTH"])
    while left:
        left -= len(environ["wsgi.input"].read(min(left, len(PIECE))))
    return "200 OK", len(str(total)), [b"%d" % total]


def stream(environ: Environ) -> Answer:
    """Send a known length in many pieces."""
    return "200 OK", PIECES * len(PIECE), iter([PIECE] * PIECES)


def not_found(environ: Environ) -> Answer:
    """A wrong path must not look like a fast success."""
    return "404 Not Found", 9, [b"Not Found"]


ROUTES = {"/": hello, "/echo": echo, "/count": count, "/stream": stream}


class Quiet(WSGIRequestHandler):
    """Without an access log, as the other servers are run."""

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


class Patient(WSGIServer):
    """With room for those who wait; one after the other is served."""

    request_queue_size = 128


if __name__ == "__main__":
    ServerHandler.http_version = "1.1"  # the client looks at the first line
    make_server(
        "127.0.0.1", int(sys.argv[1]), app, Patient, Quiet
    ).serve_forever()
