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
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from http import HTTPStatus
from typing import Any

from .contract import App, ContractError, Message, Receive, Scope, Send
from .request import Request
from .wsgi import App as WsgiApp
from .wsgi import Environ, Gateway, Pairs, make_environ

THREADS = 40


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
    asks for the next block.
    """

    def __init__(self, app: App) -> None:
        self._app = app

    def __call__(
        self, environ: Environ, start_response: Callable[..., Any]
    ) -> Iterator[bytes]:
        loop = asyncio.new_event_loop()
        answer = Answer(self._app, environ, start_response)
        task = loop.create_task(answer.run())
        try:
            while (block := loop.run_until_complete(answer.next())) is not None:
                yield block
            loop.run_until_complete(task)
        finally:
            task.cancel()
            loop.run_until_complete(asyncio.gather(task, return_exceptions=True))
            loop.close()
