"""The referee: a middleware that checks the server and the application.

    server  ──scope, receive()──▶  referee  ──the same──▶  application
            ◀──────send()────────           ◀──the same──

It stands between any server and any application, passes on everything as
it is, and reports what breaks the specification: who it was, what he did,
the section that speaks of it, and the line, if it is the application's.

It whistles at what the documents say must be, or must not. What they say
should be is left alone: upper-case names in a scope, a scope changed in
place, a `send` that does not raise when the client has gone.

It changes no message and answers for nobody. What can be read only once
(headers from a generator) it passes on unread.

Source: ASGI 3.0, HTTP and WebSocket message format 2.5, lifespan 2.0 and the
extensions; RFC 9110, sections 6.4.1 and 8.6.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from inspect import CO_COROUTINE
from typing import Any, NamedTuple
from urllib.parse import unquote

from . import contract
from .contract import (
    HTTP,
    LIFESPAN,
    NONE,
    WEBSOCKET,
    App,
    Contract,
    Key,
    Keys,
    Message,
    Receive,
    Scope,
    Send,
)

log = logging.getLogger("asgi_ref")


class ContractBroken(AssertionError):
    """One side broke the contract; see `strict`."""


class Finding(NamedTuple):
    """A broken rule.

    culprit: "server" or "application". fault: what it did. rule: a document
    and its section. place: the application's line, "main.py:12", or "".
    """

    culprit: str
    fault: str
    rule: str
    place: str = ""

    def __str__(self) -> str:
        where = f" ({self.place})" if self.place else ""
        return f"{self.culprit}{where}: {self.fault} [{self.rule}]"


Report = Callable[[Finding], object]


def warn(finding: Finding) -> None:
    """Report to the log."""
    log.warning("contract  %s", finding)


def strict(finding: Finding) -> None:
    """Report by raising ContractBroken, where it happened: for tests."""
    raise ContractBroken(str(finding))


# What the server says: a scope, and then what `receive` returns. The messages
# are in `contract`; what is not there is the scopes, and the order.

ASGI, STATE = Key("asgi", (dict,)), Key("state", (dict,), {})
BOTH = (
    ASGI,
    Key("path", (str,)),
    Key("raw_path", (bytes, NONE), None),
    Key("root_path", (str,), ""),
    Key("scheme", (str,), "http"),
    Key("headers", (Iterable,)),
    Key("client", (Iterable, NONE), None),
    Key("server", (Iterable, NONE), None),
    Key("extensions", (dict, NONE), None),
    STATE,
)
SCOPES = {
    "http": Keys(
        Key("http_version", (str,)),
        Key("method", (str,)),
        Key("query_string", (bytes,)),
        *BOTH,
    ),
    "websocket": Keys(
        Key("http_version", (str,), "1.1"),
        Key("query_string", (bytes, NONE), b""),
        Key("subprotocols", (Iterable,), ()),
        *BOTH,
    ),
    "lifespan": Keys(ASGI, STATE),
}
TOLD = contract.Order(
    {
        ("new", "http"): "request due",
        ("request due", "http.request + more_body"): "request due",
        ("request due", "http.request"): "request told",
        ("request due", "http.disconnect"): "gone",
        ("request told", "http.disconnect"): "gone",
        ("gone", "http.disconnect"): "gone",
        ("new", "websocket"): "connect due",
        ("connect due", "websocket.connect"): "connected",
        ("connected", "websocket.receive"): "connected",
        ("connected", "websocket.disconnect"): "disconnected",
        ("disconnected", "websocket.disconnect"): "disconnected",
        ("new", "lifespan"): "startup due",
        ("startup due", "lifespan.startup"): "startup told",
        ("startup told", "lifespan.shutdown"): "shutdown told",
    }
)
RECEIVE = HTTP.receive | WEBSOCKET.receive | LIFESPAN.receive
SERVER = Contract(receive={}, send=SCOPES | RECEIVE, order=TOLD)

# What the application may say is all in `contract`, but for where it begins.

FIRST = {
    "http": (HTTP, "nothing sent"),
    "websocket": (WEBSOCKET, "connecting"),
    "lifespan": (LIFESPAN, "starting"),
}
DOCUMENTS = {
    "http": "HTTP and WebSocket 2.5",
    "websocket": "HTTP and WebSocket 2.5",
    "lifespan": "lifespan 2.0",
}
LATE = "ASGI HTTP and WebSocket 2.5, Disconnected Client"
LAST = ("complete", "closed", "stopped", "failed")
EXTENSIONS = {
    "http.response.early_hint": "Early Hints",
    "http.response.pathsend": "Path Send",
    "http.response.trailers": "HTTP Trailers",
    "websocket.http.response": "Websocket Denial Response",
}


class Referee:
    """A middleware: an application that calls another one, and watches.

    report: called with each Finding, as soon as it is known.
    """

    def __init__(self, app: App, report: Report = warn) -> None:
        self.app = self.__wrapped__ = app
        self.report = report

    async def __call__(
        self, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Call the application, between two that pass on and check."""
        if scope.get("type") not in FIRST:  # not ours to judge
            return await self.app(scope, receive, send)
        call = Call(self, scope, receive, send)
        call.see_scope()
        await self.app(scope, call.receive, call.send)
        call.see_end()


@dataclass
class Side:
    """One of the two, what it may say, and where in its table it is."""

    culprit: str
    table: Contract
    state: str


class Call:
    """One call of the application, and what both sides have said in it.

    over: the client has gone, or all has been said. What the application
    sends then is no error, and is not judged.
    """

    def __init__(
        self, referee: Referee, scope: Scope, receive: Receive, send: Send
    ) -> None:
        self._referee, self._scope = referee, scope
        self._receive, self._send = receive, send
        self.server = Side("server", SERVER, "new")
        self.app = Side("application", *FIRST[scope["type"]])
        self.over = False
        self._size: int | None = None  # of the body, if the head tells
        self._sent = 0

    # The server speaks.

    def see_scope(self) -> None:
        """Check the scope: it is the first message."""
        if self._judge(self.server, self._scope):
            for fault in scope_faults(self._scope):
                self._found(self.server, fault, section(self._scope["type"]))

    async def receive(self) -> Message:
        """Return what the server says, as it says it."""
        message = await self._receive()
        self._judge(self.server, message)
        kind, state = type_of(message), self.app.state
        if kind == "websocket.receive" and state in ("connecting", "denying"):
            fault = f"receive() of {kind} before websocket.accept"
            self._found(self.server, fault, section("websocket.connect"))
        elif kind.endswith(".disconnect"):
            self.over = True
        elif kind == "lifespan.shutdown" and state == "started":
            self.app.state = "stopping"
        return message

    # The application speaks.

    async def send(self, message: Message) -> None:
        """Pass on what the application says, as it says it.

        Raises what the server raises.
        """
        over, before = self.over, self.app.state
        if not over:
            self._hear(message)
        try:
            await self._send(message)
        except OSError:
            self.over = True  # the client has gone
            raise
        except Exception as error:
            if not over:  # refused: the application may say something else
                self.app.state, self.over = before, False
            elif before != "closed":  # which it has said itself
                fault = f"send() after the end raised {error!r}"
                self._found(self.server, fault, LATE)
            raise

    def _hear(self, message: Message) -> None:
        kind, offered = type_of(message), self._scope.get("extensions") or {}
        if kind in offered and kind not in self.app.table.send:
            self.over = True  # an extension whose rules we do not know
        elif self._judge(self.app, message):
            for name in EXTENSIONS:
                if kind.startswith(name) and name not in offered:
                    fault = f"{kind}: the server does not offer it"
                    self._found(self.app, fault, "ASGI 3.0, Extensions")
            self._count(message)
        self.over = self.over or self.app.state in LAST

    def _count(self, message: Message) -> None:
        """Compare the body with what the head says of it."""
        if message["type"] == "http.response.start":
            self._size = size_of_body(message, self._scope.get("method"))
        elif message["type"] == "http.response.body":
            self._sent += len(message.get("body", b""))
            whole = self.app.state in ("complete", "trailers due")
            left = 0 if self._size is None else self._size - self._sent
            if left < 0 or (left and whole):
                fault = f"a body of {self._sent} bytes, not {self._size}"
                self._found(self.app, fault, "RFC 9110, 6.4.1 and 8.6")
                self._size = None  # it is said once

    def see_end(self) -> None:
        """The application has returned: was everything said?"""
        if not self.over:
            fault = f"returned, state: {self.app.state}"
            self._found(self.app, fault, section(self._scope["type"]))

    # The referee speaks.

    def _judge(self, side: Side, message: Message) -> bool:
        """Look a message up in its side's table; say whether it is there."""
        kind = type_of(message)
        try:
            side.state = contract.check(side.table, side.state, message)
        except contract.ContractError as error:
            fault = str(error)
            if side is self.server:
                fault = fault.replace("send()", "receive()")
            known = kind in side.table.send
            rule = section(kind) if known else "ASGI 3.0, Error Handling"
            self._found(side, fault, rule)
            # Go on as if it had been right: a mistake is reported once.
            after = side.table.order.get((side.state, kind))
            side.state = after or side.state
            return False
        for fault in value_faults(message, lower=side is self.app):
            self._found(side, fault, section(kind))
        return True

    def _found(self, side: Side, fault: str, rule: str) -> None:
        place = line_of(self._referee.app) if side is self.app else ""
        self._referee.report(Finding(side.culprit, fault, rule, place))


def section(kind: str) -> str:
    """Return where a scope or a message is described.

    The headings of the documents are the types, in title case.
    """
    for name, heading in EXTENSIONS.items():
        if kind.startswith(name):
            return f"ASGI extensions, {heading}"
    protocol, _, name = kind.partition(".")
    heading = name.replace(".", " ").title() or "Connection Scope"
    return f"ASGI {DOCUMENTS[protocol]}, {heading}"


def line_of(app: App) -> str:
    """Return "main.py:12", the application's line that called us, or ""."""
    frame = sys._getframe()
    while frame.f_back and frame.f_code is not Referee.__call__.__code__:
        file = frame.f_code.co_filename
        # No coroutine is who has only started the event loop.
        waits = frame.f_code.co_flags & CO_COROUTINE
        if waits and contract.is_learners(file):
            return f"{os.path.basename(file)}:{frame.f_lineno}"
        frame = frame.f_back
    return contract.defined(app).strip(" ()")


def type_of(message: Any) -> str:
    """Return a message's type, or "" if it has none."""
    try:
        kind = message["type"]
    except (KeyError, TypeError):
        return ""
    return kind if isinstance(kind, str) else ""


def value_faults(message: Message, lower: bool) -> Iterator[str]:
    """Yield what is wrong in a scope or a message, beyond the types."""
    kind = message["type"]
    for name, value in message.items():
        if isinstance(value, (bytearray, memoryview)):
            got = type(value).__name__
            yield f'{kind}: "{name}" must be bytes; got a {got}'
    if kind in ("websocket.send", "websocket.receive"):
        both = message.get("text"), message.get("bytes")
        if both.count(None) != 1:
            yield f'{kind} has either "text" or "bytes"'
    for pair in listed(message.get("headers")):
        if [type(part) for part in listed(pair)] != [bytes, bytes]:
            yield f"{kind}: headers must be (bytes, bytes); got {pair!r}"
        elif lower and pair[0] != pair[0].lower():
            yield f"{kind}: header {pair[0]!r} is not in lower case"
        elif pair[0].startswith(b":"):
            yield f"{kind}: {pair[0]!r} is no header"


def scope_faults(scope: Scope) -> Iterator[str]:
    """Yield what is wrong in a scope whose values have the right types."""
    if scope["type"] == "lifespan":
        return
    if scope.get("http_version", "1.1") not in ("1.0", "1.1", "2"):
        yield f'"http_version" is {scope["http_version"]!r}'
    if scope.get("method", "").upper() != scope.get("method", ""):
        yield f'"method" must be in upper case; got {scope["method"]!r}'
    if not scope.get("scheme", "http"):
        yield '"scheme" must not be empty'
    raw, path = scope.get("raw_path") or b"", scope["path"]
    if raw.startswith(b"/") and not path.endswith(unquote(raw)):
        yield f'"path" must be {raw!r}, decoded; got {path!r}'
    for name in "client", "server":
        told = scope.get(name)
        types = [type(part) for part in listed(told)]
        if types == [str, NONE] and name == "server":
            continue  # a unix socket
        if types != [str, int] and isinstance(told, Collection):
            yield f'"{name}" must be (str, int); got {told!r}'


def listed(value: Any) -> list[Any]:
    """Return what is in a list or the like; [] for what is read only once."""
    return list(value) if isinstance(value, Collection) else []


def size_of_body(start: Message, method: Any) -> int | None:
    """Return how long the body of a response must be, if that is known."""
    if method == "HEAD":
        return None  # a body is allowed, and the server drops it
    if start["status"] in (204, 304):
        return 0
    for pair in listed(start.get("headers")):
        match listed(pair):
            case [bytes(name), bytes(value)] if value.isdigit():
                if name.lower() == b"content-length" and len(value) < 19:
                    return int(value)
    return None
