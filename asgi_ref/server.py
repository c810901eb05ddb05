"""The server: accept, converse, and leave in good order.

    accept ─▶ converse: read a head ─▶ exchange ─▶ next cycle ─▶ read ...

A server owes its clients something when it is told to stop. Connections
that wait for a next request are closed at once. Requests in flight are
finished; an application that waits for its client is told that it is over;
all this in bounded time. Only then does the application shut down.

It knows no protocol but HTTP: handlers for others, such as WebSocket, are
handed in (`upgrades`) by whoever composes the server.

Source: RFC 9112, sections 9.3 to 9.6; ASGI lifespan protocol 2.0.
"""

from __future__ import annotations

import asyncio
import logging
import math
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass
from socket import socket
from typing import Any

from .connection import HEAD_LIMIT, Connection, Reading, Signal
from .contract import App, Receive, Scope, Send
from .exchange import Exchange, in_context
from .lifespan import Lifespan
from .request import ProtocolError, Request
from .response import Response, field_lines, http_date, status_line
from .scope import about_connection, http_scope
from .transport import READ_SIZE, StreamTransport, Transport, linger, sweep

log = logging.getLogger("asgi_ref")
access_log = logging.getLogger("asgi_ref.access")

DRAIN = 64 * 1024  # bytes of an unread body that a connection is worth
SWEEP_EVERY = 0.5  # seconds


@dataclass(frozen=True)
class Settings:
    """What can be chosen about a server; times are in seconds."""

    root_path: str = ""
    lifespan: str = "auto"
    backlog: int = 2048
    limit_head: int = HEAD_LIMIT
    limit_concurrency: int | None = None
    timeouts: bool = True
    timeout_header: float = 10.0
    timeout_keep_alive: float = 5.0
    timeout_graceful_shutdown: float = 5.0
    access_log: bool = True
    date_header: bool = True
    server_header: bool = True
    headers: tuple[tuple[bytes, bytes], ...] = ()
    ws_max_size: int = 16 * 1024 * 1024
    ws_ping_interval: float = 20.0
    ws_ping_timeout: float = 20.0
    ws_per_message_deflate: bool = True


class Conversation:
    """One client's connection: its requests, one after the other.

    exchange: the one under way, or None. runner: the task that owns the
    connection. told: what every scope of this connection says alike.
    """

    __slots__ = (
        *("app", "connection", "exchange", "request_time", "runner"),
        *("server", "told", "transport"),
    )

    def __init__(self, server: Server, transport: Transport) -> None:
        self.server = server
        self.transport = transport
        self.connection = Connection(server.settings.limit_head)
        self.exchange: Exchange | None = None
        self.runner: asyncio.Task[None] | None = None
        self.request_time = 0.0
        self.app = server.app_now()
        self.told = about_connection(
            transport.client,
            transport.server,
            root_path=server.settings.root_path.rstrip("/"),
        )

    async def run(self, before: Exchange | None = None) -> None:
        """Converse until the connection ends, then close it.

        `before` is the exchange after which this task takes over.
        """
        self.runner = task = asyncio.current_task()
        try:
            await self._converse(before)
        except asyncio.CancelledError:
            if self.runner is task:
                self.transport.abort()
            raise
        finally:
            if self.runner is task:
                await self.transport.close()
                self.server.conversations.discard(self)

    async def _converse(self, before: Exchange | None) -> None:
        connection, transport = self.connection, self.transport
        own_lines = self.server.own_lines
        finished = self.log_access if self.server.logs_access else None
        goes_on = before is None or await self._settle(before)
        before = None
        while goes_on and (request := await self._next_request()):
            if b"upgrade" in request.fields and self.app is not overloaded:
                handler = self.server.upgrade_handler(request)
                if handler is not None:
                    return await handler(self, request)
            exchange = Exchange(connection, transport, own_lines, finished)
            self.exchange = exchange
            scope = http_scope(request, self.told, self.server.lifespan.state)
            await in_context(exchange.run(self.app, scope), self._app_waits)
            if self.exchange is not exchange:
                return  # another task has gone on with the connection
            if exchange.listened or connection.reading is Reading.BODY:
                goes_on = await self._settle(exchange)
            else:
                goes_on = connection.next_cycle()
            self.exchange = None
            # An idle connection waits for minutes: it should hold nothing.
            del request, exchange, scope
        if not connection.read_out:
            await linger(transport)

    async def _next_request(self) -> Request | None:
        """Return the next request; None if there is none."""
        settings, connection = self.server.settings, self.connection
        try:
            if not connection.buffer:
                self.transport.allow(settings.timeout_keep_alive)
                connection.receive_data(await self.transport.read())
            event = connection.next_event()
            if event is Signal.NEED_DATA:
                event = await self._rest_of_head()
        except TimeoutError:
            if connection.begun:
                connection.fail()
                await self._refuse(408, "the head took too long")
            return None
        except ProtocolError as error:
            await self._refuse(error.status, str(error))
            return None
        self.transport.deadline = math.inf
        self.request_time = time.perf_counter()
        return event if isinstance(event, Request) else None

    async def _rest_of_head(self) -> Request | bytes | Signal:
        self.transport.allow(self.server.settings.timeout_header)
        event: Request | bytes | Signal = Signal.NEED_DATA
        while event is Signal.NEED_DATA:
            self.connection.receive_data(await self.transport.read())
            event = self.connection.next_event()
        return event

    async def _refuse(self, status: int, reason: str) -> None:
        log.warning("%s  %d, %s", self.peer, status, reason)
        exchange = Exchange(
            self.connection, self.transport, self.server.own_lines
        )
        await exchange.refuse(status, reason)

    def _app_waits(self) -> None:
        """Let the client not wait with the application.

        When the application waits although its answer is complete, as in a
        background task, a new task goes on with the connection, and this
        one stays with the application.
        """
        exchange = self.exchange
        mine = self.runner is asyncio.current_task()
        if mine and exchange and (exchange.written or exchange.gone):
            self.exchange = None
            self.runner = self.server.spawn(self.run(exchange))

    async def _settle(self, exchange: Exchange) -> bool:
        """Make ready for the next request; False if there can be none."""
        await exchange.release()
        self.exchange = None
        if self.connection.reading is Reading.BODY:
            await self._drain()
        return self.connection.next_cycle()

    async def _drain(self) -> None:
        """Read what is left of a body, if the connection is worth it."""
        connection, left = self.connection, DRAIN
        self.transport.allow(self.server.settings.timeout_header)
        with suppress(ProtocolError, TimeoutError):
            while connection.keep_alive and left > 0:
                event = connection.next_event()
                if event is Signal.END_OF_BODY:
                    break
                if event is Signal.NEED_DATA:
                    connection.receive_data(await self.transport.read())
                elif isinstance(event, bytes):
                    left -= len(event)

    def leave(self) -> None:
        """The server stops: end when the exchange under way is complete."""
        self.connection.keep_alive = False
        if self.exchange is not None:
            self.exchange.tell_end()
        elif not self.connection.begun:
            self.transport.interrupt()

    @property
    def peer(self) -> str:
        """Who is there, for the log."""
        client = self.transport.client
        if client is None:
            return "unix socket"
        host, port = client
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def log_access(self, exchange: Exchange) -> None:
        """Write a line about an exchange that is complete."""
        status = status_line(exchange.status)[9:-2].decode()
        took = 1000 * (time.perf_counter() - self.request_time)
        access_log.info(
            "%s  %s  %s  %d B  %.1f ms",
            *(self.peer, self.connection.request.label),
            *(status, exchange.sent, took),
        )


Upgrade = Callable[[Conversation, Request], Awaitable[None]]


class Server:
    """Serves one application on one listening socket.

    upgrades: protocol name in lower case (b"websocket") to the handler that
    takes the conversation over when a client asks for that protocol.
    """

    def __init__(
        self,
        app: App,
        settings: Settings | None = None,
        upgrades: Mapping[bytes, Upgrade] | None = None,
    ) -> None:
        self.app = app
        self.settings = settings or Settings()
        self.lifespan = Lifespan(app, self.settings.lifespan)
        self.conversations: set[Conversation] = set()
        self.logs_access = False
        self._upgrades = upgrades or {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.ready = asyncio.Event()
        self._stop = asyncio.Event()
        self._force = asyncio.Event()
        self._second = 0
        self._own_lines = b""
        self._extra_lines = field_lines(self.settings.headers)

    async def serve(self, sock: socket) -> None:
        """Start the application, serve until told to stop, stop it.

        Raises StartupFailed; then nothing was served.
        """
        # In a young process glibc maps and unmaps the memory for each read
        # anew; once a large block was freed it keeps what it has.
        bytearray(1 << 20)
        self.logs_access = (
            self.settings.access_log and access_log.isEnabledFor(logging.INFO)
        )
        await self._until(self._stop, self.lifespan.startup())
        if self._stop.is_set():
            return await self._shut_down()
        listener = await asyncio.start_server(
            self._accepted,
            sock=sock,
            limit=READ_SIZE,
            backlog=self.settings.backlog,
        )
        sweeper = asyncio.create_task(self._sweep())
        self.ready.set()
        try:
            await self._stop.wait()
        finally:
            listener.close()
            await self._shut_down()
            sweeper.cancel()

    def stop(self) -> None:
        """Stop in good order; the second time: stop now."""
        if self._stop.is_set():
            self._force.set()
        self._stop.set()

    def _accepted(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.attend(StreamTransport(reader, writer))

    def attend(self, transport: Transport) -> asyncio.Task[None]:
        """Serve one client in a task that ends with its connection."""
        conversation = Conversation(self, transport)
        self.conversations.add(conversation)
        return self.spawn(conversation.run())

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run something in a task that shutdown waits for."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    # What a conversation asks.

    def own_lines(self, response: Response) -> bytes:
        """Return the field lines that the server adds to a response."""
        if response.given:
            return self._make_lines(response.given)
        if self._second != int(time.time()):
            # Formatting the date anew each time would cost a quarter more.
            self._own_lines = self._make_lines()
            self._second = int(time.time())
        return self._own_lines

    def _make_lines(self, given: tuple[bytes, ...] = ()) -> bytes:
        lines = self._extra_lines
        if self.settings.server_header and b"server" not in given:
            lines = b"server: asgi_ref\r\n" + lines
        if self.settings.date_header and b"date" not in given:
            lines = b"date: %b\r\n%b" % (http_date(time.time()), lines)
        return lines

    def app_now(self) -> App:
        """Return the application, or its stand-in when there are too many."""
        limit = self.settings.limit_concurrency
        full = limit is not None and len(self.conversations) >= limit
        return overloaded if full else self.app

    def upgrade_handler(self, request: Request) -> Upgrade | None:
        """Return the handler for a protocol that the client asks for."""
        for protocol in request.upgrade:
            if protocol in self._upgrades:
                return self._upgrades[protocol]
        return None

    # Time limits and the end.

    async def _sweep(self) -> None:
        while self.settings.timeouts:
            await asyncio.sleep(SWEEP_EVERY)
            if not debugged():  # nobody is quick in a debugger
                transports = [c.transport for c in self.conversations]
                sweep(transports, time.monotonic())

    async def _shut_down(self) -> None:
        for conversation in list(self.conversations):
            conversation.leave()
        if self._tasks:
            await self._wait_for_tasks()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=1)
        self._force.clear()
        await self._until(self._force, self.lifespan.shutdown())

    async def _wait_for_tasks(self) -> None:
        limit = self.settings.timeout_graceful_shutdown
        busy = [c for c in self.conversations if c.exchange is not None]
        behind = len(self._tasks) - len(self.conversations)
        names = [c.connection.request.label for c in busy]
        names += [f"{behind} background"] if behind > 0 else []
        if names:
            what = ", ".join(names)
            log.info("stopping  waiting up to %g s for %s", limit, what)
        tasks = asyncio.wait(set(self._tasks), timeout=limit)
        await self._until(self._force, tasks)

    async def _until(
        self, event: asyncio.Event, work: Coroutine[Any, Any, object]
    ) -> None:
        """Wait for work to be done, but no longer than until the event."""
        task = asyncio.create_task(work)
        stop = asyncio.create_task(event.wait())
        try:
            await asyncio.wait({task, stop}, return_when="FIRST_COMPLETED")
        finally:
            stop.cancel()
            task.cancel()
        if task.done():
            task.result()


def debugged() -> bool:
    """Say whether a debugger is attached, in either of Python's two ways."""
    if sys.gettrace() is not None:
        return True
    monitoring: Any = getattr(sys, "monitoring", None)  # since Python 3.12
    return bool(monitoring and monitoring.get_tool(monitoring.DEBUGGER_ID))


async def overloaded(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer 503: the application in place of the real one under load."""
    headers = [(b"content-type", b"text/plain"), (b"retry-after", b"1")]
    headers += [(b"connection", b"close")]
    start = {"type": "http.response.start", "status": 503, "headers": headers}
    await send(start)
    await send({"type": "http.response.body", "body": b"Too many connections"})


def on_signals(stop: Callable[[], None]) -> None:
    """Call `stop` in the running loop on Ctrl+C and on SIGTERM."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        try:
            loop.add_signal_handler(number, stop)
        except NotImplementedError:  # Windows
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop))
