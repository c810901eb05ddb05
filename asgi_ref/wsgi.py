"""WSGI: what a Python web application was from 2003 on.

    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"Hello, world!"]

The request is a dict of strings, `environ`. The application calls
`start_response` with a status and headers, and returns an iterable of bytes.
It is a plain function call: while it runs, its thread does nothing else.

A Gateway makes that call and keeps the application to its side of the
contract. It does not read or write by itself: the bytes of the body come out
of a function, and what is to be sent goes to an Outlet (threads).

Source: PEP 3333.
"""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Any, BinaryIO, Protocol
from urllib.parse import unquote_to_bytes

from .request import Request
from .response import Response

Environ = dict[str, Any]
Pairs = list[tuple[bytes, bytes]]
ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]
App = Callable[..., Iterable[bytes]]

BLOCK = 64 * 1024  # bytes that a file is read in

# PEP 3333, "The start_response() Callable": "404 Not Found"
STATUS = re.compile(r"([2-9]\d\d) [ -~\x80-\xff]*")

# They are about one connection, which is the server's (RFC 2616, 13.5.1).
HOP_BY_HOP = frozenset(
    "connection keep-alive proxy-authenticate proxy-authorization te"
    " trailers transfer-encoding upgrade".split()
)

# HTTP_PROXY would configure clients that the application starts (httpoxy).
DROPPED = frozenset({b"proxy", b"content-type", b"content-length"})


class WsgiError(RuntimeError):
    """The application did what PEP 3333 does not allow."""


class Outlet(Protocol):
    """Where a response goes, piece by piece."""

    def start(self, status: int, headers: Pairs, whole: int | None) -> None:
        """Take a response's head; whole: the body's length if known."""

    def write(self, data: bytes) -> None:
        """Send a piece of the body now, and before the first one the head."""

    def end(self) -> None:
        """Send what is left to send. Raises BadResponse: less than said."""


class Input(io.RawIOBase):
    """A request's body as a file that ends where the body ends.

    more: returns the next bytes, b"" at the end.
    """

    def __init__(self, more: Callable[[], bytes]) -> None:
        super().__init__()
        self._more = more
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, target: Any) -> int:
        """Fill `target` as far as bytes are there; return how many."""
        if not self._rest:
            self._rest = memoryview(self._more())
        size = min(len(target), len(self._rest))
        target[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size


class FileWrapper:
    """A file as an iterable of blocks; closed when the response is sent."""

    def __init__(self, file: BinaryIO, size: int = BLOCK) -> None:
        self._file, self._size = file, size

    def __iter__(self) -> Iterator[bytes]:
        return iter(lambda: self._file.read(self._size), b"")

    def close(self) -> None:
        """Close the file, if it can be closed."""
        if hasattr(self._file, "close"):
            self._file.close()


def make_environ(
    request: Request,
    more: Callable[[], bytes],
    client: tuple[str, int] | None = None,
    server: tuple[str, int] = ("localhost", 80),
    script_name: str = "",
    scheme: str = "http",
) -> Environ:
    """Return the environ of a request. All of its strings are latin-1.

    more: returns the body's next bytes. script_name: the path at which the
    application is mounted; PATH_INFO is what follows it.
    """
    raw_path, _, query = request.target.partition(b"?")
    path = unquote_to_bytes(raw_path).decode("latin-1")
    if script_name and (path + "/").startswith(script_name + "/"):
        path = path[len(script_name) :]
    environ = {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": script_name,
        "PATH_INFO": path,
        "QUERY_STRING": query.decode("latin-1"),
        "REQUEST_URI": request.target.decode("latin-1"),
        "SERVER_NAME": server[0],
        "SERVER_PORT": str(server[1]),
        "SERVER_PROTOCOL": f"HTTP/{request.version}",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scheme,
        "wsgi.input": io.BufferedReader(Input(more), BLOCK),
        "wsgi.input_terminated": True,  # read() ends, also without a length
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "wsgi.file_wrapper": FileWrapper,
    }
    if client:
        environ |= {"REMOTE_ADDR": client[0], "REMOTE_PORT": str(client[1])}
    return environ | header_variables(request)


def header_variables(request: Request) -> dict[str, str]:
    """Return the fields as CGI names them: HTTP_USER_AGENT.

    X_User would become the same variable as X-User, and could pose as it
    behind a proxy that removes only the latter; so it is left out.
    """
    variables = {
        f"HTTP_{name.decode().upper().replace('-', '_')}": value.decode(
            "latin-1"
        )
        for name, value in request.fields.items()
        if name not in DROPPED and b"_" not in name
    }
    for name in (b"content-type", b"content-length"):
        if name in request.fields:
            key = name.decode().upper().replace("-", "_")
            variables[key] = request.fields[name].decode("latin-1")
    cookies = [v for name, v in request.headers if name == b"cookie"]
    if len(cookies) > 1:  # not ", " as other fields (RFC 6265, 5.4)
        variables["HTTP_COOKIE"] = b"; ".join(cookies).decode("latin-1")
    return variables


class Gateway:
    """One call of an application."""

    def __init__(self, outlet: Outlet) -> None:
        self._outlet = outlet
        self._head: tuple[int, Pairs] | None = None
        self._left: int | None = None  # of what content-length said
        self.started = False  # the head is on its way

    def run(self, app: App, environ: Environ) -> None:
        """Call the application and send what it returns.

        Raises WsgiError, BadResponse, and whatever the application raises.
        """
        result = app(environ, self.start_response)
        try:
            self._send_all(result, environ["REQUEST_METHOD"] == "HEAD")
        finally:
            if hasattr(result, "close"):
                result.close()

    def start_response(
        self,
        status: str,
        headers: list[tuple[str, str]],
        exc_info: ExcInfo | None = None,
    ) -> Callable[[bytes], None]:
        """Take the head; it is sent with the first bytes of the body.

        With exc_info it replaces an earlier one, for an error page. If that
        is sent already, it is too late, and the exception is raised.

        Raises WsgiError, BadResponse.
        """
        if exc_info is not None and self.started:
            raise exc_info[1].with_traceback(exc_info[2])
        if exc_info is None and self._head is not None:
            raise WsgiError("start_response() was called twice")
        match = STATUS.fullmatch(status) if isinstance(status, str) else None
        if match is None:
            raise WsgiError(f'status must be like "200 OK"; got {status!r}')
        self._head = int(match[1]), encoded(headers)
        self._left = Response(*self._head).length  # and it is checked, here
        return self.write

    def write(self, data: bytes) -> None:
        """Send bytes at once: for applications older than iterables.

        Raises WsgiError, BadResponse.
        """
        self._start(None)
        if self._left is not None and len(checked(data)) > self._left:
            raise WsgiError("write() of more than content-length said")
        self._send(data)

    def _send_all(self, result: Iterable[bytes], silent: bool) -> None:
        whole = None
        if isinstance(result, (list, tuple)):
            whole = sum(len(checked(block)) for block in result)
        for block in result:
            # Until there is something to send, the head may be replaced.
            if checked(block):
                self._start(whole)
                if silent or self._left == 0:
                    break  # nobody is to see the rest
                self._send(block[: self._left])
        self._start(0)
        self._outlet.end()

    def _start(self, whole: int | None) -> None:
        if self._head is None:
            raise WsgiError("the application did not call start_response()")
        if not self.started:
            self.started = True
            self._outlet.start(*self._head, whole)

    def _send(self, data: bytes) -> None:
        if self._left is not None:
            self._left -= len(data)
        self._outlet.write(checked(data))


def checked(data: bytes) -> bytes:
    """Return a piece of body. Raises WsgiError: it is not bytes."""
    if not isinstance(data, bytes):
        raise WsgiError(f"the body must be bytes; got {data!r}")
    return data


def encoded(headers: list[tuple[str, str]]) -> Pairs:
    """Return headers in bytes.

    Raises WsgiError: no list, no pairs of strings, or about the connection.
    """
    if type(headers) is not list:
        raise WsgiError(f"headers must be a list; got {headers!r}")
    pairs = []
    for item in headers:
        if not isinstance(item, tuple) or (
            [type(part) for part in item] != [str, str]
        ):
            raise WsgiError(f"headers must be (str, str); got {item!r}")
        name, value = item
        if name.lower() in HOP_BY_HOP:
            raise WsgiError(f"{name} is the server's, not the application's")
        pairs.append((name.encode("latin-1"), value.encode("latin-1")))
    return pairs
