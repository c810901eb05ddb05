"""The composition root: where all the parts become one server.

Every other module knows only those of earlier chapters. What has to be
joined late is joined here: the command line, the listening socket, the
application and what is put around it, the server, TLS, the handlers of other
protocols, and the processes that all of it runs in.

A part that was not asked for is not even imported.
"""

from __future__ import annotations

import asyncio
import io
import logging
import os
import sys
import threading
from argparse import Namespace
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import (
    AbstractContextManager,
    asynccontextmanager,
    contextmanager,
    nullcontext,
    suppress,
)
from dataclasses import fields, replace
from errno import EMFILE, ENFILE
from itertools import count
from socket import socket
from typing import Any

from . import __version__, config, listen, target
from .contract import App, place
from .lifespan import StartupFailed
from .request import Request
from .server import Conversation, Server, Settings, Upgrade, on_signals
from .transport import MemoryTransport, StreamTransport

log = logging.getLogger("asgi_ref")

FORCED = 2.0  # seconds after the second signal
LAST_WORDS = 4.0  # seconds for a child, after its graceful shutdown
EXAMINED = 5.0  # seconds that the doctor waits for an answer


async def websocket(conversation: Conversation, request: Request) -> None:
    """Serve a WebSocket; a server that never meets one starts without it."""
    from .websocket import websocket as handler

    await handler(conversation, request)


UPGRADES: dict[bytes, Upgrade] = {b"websocket": websocket}


class BadUsage(Exception):
    """The command line asks for what cannot be; the text says why."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit status.

    0: stopped by a signal. 1: the address cannot be used. 2: bad usage.
    3: the application could not be loaded, or its startup failed.
    """
    words = sys.argv[1:] if arguments is None else arguments
    options = config.parse(words)
    is_worker = options.child == "worker"
    config.set_up_logging(options.log_level, options.use_colors, is_worker)
    try:
        return act(options, words)
    except KeyboardInterrupt:
        return 0
    except BadUsage as error:
        return fail(2, str(error))
    except target.TargetError as error:
        return fail(3, str(error))
    except StartupFailed as error:
        return fail(3, f"Startup failed: {error}")
    except (listen.CannotListen, OSError) as error:
        return fail(1, str(error))


def fail(status: int, text: str) -> int:
    """Print why the server does not run; return the exit status."""
    print(text, file=sys.stderr)
    return status


def act(options: Namespace, words: list[str]) -> int:
    """Do what the command line says; return the exit status."""
    options.typed = name = options.app or "asgi_ref.demo:app"
    options.app = name + ("" if ":" in name else ":app")  # and it is shown so
    keep_to_ourselves(options)
    parent = options.child is None and not options.doctor
    if parent and options.reload:
        return serve_and_watch(options, words)
    if parent and options.workers > 1:
        return serve_with_workers(options, words)
    if options.env_file:
        load_env(options.env_file)
    if options.doctor:
        return examine(options)
    if options.interface == "wsgi":
        return serve_wsgi(options)
    return serve_asgi(options)


def keep_to_ourselves(options: Namespace) -> None:
    """Do not hand on what was handed down to us.

    What the application starts with os.system() may live longer than we do,
    and would keep the port.
    """
    for fd in options.fd, options.parent_fd:
        with suppress(OSError, TypeError):  # whoever needs it will say so
            os.set_inheritable(fd, False)


def load_env(path: str) -> None:
    """Set environment variables from a file.

    Raises BadUsage.
    """
    try:
        config.load_env(path)
    except OSError as error:
        raise BadUsage(str(error)) from None


# One process.


def serve_asgi(options: Namespace) -> int:
    """Serve an ASGI application until a signal comes."""
    try:
        app = load(options)
        app, version = as_asgi3(app, options.interface)
        app, what = around(options, app), f"ASGI {version}"
    except target.TargetError as error:
        app, what = stand_in(options, error), "not loaded"
    return serve_app(options, app, what)


def serve_app(options: Namespace, app: App, what: str) -> int:
    """Serve what is ASGI 3, and has been put together; what: see announce."""
    tls = make_tls(options)
    with opened(options) as sock:
        announce(sock, options, what)
        asyncio.run(serve_command(options, app, sock, tls))
    return 0


def serve_wsgi(options: Namespace) -> int:
    """Serve a WSGI application, with threads, until a signal comes."""
    from . import threads

    try:
        app = load(options)
    except target.TargetError as error:
        return serve_app(options, stand_in(options, error), "not loaded")
    settings = vars(config.settings(options))
    if options.threads:
        settings["threads"] = options.threads
    settings["multiprocess"] = options.child == "worker"
    names = {field.name for field in fields(threads.Server)}
    said = {name: settings[name] for name in settings if name in names}
    server = threads.Server(app, **said)
    with opened(options) as sock, on_signals(server.stop):
        announce(sock, options, "WSGI")
        tie(options, server.stop)(READY)
        server.serve(sock)
    return 0


def load(options: Namespace) -> Any:
    """Return the application that was asked for.

    Raises TargetError.
    """
    name, interface = options.app, options.interface
    guess = interface == "auto"
    typed, folder = options.typed, options.app_dir
    app = target.load(typed, folder, options.factory, guess)
    if interface == "wsgi":
        target.require_wsgi(name, app)
    target.check_interface(name, app, interface)
    return app


def as_asgi3(app: Any, interface: str = "auto") -> tuple[App, int]:
    """Return an application to be called once, and the ASGI it speaks."""
    if interface == "auto":
        interface = target.interface(app)
    return (target.asgi2(app), 2) if interface == "asgi2" else (app, 3)


@contextmanager
def opened(options: Namespace) -> Iterator[socket]:
    """Open the listening socket that was asked for; close it at the end.

    Raises CannotListen.
    """
    if options.fd is not None:
        sock = listen.listen_fd(options.fd)
    elif options.uds:
        sock = listen.listen_unix(options.uds, options.backlog)
    else:
        sock = listen.listen(options.host, options.port, options.backlog)
    address = sock.getsockname()
    try:
        yield sock
    finally:
        if options.fd is not None:
            sock.close()  # it is somebody else's, and so is its file
        else:
            listen.close(sock, address)


def announce(sock: socket, options: Namespace, kind: str) -> None:
    """Print the banner; of several children only the first one does."""
    if options.child and not options.banner:
        return
    scheme = "https" if options.ssl_certfile else "http"
    what = f"{options.app}  ({kind}{where(options.app)})"
    print_banner(sock, what, scheme, options.banner)


def print_banner(
    sock: socket, what: str, scheme: str = "http", more: str | None = None
) -> None:
    """Print what is served, and where to click."""
    url, address = listen.url(sock, scheme), sock.getsockname()
    host = address[0] if isinstance(address, tuple) else ""
    everywhere = f" ({host})" if host in listen.WILDCARDS else ""
    lines = [f"asgi_ref {__version__}   {what}"]
    lines += [f"  open      {url}{everywhere}      Ctrl+C stops, twice forces"]
    lines += [f"  {more}"] if more else []
    with suppress(OSError):  # nobody reads it: no reason not to serve
        print("\n".join(lines), flush=True)


def where(name: str) -> str:
    """Return ", ./main.py", the file a target lies in, or ""."""
    module = sys.modules.get(name.partition(":")[0])
    if module is None or module.__file__ is None:
        return ""
    file, relative = module.__file__, os.path.relpath(module.__file__)
    return ", " + (file if relative[:2] == ".." else f".{os.sep}{relative}")


# What is put around an application, and how it is served.


def around(options: Namespace, app: App) -> App:
    """Return the application in the middleware that was asked for.

    Raises TargetError, BadUsage.
    """
    for name in reversed(options.middleware):
        factory = target.load(name, options.app_dir, check=False)
        try:
            app = factory(app)
        except Exception as error:
            what = f"--middleware {name} raised {place(error)}"
            raise target.TargetError(what) from error
    if options.proxy_headers:
        from .proxy import ProxyHeaders

        allowed = os.environ.get("FORWARDED_ALLOW_IPS", "127.0.0.1,::1")
        try:
            app = ProxyHeaders(app, options.forwarded_allow_ips or allowed)
        except ValueError as error:
            raise BadUsage(f"--forwarded-allow-ips: {error}") from None
    if options.check:
        from .referee import Referee

        app = Referee(app)
    return app


def make_tls(options: Namespace) -> Any:
    """Return what the server needs to speak TLS, or None.

    Raises BadUsage.
    """
    if options.ssl_certfile is None:
        return None
    from .tls import Tls, TlsError

    try:
        return Tls(
            options.ssl_certfile,
            options.ssl_keyfile,
            options.ssl_keyfile_password,
            options.ssl_ca_certs,
            options.ssl_cert_reqs or "none",
        )
    except TlsError as error:
        raise BadUsage(str(error)) from None


async def serve_command(
    options: Namespace, app: App, sock: socket, tls: Any
) -> None:
    """Serve an application with all that the command line says.

    Raises StartupFailed.
    """
    transport: Any = StreamTransport
    if options.trace or options.step:
        trace = make_trace(options)
        app, transport = trace.app(app), trace.transport
    loop = asyncio.get_running_loop()

    def stop() -> None:
        server.stop()  # there is one when the loop comes to call this

    def retire() -> None:
        if options.child == "worker":
            say(RETIRES)  # its follower is ready before it must go
        else:
            log.info("stopping  after --limit-max-requests")
            stop()

    say = tie(options, lambda: loop.call_soon_threadsafe(stop))
    if options.limit_max_requests:
        from .workers import Retire

        app = Retire(app, options.limit_max_requests, retire)
    while True:
        settings = config.settings(options)
        server = Server(app, settings, UPGRADES, transport, tls)
        ready = asyncio.create_task(server.ready.wait())
        ready.add_done_callback(lambda task: task.cancelled() or say(READY))
        try:
            with watched(options):
                return await _serve_alone(server, sock, options.fd is not None)
        except StartupFailed as error:
            app = stand_in(options, error)
        finally:
            ready.cancel()


def stand_in(options: Namespace, error: Exception) -> App:
    """Return what answers under --reload until an application is mended.

    Raises the error itself if nobody would mend it.
    """
    if options.child != "reload":
        raise error
    options.lifespan = "off"
    from .reload import broken

    return broken(error)


def make_trace(options: Namespace) -> Any:
    """Return what hears each byte and message, and where it writes them.

    Raises BadUsage.
    """
    from .trace import HEADING, Stepper, Trace, json_line, ladder

    if options.trace not in (None, "-"):
        mode = "a" if options.child == "worker" else "w"
        try:
            # Open until the process ends, and complete after each line.
            # What people send is in it: nobody else may read it.
            file = open(  # noqa: SIM115
                options.trace,
                mode,
                buffering=1,
                encoding="ascii",
                opener=lambda path, flags: os.open(path, flags, 0o600),
            )
        except OSError as error:
            raise BadUsage(f"--trace: {error}") from None
        return Trace(lambda event: print(json_line(event), file=file))
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    print(HEADING, flush=True)
    if options.step:
        return Trace(Stepper())
    return Trace(lambda event: print(ladder(event), flush=True))


def watched(options: Namespace) -> AbstractContextManager[None]:
    """Return the watchdog, for the time that a server runs."""
    if not options.watchdog:
        return nullcontext()
    from .watchdog import watching

    return watching(options.watchdog)


async def _serve_alone(
    server: Server, sock: socket, keep: bool = False
) -> None:
    """Serve until a signal comes; the process is ours, and may be ended.

    keep: the socket is somebody else's.
    """
    asyncio.get_running_loop().set_exception_handler(on_loop_error)
    address = sock.getsockname()
    with on_signals(stopper(server)):
        try:
            await server.serve(sock)
        finally:
            if not keep:
                listen.close(sock, address)
    force(server)


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


# Several processes.

READY, RETIRES = b"+", b"-"  # what a child says to its parent


def serve_with_workers(options: Namespace, words: list[str]) -> int:
    """Serve from several processes until a signal comes.

    words: the command line, which each of them is given, too.
    """
    if os.name != "posix":
        raise BadUsage("--workers: this system cannot hand down open files")
    from .workers import Workers

    more = f"workers   {options.workers}; kill -HUP {os.getpid()} renews them"
    command = [sys.executable, "-m", "asgi_ref", *words, "--child", "worker"]
    with opened(options) as sock:
        patience = (options.timeout_graceful_shutdown or 5) + LAST_WORDS
        number, banner = options.workers, ["--banner", more]
        workers = Workers(command, sock, number, banner, patience)
        return asyncio.run(workers.run())


def serve_and_watch(options: Namespace, words: list[str]) -> int:
    """Serve from a child that is started anew when a file has changed."""
    from .reload import Files, Supervisor, starter

    folders = options.reload_dir or [options.app_dir]
    include, exclude = options.reload_include, options.reload_exclude
    files = Files(folders, include or (), exclude or ())
    number = f"{len(files)} file{'s' if len(files) != 1 else ''}"
    more = f"watching  {', '.join(folders)} ({number})"
    with opened(options) as sock:
        banner = ["--banner", more]
        start = starter([*words, "--child", "reload"], sock, banner)
        if os.name != "posix":
            sock.close()  # each child opens its own
        patience = (options.timeout_graceful_shutdown or 1) + LAST_WORDS
        delay = options.reload_delay or 0.25
        return Supervisor(start, files, delay, patience).run()


def tie(
    options: Namespace, stop: Callable[[], object]
) -> Callable[[bytes], object]:
    """Return what says something to our parent; it may have us stop."""
    if options.parent_fd is None or options.parent_fd < 0:
        return lambda what: None
    from . import workers

    return workers.tie(options.parent_fd, stop)


# The doctor.


def examine(options: Namespace) -> int:
    """Say what would be served, and try it; return the exit status.

    Raises TargetError, StartupFailed.
    """
    name, _, attribute = options.app.partition(":")
    folder = os.path.abspath(options.app_dir)
    print(f"looked     for {name} in {folder}", flush=True)
    app = load(options)
    kind = target.described(app)
    print(f"found      {attribute}, {kind}{where(options.app)}", flush=True)
    if options.interface == "wsgi":
        from .bridge import AsgiFromWsgi

        app, what = AsgiFromWsgi(app), "WSGI"
    else:
        app, version = as_asgi3(app, options.interface)
        what = f"ASGI {version}"
    print(f"interface  {what}", flush=True)
    return asyncio.run(try_out(options, around(options, app)))


async def try_out(options: Namespace, app: App) -> int:
    """Start an application, ask it for /, stop it; say how it went."""
    settings = replace(config.settings(options), access_log=False)
    server, transport = Server(app, settings), MemoryTransport()
    await server.lifespan.startup()
    transport.feed(b"GET / HTTP/1.0\r\nHost: localhost\r\n\r\n")
    task = server.attend(transport)
    await asyncio.wait({task}, timeout=EXAMINED)
    line = bytes(transport.sent).partition(b"\r\n")[0].decode()
    print(f"GET /      {line[9:] or 'no answer'}", flush=True)
    server.ending = True  # who is cancelled now is so because we end
    task.cancel()
    await asyncio.wait({task})
    await server.lifespan.shutdown()
    return 0 if line[9:10] in ("2", "3", "4") else 3


# From code.


async def serve(
    app: Any, host: str = "127.0.0.1", port: int = 8000, **settings: Any
) -> None:
    """Serve an application until a signal comes.

    app: an application or "module:attribute". settings: see Settings.

    Raises TargetError, CannotListen, StartupFailed.
    """
    server, sock = announced(app, host, port, settings)
    loop = asyncio.get_running_loop()
    with on_signals(lambda: loop.call_soon_threadsafe(server.stop)):
        try:
            await server.serve(sock)
        finally:
            listen.close(sock)


def announced(
    app: Any, host: str, port: int, settings: dict[str, Any]
) -> tuple[Server, socket]:
    """Return a server, and the socket that it shall serve; say so."""
    said = Settings(**settings)
    name, app, version = prepare(app)
    sock = listen.listen(host, port)
    if not log.hasHandlers():  # whose program this is has set up nothing
        config.set_up_logging("info", None)
    print_banner(sock, f"{name}  (ASGI {version})")
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
    asyncio.run(_serve_alone(*announced(app, host, port, settings)))


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
