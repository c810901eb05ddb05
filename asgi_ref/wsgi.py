"""WSGI: what a Python web application was from 2003 on.

    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"Hello, world!"]

The request is a dict of strings, `environ`. The application calls
`start_response` with a status and headers, and returns an iterable of bytes.
It is a plain function call: while it runs, its thread does nothing else.

A Gateway makes that call and keeps the application to its side of the
contract. It does not read or write by itself: the body is a file over a
function that brings bytes, and what is to be sent goes to an Outlet. The
reason phrase of a status is checked, but the server sends its own.

Source: PEP 3333.
"""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, BinaryIO, Protocol
from urllib.parse import unquote_to_bytes
from wsgiref.util import FileWrapper, is_hop_by_hop

from .request import Request
from .response import Response

Environ = dict[str, Any]
Pairs = list[tuple[bytes, bytes]]
ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]
App = Callable[..., Iterable[bytes]]

# PEP 3333, "The start_response() Callable":  "404 Not Found"
STATUS = re.compile(r"([2-9]\d\d) [ -~\x80-\xff]*")

# CGI gives these two without HTTP_ in front.
PLAIN = frozenset({b"content-type", b"content-length"})


class WsgiError(RuntimeError):
    """The application did what PEP 3333 does not allow."""


class Outlet(Protocol):
    """Where a response goes, piece by piece."""

    def start(
        self, response: Response, headers: Pairs, whole: int | None
    ) -> None:
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
        self._more, self._rest = more, memoryview(b"")

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, target: Any) -> int:
        """Fill `target` as far as bytes are there; return how many."""
        data = self._rest or memoryview(self._more())
        size = min(len(target), len(data))
        target[:size], self._rest = data[:size], data[size:]
        return size


def about_connection(
    client: tuple[str, int] | None = None,
    server: tuple[str, int] = ("localhost", 80),
    scheme: str = "http",
    script_name: str = "",
    multithread: bool = True,
    multiprocess: bool = False,
) -> Environ:
    """Return the variables that are the same for all of a connection.

    client, server: (host, port). script_name: the path at which the
    application is mounted; PATH_INFO is what follows it.
    """
    told = {
        "SCRIPT_NAME": script_name.encode().decode("latin-1"),
        "SERVER_NAME": server[0],
        "SERVER_PORT": str(server[1]),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scheme,
        "wsgi.input_terminated": True,  # read() ends, also without a length
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": multithread,
        "wsgi.multiprocess": multiprocess,
        "wsgi.run_once": False,
        "wsgi.file_wrapper": FileWrapper,
    }
    if client:
        told |= {"REMOTE_ADDR": client[0], "REMOTE_PORT": str(client[1])}
    return told


def make_environ(request: Request, body: BinaryIO, told: Environ) -> Environ:
    """Return the environ of one request; its strings are latin-1.

    told: what all requests of this connection say alike.
    """
    target, _, query = request.target.partition(b"?")
    target = b"" if target == b"*" else target
    path = unquote_to_bytes(target).decode("latin-1")
    if (path + "/").startswith(told["SCRIPT_NAME"] + "/"):
        path = path[len(told["SCRIPT_NAME"]) :]
    return {
        **told,
        "REQUEST_METHOD": request.method,
        "PATH_INFO": path,
        "QUERY_STRING": query.decode("latin-1"),
        "SERVER_PROTOCOL": f"HTTP/{request.version}",
        "wsgi.input": body,
        **header_variables(request),
    }


def header_variables(request: Request) -> dict[str, str]:
    """Return the fields as CGI names them: HTTP_USER_AGENT.

    X_User would become the same variable as X-User, and could pose as it
    behind a proxy that removes only the latter; so it is left out. And
    HTTP_PROXY would configure clients that the application starts.
    """
    variables = {}
    for name, value in request.fields.items():
        if b"_" not in name and name != b"proxy":
            key = name.decode().upper().replace("-", "_")
            key = key if name in PLAIN else "HTTP_" + key
            variables[key] = value.decode("latin-1")
    cookies = [v for name, v in request.headers if name == b"cookie"]
    if len(cookies) > 1:  # not ", " as other fields (RFC 6265, 5.4)
        variables["HTTP_COOKIE"] = b"; ".join(cookies).decode("latin-1")
    return variables


class Gateway:
    """One call of an application.

    started: the head is on its way, and cannot be replaced any more.
    """

    def __init__(self, outlet: Outlet) -> None:
        self._outlet = outlet
        self._called = self.started = False
        self._head: tuple[Response, Pairs] | None = None
        self._left = sys.maxsize  # bytes that may still be sent

    def run(self, app: App, environ: Environ) -> None:
        """Call the application and send what it returns.

        Raises WsgiError, BadResponse, and whatever the application raises.
        """
        silent = environ["REQUEST_METHOD"] == "HEAD"  # it may be changed
        result = app(environ, self.start_response)
        try:
            self._send_all(result, silent)
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
        if exc_info:
            try:
                if self.started:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None  # its traceback holds this frame: a circle
        elif self._called:
            raise WsgiError("start_response() was called twice")
        self._called = True  # even if it fails now
        match = STATUS.fullmatch(status) if isinstance(status, str) else None
        if match is None:
            raise WsgiError(f'status must be like "200 OK"; got {status!r}')
        pairs = encoded(headers)
        response = Response(int(match[1]), pairs)
        length = response.length
        self._left = sys.maxsize if length is None else length
        self._head = response, pairs
        return self.write

    def write(self, data: bytes) -> None:
        """Send bytes at once: for applications older than iterables.

        Raises WsgiError, BadResponse.
        """
        if len(checked(data)) > self._left:
            raise WsgiError("write() of more than content-length said")
        self._send(data, None)

    def _send_all(self, result: Iterable[bytes], silent: bool) -> None:
        whole = None
        if isinstance(result, (list, tuple)):
            whole = sum(len(checked(block)) for block in result)
        for block in result:
            # Until there is something to send, the head may be replaced.
            if checked(block):
                self._send(b"" if silent else block[: self._left], whole)
            if self.started and (silent or not self._left):
                break  # nobody is to see the rest
        self._start(0)
        self._outlet.end()

    def _send(self, data: bytes, whole: int | None) -> None:
        self._start(whole)
        self._left -= len(data)
        self._outlet.write(data)

    def _start(self, whole: int | None) -> None:
        if self._head is None:
            raise WsgiError("the application did not call start_response()")
        if not self.started:
            self.started = True
            self._outlet.start(*self._head, whole)


def checked(data: bytes) -> bytes:
    """Return a piece of body. Raises WsgiError: it is not bytes."""
    if type(data) is not bytes:
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
        try:
            name, value = item
            pairs.append((name.encode("latin-1"), value.encode("latin-1")))
        except (AttributeError, TypeError, ValueError):
            text = f"headers must be (str, str) in latin-1; got {item!r}"
            raise WsgiError(text) from None
        if is_hop_by_hop(name):
            raise WsgiError(f"{name} is the server's, not the application's")
    return pairs
