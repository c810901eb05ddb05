"""The bridge: applications of one contract on a server of the other.

    AsgiFromWsgi(app)   a WSGI application as an ASGI application
    WsgiFromAsgi(app)   an ASGI application as a WSGI application

A WSGI application blocks the thread that calls it. On an event loop that
would be everybody's thread, so it is called in another one, of a bounded
pool; each message crosses from thread to loop and back. A thread cannot be
interrupted: an application that is not reading or writing is waited for.

The other way round nothing needs a thread, and much is lost: no lifespan, no
WebSocket, no extensions, nobody to tell that the client has left, nothing
that goes on between two blocks or after the response; a background task
holds up the response's end. Plain requests and streamed answers work.

Source: PEP 3333; ASGI HTTP message format 2.5, "WSGI Compatibility".
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from http import HTTPStatus
from typing import Any
from urllib.parse import quote
from wsgiref.util import is_hop_by_hop

from .contract import (
    HTTP,
    App,
    ContractError,
    Message,
    Receive,
    Scope,
    Send,
    check,
)
from .request import Request
from .response import Response
from .wsgi import App as WsgiApp
from .wsgi import (
    Environ,
    Gateway,
    Input,
    Pairs,
    about_connection,
    make_environ,
)

THREADS = 40
BLOCK = 64 * 1024
NOT_LOST = "http.response.start", "http.response.body"


class AsgiFromWsgi:
    """A WSGI application, called in threads, as an ASGI application.

    threads: how many requests are answered at a time; others wait.
    """

    def __init__(self, app: WsgiApp, threads: int = THREADS) -> None:
        self._app = app
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="wsgi")

    async def __call__(
        self, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Serve one request in a thread; agree to lifespan.

        Raises ContractError: another protocol, such as WebSocket.
        """
        if scope["type"] == "lifespan":
            return await lifespan(receive, send)
        if scope["type"] != "http":
            raise ContractError(f"a WSGI application knows no {scope['type']}")
        crossing = Crossing(asyncio.get_running_loop(), receive, send)
        environ = environ_of(scope, crossing.more)
        work = answer, Gateway(crossing), self._app, environ
        call = copy_context().run
        try:
            await crossing.loop.run_in_executor(self._pool, call, *work)
        finally:  # we may be cancelled; it must not wait for us any more
            crossing.over = True


def answer(gateway: Gateway, app: WsgiApp, environ: Environ) -> None:
    """Run a WSGI application in a thread, for a coroutine that waits.

    Raises what it raises; but a future cannot raise StopIteration.
    """
    try:
        gateway.run(app, environ)
    except StopIteration as error:
        raise RuntimeError("the application raised StopIteration") from error


class Crossing:
    """Both directions between a thread and the loop: an Outlet, and more.

    Each call waits, in the thread, until the loop has done its part: a slow
    client slows the application down, and one that left ends it.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, receive: Receive, send: Send
    ) -> None:
        self.loop = loop
        self.over = self._all_read = False
        self._receive, self._send = receive, send

    def more(self) -> bytes:
        """Return the next bytes of the request's body, b"" at its end.

        Raises ConnectionError: the client left before it was complete.
        """
        while not self._all_read:
            message = self._in_loop(self._receive)
            if message["type"] == "http.disconnect":
                raise ConnectionResetError("the client left inside its body")
            self._all_read = not message.get("more_body", False)
            if body := message.get("body", b""):
                return bytes(body)
        return b""

    def start(
        self, response: Response, headers: Pairs, whole: int | None
    ) -> None:
        """Send a response's head; see Outlet."""
        headers = [(name.lower(), value) for name, value in headers]
        if whole is not None and response.length is None:
            headers.append((b"content-length", b"%d" % whole))
        start = {"type": "http.response.start", "status": response.status}
        self._in_loop(self._send, {**start, "headers": headers})

    def write(self, data: bytes) -> None:
        """Send a piece of the body."""
        body = {"type": "http.response.body", "body": data}
        self._in_loop(self._send, {**body, "more_body": True})

    def end(self) -> None:
        """Send the end of the body."""
        self._in_loop(self._send, {"type": "http.response.body"})

    def _in_loop(self, function: Callable[..., Any], *arguments: Any) -> Any:
        if self.over:
            raise ConnectionAbortedError("the server has ended the request")
        work = function(*arguments)
        return asyncio.run_coroutine_threadsafe(work, self.loop).result()


async def lifespan(receive: Receive, send: Send) -> None:
    """Agree to whatever the server is about to do."""
    for phase in "startup", "shutdown":
        await receive()
        await send({"type": f"lifespan.{phase}.complete"})


def environ_of(scope: Scope, more: Callable[[], bytes]) -> Environ:
    """Return the environ that says what a scope says.

    more: returns the next bytes of the body.
    """
    target = quote(scope["path"]).encode()
    if query := scope.get("query_string", b""):
        target += b"?" + query
    host, port = scope.get("server") or ("", None)
    told = about_connection(
        scope.get("client"),
        ("localhost", 80) if port is None else (host, port),
        scope.get("scheme", "http"),
        scope.get("root_path", ""),
    )
    headers = [(bytes(name), bytes(value)) for name, value in scope["headers"]]
    version = scope["http_version"]
    request = Request(scope["method"], target, version, headers)
    return make_environ(request, io.BufferedReader(Input(more), BLOCK), told)


class WsgiFromAsgi:
    """An ASGI application as a WSGI application: requests, answers, no more.

    Each request gets an event loop of its own, which runs only while the
    server waits for the next block.
    """

    def __init__(self, app: App) -> None:
        self._app = app

    def __call__(
        self, environ: Environ, start_response: Callable[..., Any]
    ) -> Iterator[bytes]:
        """Serve one request; yield the response's blocks.

        Raises ContractError, and whatever the application raises.
        """
        with asyncio.Runner() as runner:
            call = Call(environ, start_response)
            work = self._app(scope_of(environ), call.receive, call.send)
            task = asyncio.ensure_future(work, loop=runner.get_loop())
            task.add_done_callback(lambda _: call.blocks.put_nowait(None))
            while (block := runner.run(call.blocks.get())) is not None:
                yield block
                call.blocks.task_done()  # the server has sent it
            task.result()  # raises what the application raised
        if call.state != "complete":
            raise ContractError(f"the app returned, state: {call.state}")


class Call:
    """One call of an ASGI application, from a WSGI environ.

    blocks: what the body consists of, one at a time; None is the end.
    state: see contract.HTTP.order.
    """

    state = "nothing sent"

    def __init__(
        self, environ: Environ, start_response: Callable[..., Any]
    ) -> None:
        self._start_response = start_response
        self.blocks: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._input = environ["wsgi.input"]
        # Not every server's input ends where the body ends.
        endless = BLOCK if environ.get("wsgi.input_terminated") else 0
        length = environ.get("CONTENT_LENGTH")
        self._left = int(length) if length else endless
        self._counts = bool(length)
        self._told = False

    async def receive(self) -> Message:
        """Return the next piece of the body. It blocks, as WSGI does."""
        if self._told:  # nobody tells us whether the client is still there
            await asyncio.Event().wait()
        size = min(self._left, BLOCK)
        body = self._input.read(size) if size else b""
        if self._counts:
            self._left -= len(body)
        self._told = len(body) < BLOCK or not self._left
        more = not self._told
        return {"type": "http.request", "body": body, "more_body": more}

    async def send(self, message: Message) -> None:
        """Take a message; return when the server has sent what it says.

        Raises ContractError: it is not allowed now, or would be lost.
        """
        if self.state == "complete":
            return
        self.state = check(HTTP, self.state, message)
        if message["type"] not in NOT_LOST or message.get("trailers"):
            raise ContractError(f"{message['type']} is lost in WSGI")
        if message["type"] == "http.response.start":
            self._start_response(*head(message))
        elif body := message.get("body", b""):
            self.blocks.put_nowait(bytes(body))
            await self.blocks.join()


def head(start: Message) -> tuple[str, list[tuple[str, str]]]:
    """Return the start of a response as start_response takes it."""
    pairs = [
        (bytes(name).decode("latin-1"), bytes(value).decode("latin-1"))
        for name, value in start.get("headers", ())
    ]
    headers = [pair for pair in pairs if not is_hop_by_hop(pair[0])]
    try:
        phrase = HTTPStatus(start["status"]).phrase
    except ValueError:
        phrase = "Unknown"
    return f"{start['status']} {phrase}", headers


def scope_of(environ: Environ) -> Scope:
    """Return the scope that says what an environ says."""
    root_path = environ.get("SCRIPT_NAME", "").encode("latin-1")
    path = root_path + environ.get("PATH_INFO", "").encode("latin-1")
    host, port = environ.get("REMOTE_ADDR"), environ.get("REMOTE_PORT")
    headers = [
        (key.removeprefix("HTTP_").lower().replace("_", "-"), value)
        for key, value in environ.items()
        if key.startswith("HTTP_")
        or (key in ("CONTENT_TYPE", "CONTENT_LENGTH") and value)
    ]
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.5"},
        "http_version": environ["SERVER_PROTOCOL"].removeprefix("HTTP/"),
        "method": environ["REQUEST_METHOD"],
        "scheme": environ["wsgi.url_scheme"],
        "path": path.decode("utf-8", "replace"),
        "query_string": environ.get("QUERY_STRING", "").encode("latin-1"),
        "root_path": root_path.decode("utf-8", "replace"),
        "headers": [(k.encode(), v.encode("latin-1")) for k, v in headers],
        "client": (host, int(port or 0)) if host else None,
        "server": (environ["SERVER_NAME"], int(environ["SERVER_PORT"])),
        "extensions": {},
    }
