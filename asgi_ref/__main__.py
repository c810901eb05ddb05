"""The composition root: where all the parts become one server.

Every other module knows only those of earlier chapters. What has to be
joined late is joined here: the command line, the listening socket, the
application, the server, and the handlers of other protocols.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
from argparse import Namespace
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import fields
from errno import EMFILE, ENFILE
from itertools import count
from socket import socket
from typing import Any

from . import __version__, config, listen, target
from .contract import App
from .lifespan import StartupFailed
from .request import Request
from .server import Conversation, Server, Settings, Upgrade, on_signals


async def websocket(conversation: Conversation, request: Request) -> None:
    """Serve a WebSocket; a server that never meets one starts without it."""
    from .websocket import websocket as handler

    await handler(conversation, request)


log = logging.getLogger("asgi_ref")

FORCED = 2.0  # seconds after the second signal

UPGRADES: dict[bytes, Upgrade] = {b"websocket": websocket}


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit status.

    0: stopped by a signal. 1: the address cannot be used. 2: bad usage.
    3: the application could not be loaded, or its startup failed.
    """
    options = config.parse(sys.argv[1:] if arguments is None else arguments)
    config.set_up_logging(options.log_level, options.use_colors)
    try:
        if options.env_file:
            config.load_env(options.env_file)
    except OSError as error:
        return fail(2, str(error))
    try:
        name = options.app or "asgi_ref.demo:app"
        name += "" if ":" in name else ":app"  # and it is shown so
        guess = options.interface == "auto"
        app = target.load(name, options.app_dir, options.factory, guess)
        if options.interface == "wsgi":
            _serve_wsgi(name, app, options)
            return 0
        target.check_interface(name, app, options.interface)
        sock = bind(options)
        app, version = as_asgi3(app, options.interface)
        announce(sock, f"{name}  (ASGI {version}, {where(name)})")
        server = Server(app, config.settings(options), UPGRADES)
        asyncio.run(_serve_alone(server, sock))
    except KeyboardInterrupt:
        return 0
    except target.TargetError as error:
        return fail(3, str(error))
    except StartupFailed as error:
        return fail(3, f"Startup failed: {error}")
    except (listen.CannotListen, OSError) as error:
        return fail(1, str(error))
    return 0


def fail(status: int, text: str) -> int:
    """Print why the server does not run; return the exit status."""
    print(text, file=sys.stderr)
    return status


def bind(options: Namespace) -> socket:
    """Return the listening socket that was asked for."""
    if options.fd is not None:
        return listen.listen_fd(options.fd)
    if options.uds:
        return listen.listen_unix(options.uds, options.backlog)
    return listen.listen(options.host, options.port, options.backlog)


def as_asgi3(app: Any, interface: str = "auto") -> tuple[App, int]:
    """Return an application to be called once, and the ASGI it speaks."""
    if interface == "auto":
        interface = target.interface(app)
    return (target.asgi2(app), 2) if interface == "asgi2" else (app, 3)


def where(name: str) -> str:
    """Return the file a target lies in, as short as it can be written."""
    file = sys.modules[name.partition(":")[0]].__file__ or name
    relative = os.path.relpath(file)
    return file if relative.startswith("..") else os.path.join(".", relative)


def announce(sock: socket, what: str) -> None:
    """Print the banner: what is served, and where to click."""
    url, host = listen.url(sock), sock.getsockname()[0]
    everywhere = f" ({host})" if host in listen.WILDCARDS else ""
    print(f"asgi_ref {__version__}   {what}")
    print(f"  open      {url}{everywhere}      Ctrl+C stops, twice forces")
    sys.stdout.flush()


async def _serve_alone(server: Server, sock: socket) -> None:
    asyncio.get_running_loop().set_exception_handler(on_loop_error)
    await _serve(server, sock, stopper(server))
    force(server)


async def _serve(
    server: Server, sock: socket, on_signal: Callable[[], object]
) -> None:
    address = sock.getsockname()
    with on_signals(on_signal):
        try:
            await server.serve(sock)
        finally:
            listen.close(sock, address)


def on_loop_error(
    loop: asyncio.AbstractEventLoop, context: dict[str, Any]
) -> None:
    """Say in one line what asyncio would say in many, again and again."""
    error = context.get("exception")
    if isinstance(error, OSError) and error.errno in (EMFILE, ENFILE):
        log.error("accept    %s; retrying", error)
    else:
        loop.default_exception_handler(context)


def stopper(server: Server) -> Callable[[], None]:
    """Return what a signal calls: the first ends the server in good order.

    The second one forces. If the application does not even let that happen,
    because it never waits or catches what should end it, the process ends.
    """
    loop, calls = asyncio.get_running_loop(), count(1)

    def stop() -> None:
        loop.call_soon_threadsafe(server.stop)
        if next(calls) == 2:
            heard = threading.Event()
            loop.call_soon_threadsafe(heard.set)
            timer = threading.Timer(FORCED, force, [server, heard.is_set])
            timer.daemon = True
            timer.start()

    return stop


def force(server: Server, heard: Callable[[], bool] = lambda: True) -> None:
    """End the process if the application holds on to what has ended."""
    busy = server.busy()
    if busy or not heard():
        what = busy or "the application"
        print(f"forced: {what} did not let go", file=sys.stderr, flush=True)
        os._exit(0)


def _serve_wsgi(name: str, app: Any, options: Namespace) -> None:
    from . import threads  # most servers start without it

    target.require_wsgi(name, app)
    sock = bind(options)
    announce(sock, f"{name}  (WSGI, {where(name)})")
    settings = vars(config.settings(options))
    if options.threads:
        settings["threads"] = options.threads
    names = {field.name for field in fields(threads.Server)}
    said = {name: settings[name] for name in settings if name in names}
    server = threads.Server(app, **said)
    address = sock.getsockname()
    with on_signals(server.stop):
        try:
            server.serve(sock)
        finally:
            listen.close(sock, address)


async def serve(
    app: Any, host: str = "127.0.0.1", port: int = 8000, **settings: Any
) -> None:
    """Serve an application until a signal comes.

    app: an application or "module:attribute". settings: see Settings.

    Raises TargetError, CannotListen, StartupFailed.
    """
    server, sock = opened(app, host, port, settings)
    loop = asyncio.get_running_loop()
    await _serve(server, sock, lambda: loop.call_soon_threadsafe(server.stop))


def opened(
    app: Any, host: str, port: int, settings: dict[str, Any]
) -> tuple[Server, socket]:
    """Return a server, and the socket that it shall serve; say so."""
    said = Settings(**settings)
    name, app, version = prepare(app)
    sock = listen.listen(host, port)
    if not log.hasHandlers():  # whose program this is has set up nothing
        config.set_up_logging("info", None)
    announce(sock, f"{name}  (ASGI {version})")
    return Server(app, said, UPGRADES), sock


def prepare(app: Any) -> tuple[str, App, int]:
    """Return the name of an application, itself, and the ASGI it speaks.

    app: an application or "module:attribute".

    Raises TargetError.
    """
    name = getattr(app, "__qualname__", type(app).__name__)
    if isinstance(app, str):
        name, app = app, target.load(app)
    target.require_app(name, app)
    return name, *as_asgi3(app)


def run(
    app: Any, host: str = "127.0.0.1", port: int = 8000, **settings: Any
) -> None:
    """Serve an application until a signal comes; the process is ours."""
    asyncio.run(_serve_alone(*opened(app, host, port, settings)))


@asynccontextmanager
async def running(
    app: Any, host: str = "127.0.0.1", port: int = 0, **settings: Any
) -> AsyncIterator[str]:
    """Serve an application in the background of the running loop.

    async with running(app) as url: ...   url is "http://127.0.0.1:54321"

    Raises TargetError, CannotListen, StartupFailed.
    """
    server = Server(prepare(app)[1], Settings(**settings), UPGRADES)
    sock = listen.listen(host, port)
    task = asyncio.create_task(server.serve(sock))
    ready = asyncio.create_task(server.ready.wait())
    try:
        await asyncio.wait({task, ready}, return_when="FIRST_COMPLETED")
        if task.done():
            await task
        yield listen.url(sock)
    finally:
        server.stop()
        ready.cancel()
        await asyncio.wait({task})
        listen.close(sock)


if __name__ == "__main__":
    sys.exit(main())
