"""An exchange: one request, one response, and the application between them.

A WSGI application returns its response: by then it must know all of it, and
while it makes it, it cannot listen. An ASGI application gets two functions
instead. `receive` waits for the next message of the client, `send` passes a
message on, in any order that the tables of `contract` allow.

    request ─▶ http_scope ─▶ app(scope, receive, send) ─▶ response

What happens when the application does not keep to it:

    it raises before anything was written   500, and a traceback in the log
    it raises after that                    the connection is cut
    it returns without an answer            500
    it sends after the client has gone      ClientDisconnected, an OSError

It reads and writes through a transport, one exchange at a time. It does not
know about sockets, or how connections come and go (server).

Source: ASGI HTTP message format 2.5.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import types
from collections.abc import Callable, Coroutine, Generator
from contextlib import suppress
from contextvars import copy_context
from typing import Any, BinaryIO

from .connection import NO_RESPONSE, Connection, Reading, Signal
from .contract import (
    HTTP,
    App,
    ClientDisconnected,
    Message,
    Scope,
    check,
    defined,
    place,
)
from .request import ProtocolError
from .response import Response, field_lines
from .transport import STALLED, Transport

log = logging.getLogger("asgi_ref")

READ_AHEAD = 64 * 1024  # bytes of pipelined requests kept for later
PATIENCE = 64  # times that an application may be told in a row of the end
PLAIN_TEXT = (b"content-type", b"text/plain; charset=utf-8")

OwnLines = Callable[[Response], bytes]
Finished = Callable[["Exchange"], None]
Ends = Callable[[], bool]


class Exchange:
    """`receive` and `send` for one request.

    own_lines: returns the server's field lines, such as Date, for a
    response. finished: called one after the other when the response is
    over, whole or cut.

    state: see contract.HTTP.order. sent: bytes of body. gone: nothing can
    reach the client any more. written: the network has taken the whole
    response. listened: the application has called `receive`. listener: the
    task that waits in it for the end. cut: why a response is not whole.
    """

    # What many exchanges never set. All else is set for each one: Python is
    # faster at an object's own attributes than at those of its class.
    _response = NO_RESPONSE
    _body_told = _reads = False
    _told = 0
    _trailers: tuple[Any, ...] = ()
    _file: BinaryIO | None = None
    _turn: asyncio.Lock | None = None
    _ended: asyncio.Event | None = None
    _watcher: asyncio.Task[None] | None = None
    listener: asyncio.Task[Any] | None = None
    cut = ""

    def __init__(
        self,
        connection: Connection,
        transport: Transport,
        own_lines: OwnLines = lambda response: b"",
        finished: tuple[Finished, ...] = (),
    ) -> None:
        self.connection, self._transport = connection, transport
        self._own_lines, self.finished = own_lines, finished
        self.state, self.sent = "nothing sent", 0
        self.gone = self.written = self.listened = self._head_sent = False

    @property
    def status(self) -> int:
        """The status of the response; 0 if none was sent."""
        return self._response.status if self._head_sent else 0

    @property
    def endless(self) -> bool:
        """Whether a response is under way that does not end by itself."""
        sending = self._head_sent and self.state != "complete"
        return sending and b"text/event-stream" in self._response.block

    @property
    def over(self) -> bool:
        """Whether the response is complete or the client has gone."""
        return self.gone or self.state == "complete"

    # What the application calls.

    async def receive(self) -> Message:
        """Return the next piece of the body, then wait for the end.

        Shapes: {"type": "http.request", "body": bytes, "more_body": bool},
        {"type": "http.disconnect"}.
        """
        self.listened = True
        if not self._body_told:
            self._turn = self._turn or asyncio.Lock()
            async with self._turn:  # two tasks may be waiting here
                if not (self._body_told or self.over):
                    return await self._receive_piece()
        await self._wait_for_end()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """Pass a message on to the client.

        Raises ContractError, BadResponse: the message breaks a rule.
        Raises ClientDisconnected: nobody is there to read it.
        """
        if self.gone or self.state == "complete":
            return self._send_too_late()
        after = check(HTTP, self.state, message)
        data = ENCODE[message["type"]](self, message)
        self.state = after
        if data and self._transport.write(data):
            await self._drain()
        if after == "complete":
            if self._file is not None:
                await self._send_file(self._file)
            self._finish()

    def _send_too_late(self) -> None:
        # What comes after a complete response is ignored.
        if self.gone:
            raise ClientDisconnected("the client has gone")

    # From the client to the application.

    async def _receive_piece(self) -> Message:
        connection = self.connection
        try:
            event = connection.next_event()
            while event is Signal.NEED_DATA:
                if interim := connection.send_continue():
                    await self._write(interim)
                self._transport.allow(STALLED)
                connection.receive_data(await self._read())
                event = connection.next_event()
        except TimeoutError:
            if not self.over:
                await self.refuse(408, "the body took too long")
            return {"type": "http.disconnect"}
        except ProtocolError as error:
            await self.refuse(error.status, str(error))
            return {"type": "http.disconnect"}
        except ClientDisconnected:
            return {"type": "http.disconnect"}
        finally:
            self._transport.deadline = math.inf
        more = connection.reading is Reading.BODY
        self._body_told = not more
        body = event if isinstance(event, bytes) else b""
        return {"type": "http.request", "body": body, "more_body": more}

    async def _read(self) -> bytes:
        """Read for a `receive`; another task may answer meanwhile."""
        self._reads = True
        if Exchange._wake not in self.finished:
            self.finished += (Exchange._wake,)
        try:
            return await self._transport.read()
        finally:
            self._reads = False

    def _wake(self) -> None:
        if self._reads:
            self._transport.interrupt()

    async def _wait_for_end(self) -> None:
        """Wait until the client leaves or the response is complete.

        Only a reader learns that a client has left. What arrives instead
        is the next request; it is kept.
        """
        if not self.over and self._transport.ended:
            self._end("client left")
        if self.over:  # told without waiting: some only look whether it is so
            self._told = (self._told + 1) % PATIENCE
            if not self._told:
                await asyncio.sleep(0)
            return
        ended = self._ended = self._ended or asyncio.Event()
        if self._watcher is None:
            self.finished += (Exchange.tell_end,)
            self._watcher = asyncio.create_task(self._watch())
        self.listener = asyncio.current_task()
        await ended.wait()

    async def _watch(self) -> None:
        while len(self.connection.buffer) < READ_AHEAD:
            data = await self._transport.read()
            self.connection.receive_data(data)
            if not data:
                if self.state == "complete":  # the last `send` tells of it
                    self.gone = True
                    return self.tell_end()
                return self._end("client left")

    def tell_end(self) -> None:
        """Let every `receive` that waits return "http.disconnect"."""
        self._ended = self._ended or asyncio.Event()
        self._ended.set()

    async def release(self) -> None:
        """Stop reading for the application: the connection goes on."""
        if self._watcher is not None:
            self._watcher.cancel()
            await asyncio.wait([self._watcher])
        if self._turn is not None:
            async with self._turn:  # a `receive` in another task lets go
                pass

    # From the application to the client.

    def _encode_start(self, message: Message) -> bytes:
        # It is written with the first piece of body: one write costs less
        # than two, and until then an error can still become a 500.
        headers = message.get("headers", ())
        self._response = Response(message["status"], headers)
        return b""

    def _encode_body(self, message: Message) -> bytes:
        body = message.get("body", b"")
        more = message.get("more_body", False) or self.state == "promised"
        if not isinstance(body, bytes):
            body = bytes(body)
        self.sent += len(body)
        if self._head_sent:
            return self.connection.send_data(body, more)
        head = self._encode_head(None if more else len(body))
        data = self.connection.send_data(body, more)
        self._head_sent = True
        return head + data

    def _encode_head(self, whole: int | None) -> bytes:
        lines = self._own_lines(self._response)
        return self.connection.send_response(self._response, whole, lines)

    def _encode_early_hint(self, message: Message) -> bytes:
        return self.connection.send_early_hints(message["links"])

    def _encode_trailers(self, message: Message) -> bytes:
        headers = list(message.get("headers", ()))
        field_lines(headers)  # what is wrong is wrong now, not at the end
        self._trailers += tuple(headers)
        if message.get("more_trailers"):
            return b""
        return self.connection.send_end(self._trailers)

    def _encode_path(self, message: Message) -> bytes:
        # Closed by _send_file, or by _lost.
        file = open(message["path"], "rb")  # noqa: SIM115
        self.sent = os.fstat(file.fileno()).st_size
        head = self._encode_head(self.sent)
        if self.connection.silent:
            file.close()
            return head + self.connection.send_end()
        self.connection.send_file(self.sent)
        self._head_sent, self._file = True, file
        return head

    async def _send_file(self, file: BinaryIO) -> None:
        with file:
            try:
                await self._transport.send_file(file, self.sent)
            except OSError as error:
                raise self._lost() from error
            except BaseException:
                # A part is missing: the file is, or the app was impatient.
                self._lost()
                raise

    async def _write(self, data: bytes) -> None:
        if self._transport.write(data):
            await self._drain()

    async def _drain(self) -> None:
        try:
            await self._transport.drain()
        except OSError as error:
            raise self._lost() from error
        except asyncio.CancelledError:
            if self.state == "complete" and self._file is None:
                self._finish()  # only the application does not wait for it
            raise

    def _lost(self) -> ClientDisconnected:
        self.connection.keep_alive = False
        self._transport.abort()
        if self._file is not None:
            self._file.close()
        self._end("client left")
        return ClientDisconnected("the client has gone")

    def _end(self, cut: str = "") -> None:
        """Nothing reaches the client any more; tell all who wait for it."""
        self.gone = True
        self._finish(cut)
        self.tell_end()

    def _finish(self, cut: str = "") -> None:
        """The response is over, whole or cut; this is said once."""
        if not (self.written or self.cut):
            self.cut, self.written = cut, not cut
            for tell in self.finished:
                tell(self)

    # Around the application.

    async def run(
        self, app: App, scope: Scope, ends: Ends = lambda: False
    ) -> None:
        """Call the application; answer for it if it does not.

        ends: tells whether whoever is cancelled is so because the server
        ends.
        """
        try:
            await app(scope, self.receive, self.send)
        except BaseException as error:
            if not is_the_apps(error, ends()):
                raise
            if self.gone:  # not an error: clients come and go
                log.info("the client left; the app said %s", place(error))
                return
            log.error("%s", place(error), exc_info=error)
        else:
            if self.gone or self.state == "complete":
                return
            if self._ended is not None and self._ended.is_set():
                return await self.refuse(503, "The server is stopping")
            early = self.state == "nothing sent"
            what = "without answering" if early else "inside its answer to"
            request = self.connection.request.label
            log.error("app returned %s %s%s", what, request, defined(app))
        if self.state != "complete":
            await self.refuse(500, "Internal Server Error")

    async def refuse(self, status: int, reason: str) -> None:
        """Answer in the application's place, or cut what it began."""
        self.connection.keep_alive = False
        if self._head_sent:
            # Where the end of the connection is the end of the body, only a
            # reset says that something is missing.
            self._transport.abort(reset=self.connection.open_ended)
            self._end("cut")
        else:
            self.connection.take_back()
            self.state = "started"
            self._response = Response(status, [PLAIN_TEXT])
            self.sent = 0
            with suppress(ClientDisconnected):
                await self._write(self._encode_body({"body": reason.encode()}))
            self.state = "complete"
            self._end()


ENCODE: dict[str, Callable[[Exchange, Message], bytes]] = {
    "http.response.start": Exchange._encode_start,
    "http.response.body": Exchange._encode_body,
    "http.response.early_hint": Exchange._encode_early_hint,
    "http.response.pathsend": Exchange._encode_path,
    "http.response.trailers": Exchange._encode_trailers,
}


def is_the_apps(error: BaseException, ends: bool) -> bool:
    """Say whether an application failed; sys.exit() in it is a failure, too.

    If not, it is we who end its task, or the interpreter ends.
    """
    if isinstance(error, asyncio.CancelledError):
        return not ends  # applications cancel themselves, too
    return not isinstance(error, (GeneratorExit, KeyboardInterrupt))


@types.coroutine
def in_context(
    coroutine: Coroutine[Any, Any, None], waits: Callable[[], None]
) -> Generator[Any, Any, None]:
    """Await a coroutine in its own context; call `waits` when it waits.

    Context variables that one request sets must not be seen by the next one
    on the same connection. A task of its own for each request would do that
    too and cost a fifth of the throughput; this costs nearly nothing.
    """
    resume: Any  # `send`, or after an error `throw`
    context, resume, value = copy_context(), coroutine.send, None
    while True:
        try:
            future = context.run(resume, value)
        except StopIteration:
            return
        waits()
        try:
            resume, value = coroutine.send, (yield future)
        except BaseException as error:
            resume, value = coroutine.throw, error
