"""A server that blocks: one thread for each connection.

    accept ─▶ a thread: read ─▶ application ─▶ write ─▶ read ...

Each line waits until it is done: `recv` until bytes arrive, `sendall` until
the kernel has taken them, the application until it returns. That is easy to
read and easy to debug, and it is why each client that waits costs a thread.

There are only so many threads. When all are taken, a connection that waits
for its client's next request is ended to make room; if there is none, the
newcomer is told 503, after a moment, instead of being left to wait.

Nobody can interrupt a thread, but the socket that it waits for can be shut
down: then `recv` returns and `sendall` raises. Time limits, making room and
the end of the server are all done that way, by the thread that accepts. An
application that waits for something else is left behind when time is up.

It drives the same Connection as the asyncio server does, and calls a WSGI
application through a Gateway. It knows nothing of asyncio, nor of ASGI.

Source: RFC 9112, section 9; Python library reference, `socket`.
"""

from __future__ import annotations

import io
import logging
import math
import select
import socket
import struct
import time
from contextlib import suppress
from contextvars import Context
from dataclasses import dataclass
from threading import Semaphore, Thread

from .connection import HEAD_LIMIT, Connection, Reading, Signal, Writing
from .listen import peer
from .request import ProtocolError, Request
from .response import OwnLines, Response, status_line
from .wsgi import App, Gateway, Input, Pairs, about_connection, make_environ

log = logging.getLogger("asgi_ref")
access_log = logging.getLogger("asgi_ref.access")

THREADS = 40
PIECE = 64 * 1024  # bytes that are read or written at a time, at most
DRAIN = 64 * 1024  # bytes of an unread body that a connection is worth
STALLED = 60.0  # seconds without progress, in the middle of a message
LINGER = 2.0  # seconds for a client to read our last words
ROOM = 0.1  # seconds that a newcomer waits for another connection to end
SWEEP_EVERY = 0.5  # seconds
PLAIN_TEXT = (b"content-type", b"text/plain; charset=utf-8")


class ClientGone(ConnectionError):
    """Nobody reads any more; the application need not go on."""


class Conversation:
    """One client's connection, in a thread of its own.

    It is the Outlet of the gateways through which it calls the application.
    idle: it waits, and may be ended at any time. answered: it was useful
    already. over: nothing more of the response can reach the client.
    deadline: see Server.sweep.
    """

    def __init__(
        self, server: Server, sock: socket.socket, name: object
    ) -> None:
        self.server, self.sock = server, sock
        self.connection = Connection(server.limit_head)
        self.idle = self.answered = self.over = self._expired = False
        self.deadline, self._how = math.inf, socket.SHUT_RD
        client = address(name)
        self.peer = peer(client)
        self._told = about_connection(
            client,
            address(sock.getsockname()) or ("localhost", 80),
            script_name=server.root_path.rstrip("/"),
            multithread=server.threads > 1,
            multiprocess=server.multiprocess,
        )
        self._response = Response(500)
        self._head, self._sent = b"", 0

    def run(self) -> None:
        """Answer requests until the connection ends, then close it."""
        with self.sock, suppress(OSError):  # clients come and go
            while request := self._next_request():
                self._answer(request)
                self.answered = True
                if not self._goes_on():
                    break
            if not self.connection.read_out:
                self._linger()

    # Time limits.

    def _allow(self, seconds: float, how: int = socket.SHUT_RD) -> None:
        """Set the deadline, and how to shut the socket when it passes."""
        self.deadline = time.monotonic() + seconds
        self._how = how

    def expire(self) -> None:
        """The deadline has passed: let what waits for the client return."""
        self.deadline, self._expired = math.inf, True
        shut(self.sock, self._how)

    # From the client.

    def _next_request(self) -> Request | None:
        connection, server = self.connection, self.server
        try:
            if not connection.buffer:
                self._allow(server.timeout_keep_alive)
                self.idle = True  # from now on our socket may be shut
                if server.stopping:
                    return None
                self._read()
                self.idle = False
            self._allow(server.timeout_header)
            event = self._next_event()
        except ProtocolError as error:
            log.warning("%s  %d, %s", self.peer, error.status, error)
            self._refuse(error.status, str(error))
            return None
        return event if isinstance(event, Request) else None

    def _next_event(self) -> Request | bytes | Signal:
        event = self.connection.next_event()
        while event is Signal.NEED_DATA:
            self._read()
            event = self.connection.next_event()
        self.deadline = math.inf
        return event

    def _read(self) -> None:
        connection = self.connection
        data = self.sock.recv(PIECE)
        inside = connection.begun or connection.reading is Reading.BODY
        if self._expired and inside:
            connection.fail()
            raise ProtocolError(408, "the request took too long")
        connection.receive_data(data)

    def _read_body(self) -> bytes:
        """Return the body's next bytes, b"" at its end.

        Raises ClientGone.
        """
        if interim := self.connection.send_continue():
            self._send(interim)
        self._allow(STALLED)
        try:
            event = self._next_event()
        except ProtocolError as error:
            self._refuse(error.status, str(error))
            raise ClientGone(str(error)) from error
        return event if isinstance(event, bytes) else b""

    def _goes_on(self) -> bool:
        """Make ready for the next request; False if there can be none."""
        connection, left = self.connection, DRAIN
        until = time.monotonic() + self.server.timeout_header
        with suppress(ProtocolError):
            # Read what is left of a body, if the connection is worth it.
            while connection.reading is Reading.BODY and left > 0:
                if not connection.keep_alive:
                    break
                self.deadline, self._how = until, socket.SHUT_RD
                event = self._next_event()
                left -= len(event) if isinstance(event, bytes) else 0
        return connection.next_cycle()

    def _linger(self) -> None:
        """Let the client read our last words: RFC 9112, section 9.6."""
        self.sock.shutdown(socket.SHUT_WR)
        self._allow(LINGER)
        self.idle = self.answered = True
        while not self._expired and self.sock.recv(PIECE):
            pass

    # To the application, and to the client.

    def _answer(self, request: Request) -> None:
        began, self._sent = time.perf_counter(), 0
        body: io.BytesIO | io.BufferedReader = io.BytesIO()
        if self.connection.reading is Reading.BODY:
            body = io.BufferedReader(Input(self._read_body), PIECE)
        environ = make_environ(request, body, self._told)
        try:
            # What one request sets in context variables ends with it.
            Context().run(Gateway(self).run, self.server.app, environ)
        except BaseException as error:  # also sys.exit(): it ends nothing
            self._failed(error)
        if self.server.access_log:
            self._log_access(request, 1000 * (time.perf_counter() - began))

    def _failed(self, error: BaseException) -> None:
        said = f"{type(error).__name__}: {error}"
        if self.over:  # not an error: clients come and go
            log.info("the client left; the app said %s", said)
            return
        log.error("%s", said, exc_info=error)
        if self.connection.writing is not Writing.DONE:
            self._refuse(500, "Internal Server Error")

    def _refuse(self, status: int, reason: str) -> None:
        """Answer in the application's place, or cut what it began."""
        connection, data = self.connection, reason.encode()
        connection.keep_alive, self.over = False, True
        if connection.writing is Writing.BODY and not self._head:
            # A reset: the client must not take what it has for all of it.
            reset = struct.pack("ii", 1, 0)
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
            return self.sock.close()
        connection.take_back()
        self.start(Response(status, [PLAIN_TEXT]), [], len(data))
        self.write(data)
        self.end()

    def start(
        self, response: Response, headers: Pairs, whole: int | None
    ) -> None:
        """Take a response's head; it is sent with the first piece."""
        if self.server.stopping:
            self.connection.keep_alive = False
        self._response, lines = response, self.server.own_lines(response)
        self._head = self.connection.send_response(response, whole, lines)

    def write(self, data: bytes) -> None:
        """Send a piece of the body now. Raises BadResponse, ClientGone."""
        encoded = self.connection.send_data(data)
        self._sent += len(data)
        self._send(self._head + encoded)

    def end(self) -> None:
        """Send what is left to send. Raises BadResponse, ClientGone."""
        encoded = self.connection.send_data(b"", more=False)
        self._send(self._head + encoded)

    def _send(self, data: bytes) -> None:
        self._head = b""
        try:
            for start in range(0, len(data), PIECE):
                self._allow(STALLED, socket.SHUT_RDWR)
                self.sock.sendall(data[start : start + PIECE])
        except OSError as error:
            self.connection.keep_alive, self.over = False, True
            raise ClientGone("the client has gone") from error
        self.deadline = math.inf

    def _log_access(self, request: Request, took: float) -> None:
        status = status_line(self._response.status)[9:-2].decode()
        access_log.info(
            "%s  %s  %s  %d B  %.1f ms",
            *(self.peer, request.label, status, self._sent, took),
        )


@dataclass(eq=False)
class Server:
    """Serves a WSGI application on one listening socket, with threads.

    threads: how many connections there may be at a time. multiprocess: other
    processes serve the same application. The others mean what they mean on
    the command line; times are in seconds.
    """

    app: App
    threads: int = THREADS
    multiprocess: bool = False
    root_path: str = ""
    limit_head: int = HEAD_LIMIT
    timeouts: bool = True
    timeout_header: float = 10.0
    timeout_keep_alive: float = 5.0
    timeout_graceful_shutdown: float = 5.0
    access_log: bool = True
    date_header: bool = True
    server_header: bool = True
    headers: tuple[tuple[bytes, bytes], ...] = ()

    def __post_init__(self) -> None:
        self.conversations: set[Conversation] = set()
        self.stopping = self._forced = False
        self._slots = Semaphore(self.threads)
        self._wakes, self._waker = socket.socketpair()
        self._own = OwnLines(
            self.headers, self.date_header, self.server_header
        )

    def serve(self, sock: socket.socket) -> None:
        """Accept connections until `stop`, then finish what was begun."""
        self.access_log &= access_log.isEnabledFor(logging.INFO)
        log.info("startup   up to %d threads", self.threads)
        sock.setblocking(False)  # who was ready may have gone again
        with sock, self._wakes, self._waker:
            while not self.stopping:
                if sock in self._wait(sock, self._wakes):
                    self._accept(sock)
            sock.close()
            self._shut_down()

    def _wait(self, *sockets: socket.socket) -> list[socket.socket]:
        """Return the sockets that are ready, after a sweep at the latest."""
        ready, _, _ = select.select(sockets, [], [], SWEEP_EVERY)
        if self.timeouts:
            self.sweep(time.monotonic())
        return ready

    def stop(self) -> None:
        """Stop in good order; the second time: stop now."""
        self._forced = self.stopping
        self.stopping = True
        self._wake()

    def _wake(self) -> None:
        with suppress(OSError):  # it has ended already
            self._waker.send(b"!")

    # Connections.

    def _accept(self, sock: socket.socket) -> None:
        try:
            client, name = sock.accept()
        except BlockingIOError:
            return
        except OSError as error:  # too many open files, for example
            log.error("accept    %s", error)
            # The client stays in the queue, and `select` would return at
            # once, again and again, until there is room for it.
            return time.sleep(SWEEP_EVERY)
        client.setblocking(True)
        if not self._has_room():
            return refuse(client)
        if isinstance(name, tuple):  # TCP, not a unix socket
            # Or the kernel holds a small piece back until the one before it
            # is acknowledged, which may take 40 ms.
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        conversation = Conversation(self, client, name)
        self.conversations.add(conversation)
        thread = Thread(target=self._run, args=[conversation], daemon=True)
        try:
            thread.start()
        except RuntimeError as error:  # the system has no thread left
            log.error("accept    %s", error)
            self._ended(conversation)
            refuse(client)

    def _has_room(self) -> bool:
        if self._slots.acquire(blocking=False):
            return True
        idle = [c for c in list(self.conversations) if c.idle and c.answered]
        if idle:
            shut(min(idle, key=lambda c: c.deadline).sock, socket.SHUT_RD)
        return self._slots.acquire(timeout=ROOM)

    def _run(self, conversation: Conversation) -> None:
        try:
            conversation.run()
        finally:
            self._ended(conversation)
            if self.stopping:
                self._wake()

    def _ended(self, conversation: Conversation) -> None:
        self.conversations.discard(conversation)
        self._slots.release()

    def sweep(self, now: float) -> None:
        """End what takes longer than it may."""
        for conversation in list(self.conversations):
            if conversation.deadline < now:
                conversation.expire()

    def _shut_down(self) -> None:
        limit = self.timeout_graceful_shutdown
        deadline = time.monotonic() + limit
        for conversation in list(self.conversations):
            if conversation.idle:
                shut(conversation.sock, socket.SHUT_RD)
        busy = [c for c in list(self.conversations) if not c.idle]
        if names := ", ".join(c.connection.request.label for c in busy):
            log.info("stopping  waiting up to %g s for %s", limit, names)
        while self.conversations and not self._forced:
            if time.monotonic() > deadline:
                break
            if self._wait(self._wakes):
                self._wakes.recv(PIECE)
        for conversation in list(self.conversations):
            shut(conversation.sock, socket.SHUT_RDWR)

    def own_lines(self, response: Response) -> bytes:
        """Return the field lines that the server adds to a response."""
        return self._own.at(int(time.time()), response.given)


def refuse(client: socket.socket) -> None:
    """Say that there is no thread to answer, and close."""
    answer = status_line(503) + b"retry-after: 1\r\nconnection: close\r\n"
    with client, suppress(OSError):
        client.settimeout(0.1)
        client.sendall(answer + b"content-length: 0\r\n\r\n")
        client.shutdown(socket.SHUT_WR)
        client.recv(PIECE)  # its request: closing unread would reset


def shut(sock: socket.socket, how: int) -> None:
    """Let what another thread does with a socket return; it closes it."""
    with suppress(OSError):  # it is closed, or the client has gone
        sock.shutdown(how)


def address(name: object) -> tuple[str, int] | None:
    """Return a socket's name as (host, port); None for a unix socket."""
    return (name[0], name[1]) if isinstance(name, tuple) else None
