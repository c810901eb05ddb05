"""A WebSocket: one conversation in messages, and who may speak when.

    101 ─▶ frames ─▶ inbox ─▶ receive() ─▶ app ─▶ send() ─▶ frames

The order of things is what it is about. What came before the client's Close,
or before its mistake, is handed to the application and may be answered, and
only then are we gone. Pings are answered meanwhile.

Who reads? As long as the application does nothing but `receive`, that is
where the network is read: no other task need wake up for a message. When it
waits for something else, a watcher reads in its place, so that a ping is
answered and a Close is noticed. How far ahead it reads is bounded (READ_AHEAD,
about a thousand small messages): behind that, they wait for the application.

    client's Close, its code and reason     websocket.disconnect with both
    a Close without code                    1005
    no Close, but the end of the stream     1006
    a mistake of the client                 1002, 1007 or 1009, sent to it
    the server stops                        1012, after the app was told

It knows no header (handshake) and no bit of a frame (frames, deflate).

Source: ASGI WebSocket message format 2.5; RFC 6455, sections 5.5 and 7.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import MutableMapping
from contextlib import suppress
from typing import Any, cast

from . import contract, frames
from .connection import Reading
from .contract import App, ClientDisconnected, ContractError, Message, Scope
from .deflate import Agreement, Deflate, agree
from .exchange import PLAIN_TEXT, READ_AHEAD, Exchange, in_context, is_the_apps
from .frames import LOST, Close, FrameError, Ping, encode
from .handshake import REFUSAL_FIELDS, Handshake
from .request import ProtocolError, Request
from .response import Response
from .scope import http_scope
from .server import Conversation
from .transport import linger

log = logging.getLogger("asgi_ref")

MESSAGE_COST = 64  # bytes that a message read ahead counts, besides its own
FAIR_SHARE = 64  # steps after which other clients may have their turn
GRACE = 1.0  # seconds to answer each message before the client's Close
CLOSE_LIMIT = 5.0  # seconds for the client to answer our Close
UNDECIDED = ("connecting", "denying")  # states before there is a WebSocket


class WebSocket:
    """`receive` and `send` for one WebSocket, and its beginning and end.

    state: what the application may send, see contract.WEBSOCKET.order.
    end: how the client's side ended; None while it is open.
    """

    endless = True  # see Conversation.leave

    def __init__(
        self,
        conversation: Conversation,
        handshake: Handshake,
        exchange: Exchange,
    ) -> None:
        settings = conversation.server.settings
        wanted = handshake.offers if settings.ws_per_message_deflate else []
        agreement = agree(wanted)
        self._conversation = conversation
        self._transport = conversation.transport
        self._handshake, self._exchange = handshake, exchange
        self._extension = agreement.line if agreement else b""
        self._deflate, self._frames = readers(agreement, settings.ws_max_size)
        self.state = "connecting"
        self.end: Close | None = None
        self._said: Close | None = None  # our own Close
        # The application has a message and has not come back for the next.
        self._owes = False
        self._reads = False  # `_read_here` is under way
        self._listens = False  # and waits for the network,
        self._asked = False  # it did when we sent a ping; no read ended since
        self._more = False  # something of what was read may not be used yet
        self._steps = self._sends = 0  # the latter since a `receive` began
        self._change: asyncio.Event | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._pinger: asyncio.Task[None] | None = None
        self._closer: asyncio.TimerHandle | None = None
        self._inbox: list[Message] = [{"type": "websocket.connect"}]
        self._ahead = 0  # bytes read ahead since it was last empty
        early = conversation.connection.buffer
        self._frames.receive_data(early.take(len(early)))

    # What the application calls.

    async def receive(self) -> Message:
        """Return the next message of the client, at last its disconnect.

        Shapes: {"type": "websocket.connect"},
        {"type": "websocket.receive", "text": str}, or "bytes": bytes,
        {"type": "websocket.disconnect", "code": int, "reason": str}.
        """
        self._owes, self._sends = False, 0
        if self._watcher is not None and self._inbox:
            await self._take_turns()
        while not self._inbox:
            if self.end is not None or self.state == "closed":
                return await self._disconnect()
            if self._watcher is None and not self._reads:
                await self._read_here()
            elif self._more and self._reads:
                # It came before the 101, and the watcher is past it.
                if (ping := self._next()) is not None:
                    await self._answer(ping)
            else:
                await self._wait()
        self._owes = self.state == "open"
        if self._change is not None:
            self._tell()
        return self._inbox.pop(0)

    async def send(self, message: Message) -> None:
        """Pass a message on to the client.

        Raises ContractError, BadResponse: the message breaks a rule.
        Raises ClientDisconnected: nobody is there to read it.
        """
        if self.state == "closed":
            self._check_late(message)
        after = contract.check(contract.WEBSOCKET, self.state, message)
        if message["type"] == "websocket.send":
            self._sends = (self._sends + 1) % FAIR_SHARE
            if self._transport.write(self._encode(message)) or not self._sends:
                await self._drain()
        elif self.state == "open":
            await self._say(close_of(message))
        else:
            accepts = message["type"] == "websocket.accept"
            await (self._accept if accepts else self._deny)(message)
            self.state = after
            self._tell()

    def _check_late(self, message: Message) -> None:
        """Raise ClientDisconnected, unless the application is to blame.

        It is if it closed and then sends anything but a message: its other
        tasks need not know that it closed.
        """
        closed_itself = self._said is not None and self._said is not self.end
        known = isinstance(message, MutableMapping)
        sends = known and message.get("type") == "websocket.send"
        if sends or not closed_itself:
            raise ClientDisconnected("the WebSocket is closed")

    async def _disconnect(self) -> Message:
        end = self._said or self.end
        assert end is not None
        await self._say(end)
        if self.state in UNDECIDED:  # it is too late to decide now
            await self._refuse()
        await asyncio.sleep(0)  # an app that does not hear it may ask for ever
        code, reason = end
        return {"type": "websocket.disconnect", "code": code, "reason": reason}

    # From the application to the client.

    def _encode(self, message: Message) -> bytes:
        text, data = message.get("text"), message.get("bytes")
        if (text is None) == (data is None):
            raise ContractError('websocket.send has either "text" or "bytes"')
        if text is not None:
            opcode, payload = frames.TEXT, text.encode()
        else:
            opcode, payload = frames.BINARY, bytes(data or b"")
        # An empty message would not become smaller (RFC 7692, 7.2.3.6).
        if self._deflate is not None and payload:
            opcode |= frames.RSV1
            payload = self._deflate.compress(payload)
        return encode(opcode, payload)

    async def _accept(self, message: Message) -> None:
        server = self._conversation.server
        data = self._handshake.accept(
            message.get("subprotocol"),
            message.get("headers", ()),
            self._extension,
            server.own_lines(Response(200)),
        )
        self._conversation.connection.switch_protocols()
        self._more = True  # what came early can be used from now on
        await self._write(data)
        if server.logs_access:
            self._conversation.log_access(self._exchange, 101)
        if server.settings.timeouts and server.settings.ws_ping_interval:
            self._pinger = asyncio.create_task(self._keep_asking())

    async def _deny(self, message: Message) -> None:
        kind = message["type"].removeprefix("websocket.")
        if kind == "close":
            await self._exchange.refuse(403, "Forbidden")
        else:
            try:
                await self._exchange.send({**message, "type": kind})
            except ClientDisconnected as error:
                raise self._lost() from error
        if self._exchange.over:
            self.end = Close(LOST, "")

    async def _say(self, close: Close) -> None:
        """Send our Close, if it can be sent and has not been."""
        if self.state != "open":
            return
        data = b"" if close.code == LOST else frames.encode_close(*close)
        self.state = contract.WEBSOCKET.order["open", "websocket.close"]
        self._said = close
        self._tell()
        loop = asyncio.get_running_loop()
        end_reading = self._transport.interrupt
        try:
            with suppress(ClientDisconnected):
                await self._write(data)
        finally:
            # The client's Close must come now; then reading ends in any case.
            self._closer = loop.call_later(CLOSE_LIMIT, end_reading)

    async def _write(self, data: bytes) -> None:
        if self._transport.write(data):
            await self._drain()

    async def _drain(self) -> None:
        try:
            await self._transport.drain()
        except OSError as error:
            raise self._lost() from error
        await asyncio.sleep(0)  # others have their turn, if it did not wait

    def _lost(self) -> ClientDisconnected:
        self.end = self.end or Close(LOST, "")
        if self.state in UNDECIDED:
            self.state = "closed"
        self._tell()
        return ClientDisconnected("the client has gone")

    # From the client to the application.

    async def _read_here(self) -> None:
        self._reads, self._listens = True, not self._more
        try:
            if self._more:
                await self._take_turns()
            else:
                data = await self._transport.read()
                self._listens = self._asked = False
                self._frames.receive_data(data)
                if not data:
                    self.end = self.end or Close(LOST, "")
            if (ping := self._next()) is not None:
                await self._answer(ping)
        except OSError:  # TimeoutError: the server stops, the client is late
            self.end = self.end or Close(LOST, "")
        finally:
            self._reads = self._listens = False
            if self._change is not None:
                self._tell()

    def _next(self) -> Ping | None:
        """Take one event of what has come; return it if it is a Ping."""
        if self.end is not None or self.state in UNDECIDED:
            # A client may not even speak before the 101 has come (4.1).
            if len(self._frames.unread) > READ_AHEAD:
                self.end = self.end or Close(LOST, "")
            return None
        try:
            event = self._frames.next_event()
        except FrameError as error:
            event = Close(error.code, str(error))
            peer = self._conversation.peer
            log.warning("%s  %d, %s", peer, error.code, error)
        self._more = event is not None and self._frames.unread != b""
        if isinstance(event, str):
            self._inbox.append({"type": "websocket.receive", "text": event})
        elif isinstance(event, bytes):
            self._inbox.append({"type": "websocket.receive", "bytes": event})
        elif isinstance(event, Ping):
            return event
        elif isinstance(event, Close):
            self.end = self.end or event
        return None

    async def _answer(self, ping: Ping) -> None:
        if self.end is None:  # that we have sent our Close does not matter
            with suppress(ClientDisconnected):
                await self._write(encode(frames.PONG, ping.payload))

    async def _take_turns(self) -> None:
        self._steps = (self._steps + 1) % FAIR_SHARE
        if not self._steps:
            await asyncio.sleep(0)

    def app_waits(self) -> None:
        """Read in the application's place when it waits, but not for us."""
        if not self._reads and self._watcher is None:
            self._watcher = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        """Read to the end, and end in good order."""
        while self.end is None:
            if self.state == "closed":
                self._inbox.clear()
            if self._inbox and self._ahead > READ_AHEAD:
                await self._wait()  # the application must catch up
            else:
                await self._read_ahead()
            self._tell()
        while self.state in UNDECIDED:
            await self._wait()  # for the application's decision
        with suppress(TimeoutError):
            while self.state == "open" and (self._inbox or self._owes):
                async with asyncio.timeout(GRACE):
                    await self._wait()
        await self._say(self.end)
        if self.end.code != LOST:
            await linger(self._transport)
        await self._transport.close()

    async def _read_ahead(self) -> None:
        last = self._inbox[-1] if self._inbox else None
        await self._read_here()
        if self._inbox and self._inbox[-1] is not last:
            if len(self._inbox) == 1:
                self._ahead = 0
            self._ahead += cost(self._inbox[-1])

    def _tell(self) -> None:
        if self._change is not None:
            self._change.set()
            self._change = None

    async def _wait(self) -> None:
        self._change = self._change or asyncio.Event()
        await self._change.wait()

    async def _keep_asking(self) -> None:
        """Ask now and then whether the client is still there.

        A client that has lost its network sends no word of it, and TCP
        would not notice for hours.
        """
        settings = self._conversation.server.settings
        interval, limit = settings.ws_ping_interval, settings.ws_ping_timeout
        await asyncio.sleep(interval)
        while self.state == "open" and self.end is None:
            # Only if a read waits now, and when the time is over, and none
            # has ended in between, there is no answer that was not read yet.
            self._asked = self._listens
            with suppress(ClientDisconnected):
                await self._write(encode(frames.PING, b""))
            await asyncio.sleep(limit or interval)
            if limit and self._asked and self._listens and not sys.gettrace():
                self._transport.interrupt()
                return self._transport.abort()
            await asyncio.sleep(max(0, interval - (limit or interval)))

    def tell_end(self) -> None:
        """The server stops: tell the application, then the client."""
        self.end = self.end or Close(1012, "the server is stopping")
        self._tell()
        if self._listens:  # otherwise it would hit who reads next: `linger`
            self._transport.interrupt()

    # Around the application.

    async def run(self, app: App, scope: Scope) -> None:
        """Call the application; end in its place what it has not ended."""
        code = 1000
        try:
            await app(scope, self.receive, self.send)
        except BaseException as error:
            if not is_the_apps(error, self._conversation.server.ends()):
                raise
            code = 1011
            if self.end is not None:  # not an error: clients come and go
                log.info(
                    "the client left; the app said %s", contract.place(error)
                )
            else:
                log.error("%s", contract.place(error), exc_info=error)
        else:
            if self.state == "connecting" and self.end is None:
                label = self._conversation.connection.request.label
                log.error(
                    "app returned without answering %s%s",
                    label,
                    contract.defined(app),
                )
        await self._say(Close(code, ""))
        if self.state != "closed":
            await self._refuse()

    async def _refuse(self) -> None:
        end, self.state = self.end, "closed"
        self.end = end or Close(LOST, "")
        if end is None:
            await self._exchange.refuse(500, "Internal Server Error")
        elif end.code != LOST:
            await self._exchange.refuse(503, "The server is stopping")
        self._tell()

    async def finish(self) -> None:
        """Wait until the connection may be closed."""
        await (self._watcher or self._watch())

    def let_go(self) -> None:
        """Leave nothing behind, whatever has happened."""
        for it in (self._watcher, self._pinger, self._closer):
            if it is not None:
                it.cancel()


async def websocket(conversation: Conversation, request: Request) -> None:
    """Take over a conversation whose client asks for a WebSocket."""
    server, connection = conversation.server, conversation.connection
    finished = (conversation.log_access,) if server.logs_access else ()
    transport = conversation.transport
    exchange = Exchange(connection, transport, server.own_lines, finished)
    connection.keep_alive = False  # a refusal is the last response
    try:
        if connection.reading is Reading.BODY:
            raise ProtocolError(400, "a handshake has no body")
        handshake = Handshake(request)
    except ProtocolError as error:
        log.warning("%s  %d, %s", conversation.peer, error.status, error)
        await refuse(exchange, error)
        return await conversation.linger()
    socket = WebSocket(conversation, handshake, exchange)
    conversation.exchange = cast(Any, socket)
    scope = websocket_scope(conversation, handshake)
    call = socket.run(conversation.app, scope)
    try:
        await in_context(call, socket.app_waits)
        conversation.counts = False
        await socket.finish()
    finally:
        socket.let_go()


async def refuse(exchange: Exchange, error: ProtocolError) -> None:
    """Answer a handshake that is not in order."""
    headers = [PLAIN_TEXT, *REFUSAL_FIELDS.get(error.status, ())]
    start = {"type": "http.response.start", "status": error.status}
    body = {"type": "http.response.body", "body": str(error).encode()}
    with suppress(ClientDisconnected):
        await exchange.send({**start, "headers": headers})
        await exchange.send(body)


def websocket_scope(conversation: Conversation, handshake: Handshake) -> Scope:
    """Return the scope: that of an HTTP request, but for a few keys."""
    state = conversation.server.lifespan.state
    request = conversation.connection.request
    scope = http_scope(request, conversation.told, state)
    del scope["method"]
    scope["type"] = "websocket"
    scope["scheme"] = "wss" if scope["scheme"] == "https" else "ws"
    scope["subprotocols"] = handshake.subprotocols
    scope["extensions"] = {"websocket.http.response": {}}
    return scope


def readers(
    agreement: Agreement | None, limit: int
) -> tuple[Deflate | None, frames.Frames]:
    """Return what reads and writes one client's messages of up to `limit`."""
    if agreement is None:
        return None, frames.Frames(limit)
    deflate = Deflate(agreement, limit)
    return deflate, frames.Frames(limit, deflate.inflate)


def cost(message: Message) -> int:
    """Return how many bytes of reading ahead a message counts for."""
    return MESSAGE_COST + len(message.get("text") or message.get("bytes", ""))


def close_of(message: Message) -> Close:
    """Return the Close that an application wants to send.

    Raises ContractError.
    """
    close = Close(message.get("code", 1000), message.get("reason") or "")
    try:
        frames.encode_close(*close)
    except ValueError as error:
        raise ContractError(f"websocket.close: {error}") from None
    return close
