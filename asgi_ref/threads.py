"""A server that blocks: one thread for each connection.

    accept ─▶ a thread: read ─▶ application ─▶ write ─▶ read ...

Each line waits until it is done: `recv` until bytes arrive, `sendall` until
the kernel has taken them, the application until it returns. That is easy to
read and easy to debug, and it is why each client that waits costs a thread.

There are only so many threads. When all are taken, a connection that waits
for its client's next request is ended to make room; if there is none, the
newcomer is told 503 instead of being left to wait.

It drives the same Connection as the asyncio server does, and a WSGI
application through a Gateway. It knows nothing of asyncio, nor of ASGI.

Source: RFC 9112, section 9; Python library reference, `socket`.
"""

from __future__ import annotations

import logging
import select
import socket
import struct
import time
from contextlib import suppress
from threading import BoundedSemaphore, Thread

from .connection import HEAD_LIMIT, Connection, Reading, Signal
from .request import ProtocolError, Request
from .response import Response, http_date, status_line
from .wsgi import App, Gateway, Pairs, make_environ

log = logging.getLogger("asgi_ref")
access_log = logging.getLogger("asgi_ref.access")

READ_SIZE = 64 * 1024
DRAIN = 64 * 1024  # bytes of an unread body that a connection is worth
STALLED = 60.0  # seconds without progress, in the middle of a message
ROOM = 1.0  # seconds that a newcomer waits for an idle connection to end
PLAIN_TEXT = (b"content-type", b"text/plain; charset=utf-8")


class ClientGone(ConnectionError):
    """Nobody reads any more; the application need not go on."""


class Conversation:
    """One client's connection, in a thread of its own.

    It is the Outlet of the gateways through which it calls the application.
    idle: it waits for a next request.
    """

    def __init__(self, server: Server, sock: socket.socket) -> None:
        self.server, self.sock = server, sock
        self.connection = Connection(server.limit_head)
        self.idle = False
        self.client = address(sock.getpeername())
        self._response = Response(500)
        self._head = b""
        self._sent = 0

    def run(self) -> None:
        """Answer requests until the connection ends, then close it."""
        with self.sock, suppress(OSError):  # clients come and go
            while request := self._next_request():
                self._answer(request)
                self._drain()
                if not self.connection.next_cycle():
                    break
            if not self.connection.read_out:
                self._linger()

    # From the client.

    def _next_request(self) -> Request | None:
        connection = self.connection
        try:
            if not connection.buffer:
                self.idle = True
                self.sock.settimeout(self.server.timeout_keep_alive)
                connection.receive_data(self.sock.recv(READ_SIZE))
                self.idle = False
            event = self._next_event(self.server.timeout_header)
        except TimeoutError:
            if connection.begun:
                connection.fail()
                self._refuse(408, "the head took too long")
            return None
        except ProtocolError as error:
            self._refuse(error.status, str(error))
            return None
        return event if isinstance(event, Request) else None

    def _next_event(self, seconds: float) -> Request | bytes | Signal:
        """Return the next event, whole within so many seconds."""
        deadline = time.monotonic() + seconds
        event = self.connection.next_event()
        while event is Signal.NEED_DATA:
            self.sock.settimeout(max(deadline - time.monotonic(), 0.001))
            self.connection.receive_data(self.sock.recv(READ_SIZE))
            event = self.connection.next_event()
        return event

    def _read_body(self) -> bytes:
        """Return the body's next bytes, b"" at its end.

        Raises ClientGone, ProtocolError.
        """
        if interim := self.connection.send_continue():
            self._send(interim)
        try:
            event = self._next_event(STALLED)
        except OSError as error:
            raise ClientGone("the client left inside its body") from error
        return event if isinstance(event, bytes) else b""

    def _drain(self) -> None:
        """Read what is left of a body, if the connection is worth it."""
        left = DRAIN
        with suppress(ProtocolError, TimeoutError):
            while self.connection.keep_alive and left > 0:
                if self.connection.reading is not Reading.BODY:
                    break
                event = self._next_event(self.server.timeout_header)
                left -= len(event) if isinstance(event, bytes) else 0

    def _linger(self) -> None:
        """Let the client read our last words: RFC 9112, section 9.6."""
        self.sock.shutdown(socket.SHUT_WR)
        self.sock.settimeout(2.0)
        while self.sock.recv(READ_SIZE):
            pass

    # To the application, and to the client.

    def _answer(self, request: Request) -> None:
        began = time.perf_counter()
        self._sent = 0
        self.sock.settimeout(STALLED)
        environ = make_environ(
            request,
            self._read_body,
            self.client,
            self.server.address,
            self.server.root_path,
        )
        gateway = Gateway(self)
        try:
            gateway.run(self.server.app, environ)
        except ClientGone:
            raise
        except Exception as error:
            self._failed(error, gateway.started)
        self._log_access(request, began)

    def _failed(self, error: Exception, started: bool) -> None:
        if isinstance(error, ProtocolError) and not started:
            return self._refuse(error.status, str(error))
        log.error("%s: %s", type(error).__name__, error, exc_info=error)
        if not started or self._head:
            return self._refuse(500, "Internal Server Error")
        # A reset: the client must not take what it has for all of it.
        reset = struct.pack("ii", 1, 0)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
        raise ClientGone("cut, after the application failed")

    def _refuse(self, status: int, reason: str) -> None:
        self.connection.keep_alive = False
        self.connection.take_back()
        self._head = b""
        data = reason.encode()
        self.start(status, [PLAIN_TEXT], len(data))
        self.write(data)
        self.end()

    def start(self, status: int, headers: Pairs, whole: int | None) -> None:
        """Take a response's head; see Outlet."""
        if self.server.full or self.server.stopping:
            self.connection.keep_alive = False
        response = self._response = Response(status, headers)
        lines = self.server.own_lines(response)
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
        try:
            if data:
                self.sock.sendall(data)
        except OSError as error:
            raise ClientGone("the client has gone") from error
        self._head = b""

    def _log_access(self, request: Request, began: float) -> None:
        if not access_log.isEnabledFor(logging.INFO):
            return
        status = status_line(self._response.status)[9:-2].decode()
        took = 1000 * (time.perf_counter() - began)
        peer = ":".join(map(str, self.client or ["unix socket"]))
        access_log.info(
            "%s  %s  %s  %d B  %.1f ms",
            *(peer, request.label, status, self._sent, took),
        )


class Server:
    """Serves a WSGI application on one listening socket, with threads.

    threads: how many connections there may be at a time. Times in seconds.
    """

    def __init__(
        self,
        app: App,
        threads: int = 8,
        root_path: str = "",
        limit_head: int = HEAD_LIMIT,
        timeout_header: float = 10.0,
        timeout_keep_alive: float = 5.0,
        timeout_graceful_shutdown: float = 5.0,
    ) -> None:
        self.app = app
        self.root_path = root_path.rstrip("/")
        self.limit_head = limit_head
        self.timeout_header = timeout_header
        self.timeout_keep_alive = timeout_keep_alive
        self.timeout_graceful_shutdown = timeout_graceful_shutdown
        self.address = ("localhost", 80)
        self.conversations: dict[Conversation, Thread] = {}
        self.stopping = False
        self._threads = threads
        self._slots = BoundedSemaphore(threads)
        self._wakes, self._waker = socket.socketpair()
        self._second, self._lines = 0, b""

    @property
    def full(self) -> bool:
        """Whether every thread is taken."""
        return len(self.conversations) >= self._threads

    def serve(self, sock: socket.socket) -> None:
        """Accept connections until `stop`, then finish what was begun."""
        self.address = address(sock.getsockname()) or self.address
        with sock:
            while not self.stopping:
                ready, _, _ = select.select([sock, self._wakes], [], [])
                if sock in ready:
                    self._accept(sock.accept()[0])
        self._shut_down()

    def stop(self) -> None:
        """Stop in good order; the second time: stop now."""
        if self.stopping:
            for conversation in list(self.conversations):
                shut(conversation.sock, socket.SHUT_RDWR)
        self.stopping = True
        self._waker.send(b"!")

    def _accept(self, client: socket.socket) -> None:
        if not self._has_room():
            return refuse(client)
        conversation = Conversation(self, client)
        thread = Thread(target=self._run, args=[conversation], daemon=True)
        self.conversations[conversation] = thread
        thread.start()

    def _has_room(self) -> bool:
        if self._slots.acquire(blocking=False):
            return True
        for conversation in list(self.conversations):
            if conversation.idle:
                shut(conversation.sock, socket.SHUT_RD)
                return self._slots.acquire(timeout=ROOM)
        return False

    def _run(self, conversation: Conversation) -> None:
        try:
            conversation.run()
        finally:
            del self.conversations[conversation]
            self._slots.release()

    def _shut_down(self) -> None:
        deadline = time.monotonic() + self.timeout_graceful_shutdown
        for conversation in list(self.conversations):
            if conversation.idle:
                shut(conversation.sock, socket.SHUT_RD)
        for thread in list(self.conversations.values()):
            thread.join(max(deadline - time.monotonic(), 0))

    def own_lines(self, response: Response) -> bytes:
        """Return the field lines that the server adds to a response."""
        if self._second != int(time.time()):
            self._second = int(time.time())
            self._lines = b"date: %b\r\n" % http_date(self._second)
        lines = b"" if b"date" in response.given else self._lines
        if b"server" not in response.given:
            lines += b"server: asgi_ref\r\n"
        return lines


def refuse(client: socket.socket) -> None:
    """Say that there is no thread to answer, and close."""
    answer = status_line(503) + b"retry-after: 1\r\nconnection: close\r\n"
    with client, suppress(OSError):
        client.settimeout(0.1)
        client.sendall(answer + b"content-length: 0\r\n\r\n")
        client.shutdown(socket.SHUT_WR)
        client.recv(READ_SIZE)  # its request: closing unread would reset


def shut(sock: socket.socket, how: int) -> None:
    """End a socket that another thread waits for; that thread closes it."""
    with suppress(OSError):
        sock.shutdown(how)


def address(name: object) -> tuple[str, int] | None:
    """Return a socket's name as (host, port); None for a unix socket."""
    return (name[0], name[1]) if isinstance(name, tuple) else None
