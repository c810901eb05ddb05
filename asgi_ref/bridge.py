"""The bridge: applications of one contract on a server of the other.

    AsgiFromWsgi(app)   a WSGI application as an ASGI application
    WsgiFromAsgi(app)   an ASGI application as a WSGI application

A WSGI application blocks the thread that calls it. On an event loop that
would be everybody's thread, so it is called in another one, of a bounded
pool; each message crosses from thread to loop and back.

The other way round nothing needs a thread, and much is lost: the call is
over when the response is, so there is no lifespan, no WebSocket, nobody to
tell that the client has left, and a background task holds up the response's
end. For plain requests and streamed answers it works.

Source: PEP 3333; ASGI HTTP message format 2.5.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from .contract import App, Message, Receive, Scope, Send
from .request import Request
from .wsgi import App as WsgiApp
from .wsgi import Environ, Gateway, Pairs, make_environ

THREADS = 40
BLOCK = 64 * 1024


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
        """Serve one request in a thread; agree to lifespan."""
        if scope["type"] == "lifespan":
            return await lifespan(receive, send)
        if scope["type"] != "http":
            raise ValueError(f"WSGI knows no {scope['type']}")
        crossing = Crossing(asyncio.get_running_loop(), receive, send)
        environ = environ_of(scope, crossing.more)
        call = copy_context().run
        gateway = Gateway(crossing)
        await crossing.loop.run_in_executor(
            self._pool, call, gateway.run, self._app, environ
        )


class Crossing:
    """Both directions between a thread and the loop: an Outlet, and more.

    Each call waits, in the thread, until the loop has done its part: a slow
    client slows the application down, and one that left ends it.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, receive: Receive, send: Send
    ) -> None:
        self.loop = loop
        self._receive, self._send = receive, send
        self._all_read = False

    def more(self) -> bytes:
        """Return the next bytes of the request's body, b"" at its end.

        Raises ConnectionError: the client left before it was complete.
        """
        while not self._all_read:
            message = self._in_loop(self._receive())
            if message["type"] == "http.disconnect":
                raise ConnectionResetError("the client left inside its body")
            self._all_read = not message.get("more_body", False)
            if body := message.get("body", b""):
                return bytes(body)
        return b""

    def start(self, status: int, headers: Pairs, whole: int | None) -> None:
        """Send a response's head; see Outlet."""
        names = {name.lower() for name, _ in headers}
        if whole is not None and b"content-length" not in names:
            headers = [*headers, (b"content-length", b"%d" % whole)]
        start = {"type": "http.response.start", "status": status}
        self._in_loop(self._send({**start, "headers": headers}))

    def write(self, data: bytes) -> None:
        """Send a piece of the body."""
        body = {"type": "http.response.body", "body": data}
        self._in_loop(self._send({**body, "more_body": True}))

    def end(self) -> None:
        """Send the end of the body."""
        self._in_loop(self._send({"type": "http.response.body"}))

    def _in_loop(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result()


async def lifespan(receive: Receive, send: Send) -> None:
    """Agree to whatever the server is about to do."""
    for phase in "startup", "shutdown":
        await receive()
        await send({"type": f"lifespan.{phase}.complete"})


def environ_of(scope: Scope, more: Callable[[], bytes]) -> Environ:
    """Return the environ that says what a scope says."""
    target = scope.get("raw_path") or scope["path"].encode()
    if scope["query_string"]:
        target += b"?" + scope["query_string"]
    version = scope["http_version"]
    headers = [(bytes(name), bytes(value)) for name, value in scope["headers"]]
    return make_environ(
        Request(scope["method"], target, version, headers),
        more,
        scope.get("client"),
        scope.get("server") or ("localhost", 80),
        scope.get("root_path", ""),
        scope.get("scheme", "http"),
    )


class WsgiFromAsgi:
    """An ASGI application as a WSGI application: requests, answers, no more.

    Each request gets an event loop of its own, which runs while the server
    waits for the next block.
    """

    def __init__(self, app: App) -> None:
        self._app = app

    def __call__(
        self, environ: Environ, start_response: Callable[..., Any]
    ) -> Iterator[bytes]:
        """Serve one request; yield the response's blocks."""
        with asyncio.Runner() as loop:
            call = Call(environ)
            running = loop.get_loop().create_task(call.run(self._app))
            while (block := loop.run(call.next_block())) is not None:
                if call.start and not call.started:
                    call.started = True
                    start_response(*call.start)
                yield block
            running.result()  # raises what the application raised


class Call:
    """One call of an ASGI application, from a WSGI environ.

    start: status and headers as start_response takes them, when sent.
    """

    def __init__(self, environ: Environ) -> None:
        self._environ = environ
        self._blocks: asyncio.Queue[bytes | None] = asyncio.Queue(1)
        self._read = False
        self.start: tuple[str, list[tuple[str, str]]] | None = None
        self.started = False

    async def run(self, app: App) -> None:
        """Call the application; its end is the end of the blocks."""
        try:
            await app(scope_of(self._environ), self.receive, self.send)
        finally:
            await self._blocks.put(None)

    async def next_block(self) -> bytes | None:
        """Return the next piece of the response's body; None at its end."""
        return await self._blocks.get()

    async def receive(self) -> Message:
        """Return the next piece of the body. It blocks, as WSGI does."""
        if self._read:  # nobody tells us whether the client is still there
            await asyncio.Event().wait()
        body = self._environ["wsgi.input"].read(BLOCK)
        self._read = len(body) < BLOCK
        more = not self._read
        return {"type": "http.request", "body": body, "more_body": more}

    async def send(self, message: Message) -> None:
        """Take a message of the response."""
        if message["type"] == "http.response.start":
            status = message["status"]
            headers = [
                (bytes(name).decode("latin-1"), bytes(value).decode("latin-1"))
                for name, value in message.get("headers", ())
            ]
            self.start = f"{status} {phrase(status)}", headers
        elif message["type"] == "http.response.body":
            await self._blocks.put(bytes(message.get("body", b"")))


def scope_of(environ: Environ) -> Scope:
    """Return the scope that says what an environ says."""
    path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
    raw_path = path.encode("latin-1")
    headers = [
        (key[5:].lower().replace("_", "-").encode(), value.encode("latin-1"))
        for key, value in environ.items()
        if key.startswith("HTTP_")
    ]
    for key in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        if value := environ.get(key):
            name = key.lower().replace("_", "-").encode()
            headers.append((name, value.encode("latin-1")))
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.5"},
        "http_version": environ["SERVER_PROTOCOL"].removeprefix("HTTP/"),
        "method": environ["REQUEST_METHOD"],
        "scheme": environ["wsgi.url_scheme"],
        "path": raw_path.decode("utf-8", "replace"),
        "raw_path": quote(raw_path).encode(),
        "query_string": environ.get("QUERY_STRING", "").encode("latin-1"),
        "root_path": environ.get("SCRIPT_NAME", ""),
        "headers": headers,
        "client": client_of(environ),
        "server": (environ["SERVER_NAME"], int(environ["SERVER_PORT"])),
        "extensions": {},
    }


def client_of(environ: Environ) -> tuple[str, int] | None:
    """Return the client's (host, port), as far as the server said it."""
    host = environ.get("REMOTE_ADDR")
    return (host, int(environ.get("REMOTE_PORT") or 0)) if host else None


def phrase(status: int) -> str:
    """Return a status's reason phrase."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"
