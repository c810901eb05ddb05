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
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import copy_context
from dataclasses import dataclass
from functools import update_wrapper
from socket import socket
from typing import Any, Protocol

from .connection import HEAD_LIMIT, Connection, Reading, Signal, Writing
from .contract import App, Receive, Scope, Send
from .exchange import Exchange, in_context
from .lifespan import Lifespan
from .listen import peer
from .request import ProtocolError, Request
from .response import OwnLines, Response, status_line
from .scope import about_connection, http_scope
from .transport import (
    READ_SIZE,
    STALLED,
    StreamTransport,
    Transport,
    linger,
    sweep,
)

log = logging.getLogger("asgi_ref")
access_log = logging.getLogger("asgi_ref.access")

DRAIN = 64 * 1024  # bytes of an unread body that a connection is worth
SWEEP_EVERY = 0.5  # seconds
ACCEPTS = 32  # clients that asyncio accepts at a time, at most
ACCEPT_TURNS = 4  # of the loop, until we are told of a client
FIRST_WORDS = 0.5  # seconds for a client that came just before the end
LAST_WORDS = 1.0  # seconds for an application that was cancelled
ENDING = (signal.SIGINT, signal.SIGTERM)

Event = Request | bytes | Signal


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
    counts: it takes a place, see Settings.limit_concurrency.
    """

    __slots__ = (
        *("app", "connection", "counts", "exchange", "request_time"),
        *("runner", "server", "told", "transport"),
    )

    def __init__(self, server: Server, transport: Transport) -> None:
        self.server = server
        self.transport = transport
        limit = server.settings.limit_head
        scheme = "https" if server.tls else "http"
        self.connection = Connection(limit, scheme.encode())
        self.exchange: Exchange | None = None
        self.request_time = 0.0
        self.app = server.app_now()
        self.counts = self.app is not overloaded
        if server.tls:
            about = server.tls.about(transport.tls)
            self.app = with_extension(self.app, "tls", about)
        self.told = about_connection(
            transport.client,
            transport.server,
            scheme,
            server.settings.root_path.rstrip("/"),
        )

    async def run(self, before: Exchange | None = None) -> None:
        """Converse until the connection ends, then close it.

        `before` is the exchange after which this task takes over.
        """
        task = asyncio.current_task()
        assert task is not None
        self.runner: asyncio.Task[Any] = task
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
        own_lines, state = self.server.own_lines, self.server.lifespan.state
        ends, waits = self.server.ends, self._app_waits
        finished = (self.log_access,) if self.server.logs_access else ()
        goes_on = before is None or await self._settle(before)
        before = None
        while goes_on and (request := await self._next_request()):
            if b"upgrade" in request.fields and self.counts:
                handler = self.server.upgrade_handler(request)
                if handler is not None:
                    return await handler(self, request)
            exchange = Exchange(connection, transport, own_lines, finished)
            self.exchange = exchange
            scope = http_scope(request, self.told, state)
            await in_context(exchange.run(self.app, scope, ends), waits)
            if self.exchange is not exchange:
                return  # another task has gone on with the connection
            while self.runner.cancelling():
                self.runner.uncancel()  # what the app has done to its task
            if exchange.listened or not connection.next_cycle():
                goes_on = await self._settle(exchange)
            self.exchange = None
            # An idle connection waits for minutes: it should hold nothing.
            del request, exchange, scope
        # Between two requests there is no answer that could be lost.
        idle = connection.writing is Writing.NOTHING
        if not idle and not connection.read_out:
            await self.linger()

    async def _next_request(self) -> Request | None:
        """Return the next request; None if there is none."""
        settings, connection = self.server.settings, self.connection
        try:
            if not connection.buffer:
                self.transport.allow(settings.timeout_keep_alive)
                connection.receive_data(await self.transport.read())
            event = connection.next_event()
            if not isinstance(event, Request):
                event = await self._rest_of_head(event)
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

    async def _rest_of_head(self, event: Event) -> Event:
        self.transport.allow(self.server.settings.timeout_header)
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
        if exchange is None or self.runner is not asyncio.current_task():
            return
        if exchange.written or exchange.gone:
            self._hand_over(exchange)
        elif self._written_elsewhere not in exchange.finished:
            exchange.finished += (self._written_elsewhere,)

    def _written_elsewhere(self, exchange: Exchange) -> None:
        # The application waits for a task of its own, which has answered.
        theirs = self.runner is not asyncio.current_task()
        if theirs and self.exchange is exchange:  # not handed over before
            self._hand_over(exchange)

    def _hand_over(self, exchange: Exchange) -> None:
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

    async def linger(self) -> None:
        """See transport.linger; the client takes nobody's place any more."""
        self.counts = False
        await linger(self.transport)

    def leave(self) -> None:
        """The server stops: end when the exchange under way is complete.

        An application that has nothing to finish is told at once: it waits
        for its client and does nothing else, or its answer never ends. Many
        frameworks listen beside their work, and would drop that.
        """
        self.connection.keep_alive = False
        exchange = self.exchange
        if exchange is None and self.request_time == 0.0:
            # Its first request may be on the way, and was asked of us alone.
            asyncio.get_running_loop().call_later(FIRST_WORDS, self._hang_up)
        elif exchange is None:
            self._hang_up()
        elif exchange.endless or exchange.listener is self.runner:
            exchange.tell_end()

    def _hang_up(self) -> None:
        if self.exchange is None and not self.connection.begun:
            self.transport.interrupt()

    @property
    def peer(self) -> str:
        """Who is there, for the log."""
        return peer(self.transport.client)

    def log_access(self, exchange: Exchange, status: int = 0) -> None:
        """Write a line about an exchange that is complete.

        status: if it is not that of the exchange's response.
        """
        status = status or exchange.status
        answer = status_line(status)[9:-2].decode() if status else "no answer"
        took = 1000 * (time.perf_counter() - self.request_time)
        size = 0 if self.connection.silent else exchange.sent
        access_log.info(
            "%s  %s  %s  %d B  %.1f ms%s",
            *(self.peer, self.connection.request.label, answer, size, took),
            f"  ({exchange.cut})" if exchange.cut else "",
        )


Upgrade = Callable[[Conversation, Request], Awaitable[None]]
MakeTransport = Callable[
    [asyncio.StreamReader, asyncio.StreamWriter], Transport
]


class Tls(Protocol):
    """What a server must be given to speak TLS."""

    context: Any  # an ssl.SSLContext; importing ssl takes its time

    def about(self, session: Any) -> dict[str, Any]:
        """Return what an application is told of an ssl.SSLObject."""


class Server:
    """Serves one application on one listening socket.

    upgrades: protocol name in lower case (b"websocket") to the handler that
    takes the conversation over when a client asks for that protocol.
    transport: makes a transport out of a client's two streams. tls: how to
    speak TLS; without it we do not.
    """

    def __init__(
        self,
        app: App,
        settings: Settings | None = None,
        upgrades: Mapping[bytes, Upgrade] | None = None,
        transport: MakeTransport = StreamTransport,
        tls: Tls | None = None,
    ) -> None:
        self.app = app
        self.settings = settings or Settings()
        self.lifespan = Lifespan(app, self.settings.lifespan)
        self.conversations: set[Conversation] = set()
        self.logs_access = False
        self.tls = tls
        self._upgrades, self._transport = upgrades or {}, transport
        self._tasks: set[asyncio.Task[None]] = set()
        self._forget = self._tasks.discard  # one for all tasks
        self._context = copy_context()
        self._serving: asyncio.Task[Any] | None = None
        self._cancelled = 0  # how often that was so before
        self.ending = False
        self.ready = asyncio.Event()
        self._stop = asyncio.Event()
        self._force = asyncio.Event()
        self._own = OwnLines(
            self.settings.headers,
            self.settings.date_header,
            self.settings.server_header,
        )

    async def serve(self, sock: socket) -> None:
        """Start the application, serve until told to stop, stop it.

        Raises StartupFailed; then nothing was served.
        """
        self._serving = serving = asyncio.current_task()
        self._cancelled = serving.cancelling() if serving else 0
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
            backlog=ACCEPTS,
            **self._secured(),
        )
        sock.listen(self.settings.backlog)  # asyncio has set it to its own
        sweeper = asyncio.create_task(self._sweep())
        self.ready.set()
        try:
            await self._stop.wait()
        finally:
            try:
                await self._stop_accepting(listener, sock)
                await self._shut_down()
            finally:
                sweeper.cancel()
                self._cancel_all()  # whoever waits for us was impatient

    def _secured(self) -> dict[str, Any]:
        """Return what asyncio must know to put TLS below our streams."""
        if self.tls is None:
            return {}
        limit = self.settings.timeout_header or SWEEP_EVERY
        return {
            "ssl": self.tls.context,
            "ssl_handshake_timeout": limit if self.settings.timeouts else 1e6,
            # What a slow client has not read by then is lost.
            "ssl_shutdown_timeout": STALLED,
        }

    async def _stop_accepting(
        self, listener: asyncio.Server, sock: socket
    ) -> None:
        """Take no more clients, and lose none of those that were taken.

        It takes some turns of the loop until we are told of a client. If
        the listener is closed meanwhile, asyncio may forget that client.
        """
        try:
            with suppress(NotImplementedError):  # Windows
                asyncio.get_running_loop().remove_reader(sock)
            for _ in range(ACCEPT_TURNS):
                await asyncio.sleep(0)
        finally:
            listener.close()

    def stop(self) -> None:
        """Stop in good order; the second time: stop now."""
        if self._stop.is_set():
            self._force.set()
        self._stop.set()

    def _accepted(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.attend(self._transport(reader, writer))

    def attend(self, transport: Transport) -> asyncio.Task[None]:
        """Serve one client in a task that ends with its connection."""
        conversation = Conversation(self, transport)
        self.conversations.add(conversation)
        if self._stop.is_set():
            conversation.leave()
        return self.spawn(conversation.run())

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run something in a task that shutdown waits for."""
        # Not in the context of an application that is just running.
        context = self._context.copy()
        task = asyncio.create_task(work, name="client", context=context)
        self._tasks.add(task)
        task.add_done_callback(self._forget)
        return task

    # What a conversation asks.

    def ends(self) -> bool:
        """Say whether whoever is cancelled now is so because we end.

        `asyncio.run` cancels all tasks when it ends, and us with them.
        """
        task, serving = asyncio.current_task(), self._serving
        if task is None or not task.cancelling():
            return False  # it is something else that was cancelled
        cancelled = serving.cancelling() if serving else 0
        return self.ending or cancelled > self._cancelled

    def own_lines(self, response: Response) -> bytes:
        """Return the field lines that the server adds to a response."""
        return self._own.at(int(time.time()), response.given)

    def app_now(self) -> App:
        """Return the application, or its stand-in when there are too many."""
        limit = self.settings.limit_concurrency
        if limit is None:
            return self.app
        served = sum(c.counts for c in self.conversations)
        return self.app if served < limit else overloaded

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
        limit = self.settings.timeout_graceful_shutdown
        for conversation in list(self.conversations):
            conversation.leave()
        if busy := self.busy():
            log.info("stopping  waiting up to %g s for %s", limit, busy)
        # Half of the time is for work, the other half to hear that it is over.
        await self._until(self._force, self._wait_for_tasks(limit / 2))
        for conversation in self.conversations:
            if conversation.exchange is not None:
                conversation.exchange.tell_end()
        await self._until(self._force, self._wait_for_tasks(limit / 2))
        self._cancel_all()
        await self._wait_for_tasks(LAST_WORDS)
        self._force.clear()
        await self._until(self._force, self.lifespan.shutdown())

    def _cancel_all(self) -> None:
        self.ending = True
        for task in self._tasks:
            task.cancel()

    def busy(self) -> str:
        """Say which requests and what work behind them is not done."""
        # A copy at once: it may be another thread that asks.
        busy = [c for c in list(self.conversations) if c.exchange is not None]
        behind = len(self._tasks) - len(self.conversations)
        names = [c.connection.request.label for c in busy]
        names += [f"{behind} background"] if behind > 0 else []
        return ", ".join(names)

    async def _wait_for_tasks(self, limit: float) -> None:
        """Wait until no task is left; one may leave another behind."""
        with suppress(TimeoutError):
            async with asyncio.timeout(limit):
                while self._tasks:
                    await asyncio.wait(set(self._tasks))

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


def with_extension(app: App, name: str, value: dict[str, Any]) -> App:
    """Return an application that is told of one more extension."""

    async def told(scope: Scope, receive: Receive, send: Send) -> None:
        scope["extensions"][name] = value.copy()
        await app(scope, receive, send)

    return update_wrapper(told, app, (), ())


async def overloaded(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer 503: the application in place of the real one under load."""
    headers = [(b"content-type", b"text/plain"), (b"retry-after", b"1")]
    headers += [(b"connection", b"close")]
    start = {"type": "http.response.start", "status": 503, "headers": headers}
    await send(start)
    await send({"type": "http.response.body", "body": b"Too many connections"})


# A process has one handler for each signal, however many servers are in it.
asked_to_stop: list[Callable[[], object]] = []
handlers_before: list[Any] = []


@contextmanager
def on_signals(call: Callable[[], object]) -> Iterator[None]:
    """Call something on Ctrl+C and on SIGTERM; then all is as it was before.

    It is called between two lines of whatever runs, as signal handlers are.
    Outside the main thread signals cannot be had.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    if not asked_to_stop:
        handlers_before[:] = [signal.signal(n, on_signal) for n in ENDING]
    asked_to_stop.append(call)
    try:
        yield
    finally:
        asked_to_stop.remove(call)
        if not asked_to_stop:
            for number, handler in zip(ENDING, handlers_before, strict=True):
                signal.signal(number, handler)


def on_signal(number: int, frame: object) -> None:
    """Tell all servers of this process."""
    for call in asked_to_stop:
        call()
