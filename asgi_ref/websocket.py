"""A WebSocket: one conversation in messages, and who may speak when.

    101 ─▶ frames ─▶ inbox ─▶ receive() ─▶ app ─▶ send() ─▶ frames

The order of things is what it is about. What came before the client's Close,
or before its mistake, is handed to the application and may be answered, and
only then are we gone. Pings are answered meanwhile.

Who reads? As long as the application does nothing but `receive`, that is
where the network is read: no other task need wake up for a message. When it
waits for something else, a watcher reads in its place, a bounded part ahead,
so that a ping is answered and a Close is noticed.

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
from contextlib import suppress
from typing import Any, cast

from . import contract, frames
from .connection import Reading
from .contract import App, ClientDisconnected, ContractError, Message, Scope
from .deflate import Deflate, agree
from .exchange import PLAIN_TEXT, READ_AHEAD, Exchange, in_context
from .frames import LOST, Close, FrameError, Ping, encode
from .handshake import REFUSAL_FIELDS, Handshake
from .request import ProtocolError, Request
from .response import Response
from .scope import http_scope
from .server import Conversation
from .transport import linger

log = logging.getLogger("asgi_ref")

INBOX = 8  # messages read ahead for an application that is busy
FAIR_SHARE = 64  # steps after which other clients may have their turn
GRACE = 1.0  # seconds to answer what came before the client's Close
CLOSE_LIMIT = 5.0  # seconds for the client to answer our Close


class WebSocket:
    """`receive` and `send` for one WebSocket, and its beginning and end.

    state: what the application may send, see contract.WEBSOCKET.order.
    end: how the client's side ended; None while it is open.
    """

    state = "connecting"
    end: Close | None = None
    _said: Close | None = None  # our own Close
    _owes = False  # the application has a message and has not come back
    _reads = False  # a `receive` reads from the network
    _heard = True  # something came since the last ping
    _more = False  # something of what was read may not be used yet
    _steps = 0
    _change: asyncio.Event | None = None
    _watcher: asyncio.Task[None] | None = None
    _pinger: asyncio.Task[None] | None = None
    _closer: asyncio.TimerHandle | None = None

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
        self._deflate = Deflate(agreement) if agreement else None
        self._frames = frames.Frames(
            settings.ws_max_size,
            self._deflate.inflate if self._deflate else None,
        )
        self._inbox: list[Message] = [{"type": "websocket.connect"}]
        early = conversation.connection.buffer
        self._frames.receive_data(early.take(len(early)))

    # What the application calls.

    async def receive(self) -> Message:
        """Return the next message of the client, at last its disconnect.

        Shapes: {"type": "websocket.connect"},
        {"type": "websocket.receive", "text": str}, or "bytes": bytes,
        {"type": "websocket.disconnect", "code": int, "reason": str}.
        """
        self._owes = False
        while not self._inbox:
            if self.end is not None or self.state == "closed":
                return await self._disconnect()
            if self._more and self._reads:
                # It came before the 101, and the watcher is past it.
                ping = self._next()
                if ping is not None:
                    await self._answer(ping)
            elif self._watcher is not None or self._reads:
                await self._wait()
            else:
                await self._read_here()
        self._owes = self.state == "open"
        if self._change is not None:
            self._tell()
        return self._inbox.pop(0)

    async def send(self, message: Message) -> None:
        """Pass a message on to the client.

        Raises ContractError, BadResponse: the message breaks a rule.
        Raises ClientDisconnected: nobody is there to read it.
        """
        if self.end is not None and self.state == "closed":
            raise ClientDisconnected("the WebSocket is closed")
        after = contract.check(contract.WEBSOCKET, self.state, message)
        kind = message["type"]
        if kind == "websocket.send":
            try:
                await self._transport.write(self._encode(message))
            except OSError as error:
                raise self._lost() from error
        elif self.state == "open":
            await self._say(close_of(message))
        else:
            accepts = kind == "websocket.accept"
            await (self._accept if accepts else self._deny)(message)
            self.state = after
            self._tell()

    async def _disconnect(self) -> Message:
        end = self._said or self.end
        assert end is not None
        await self._say(end)
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
            self._exchange.status = 101
            self._conversation.log_access(self._exchange)
        if server.settings.timeouts and server.settings.ws_ping_interval:
            self._pinger = asyncio.create_task(self._keep_asking())

    async def _deny(self, message: Message) -> None:
        kind = message["type"].removeprefix("websocket.")
        if kind == "close":
            await self._exchange.refuse(403, "Forbidden")
        else:
            await self._exchange.send({**message, "type": kind})
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
        with suppress(OSError):
            await self._transport.write(data)
        # The client's Close must come now; then reading ends in any case.
        end_reading = self._transport.interrupt
        loop = asyncio.get_running_loop()
        self._closer = loop.call_later(CLOSE_LIMIT, end_reading)

    async def _write(self, data: bytes) -> None:
        try:
            await self._transport.write(data)
        except OSError as error:
            raise self._lost() from error

    def _lost(self) -> ClientDisconnected:
        self.end = self.end or Close(LOST, "")
        return ClientDisconnected("the client has gone")

    # From the client to the application.

    async def _read_here(self) -> None:
        self._reads = True
        try:
            if self._more:
                await self._take_turns()
            else:
                self._take_in(await self._transport.read())
            ping = self._next()
            if ping is not None:
                await self._answer(ping)
        except OSError:  # TimeoutError: the server stops, the client is late
            self._take_in(b"")
        finally:
            self._reads = False
            if self._change is not None:
                self._tell()

    def _take_in(self, data: bytes) -> None:
        self._heard = True
        self._frames.receive_data(data)
        if not data:
            self.end = self.end or Close(LOST, "")

    def _next(self) -> Ping | None:
        """Take one event of what has come; return it if it is a Ping."""
        if self.state == "connecting":
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
        if self.state == "open":
            with suppress(ClientDisconnected):
                await self._write(encode(frames.PONG, ping.payload))

    async def _take_turns(self) -> None:
        self._steps += 1
        if self._steps % FAIR_SHARE == 0:
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
            if self._full:
                await self._wait()
            else:
                await self._read_here()
            self._tell()
        while self.state in ("connecting", "denying"):
            await self._wait()  # for the application's decision
        with suppress(TimeoutError):
            while self.state == "open" and (self._inbox or self._owes):
                async with asyncio.timeout(GRACE):
                    await self._wait()
        await self._say(self.end)
        if self.end.code != LOST:
            await linger(self._transport)
        await self._transport.close()

    @property
    def _full(self) -> bool:
        """Whether the application must take something first."""
        sizes = [len(m.get("text") or m.get("bytes", "")) for m in self._inbox]
        return len(sizes) >= INBOX or sum(sizes) > READ_AHEAD

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
            self._heard = False
            with suppress(ClientDisconnected):
                await self._write(encode(frames.PING, b""))
            await asyncio.sleep(limit or interval)
            listens = self._reads or (self._watcher and not self._full)
            if limit and listens and not self._heard and not sys.gettrace():
                self._transport.interrupt()
                return self._transport.abort()
            await asyncio.sleep(max(0, interval - (limit or interval)))

    def tell_end(self) -> None:
        """The server stops: tell the application, then the client."""
        self.end = self.end or Close(1012, "the server is stopping")
        self._tell()
        self._transport.interrupt()

    # Around the application.

    async def run(self, app: App, scope: Scope) -> None:
        """Call the application; end in its place what it has not ended."""
        code = 1000
        try:
            await app(scope, self.receive, self.send)
        except (Exception, asyncio.CancelledError) as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise  # it is we who are cancelled, not the application
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
        if self.end is None:
            await self._exchange.refuse(500, "Internal Server Error")
        elif self.end.code != LOST:
            await self._exchange.refuse(503, "The server is stopping")
        self.end = self.end or Close(LOST, "")
        self.state = "closed"
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
    finished = conversation.log_access if server.logs_access else None
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
        return await linger(transport)
    socket = WebSocket(conversation, handshake, exchange)
    conversation.exchange = cast(Any, socket)
    scope = websocket_scope(conversation, handshake)
    call = socket.run(conversation.app, scope)
    try:
        await in_context(call, socket.app_waits)
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
