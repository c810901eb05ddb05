"""ASGI as tables: which messages there are, and which may follow which.

An ASGI application is one callable, `await app(scope, receive, send)`. All
else is messages: dicts with a "type". What the specification says about them
is written down here once, as data. The server obeys these tables, the
referee checks with them, and the figures of the course are drawn from them.

It runs nothing: `check` looks up, and raises.

Source: ASGI 3.0, HTTP and WebSocket message format 2.5, lifespan 2.0, and
the extensions early hints, trailers, path send, WebSocket denial response.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from dataclasses import dataclass
from typing import Any, NamedTuple, NoReturn

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class ContractError(RuntimeError):
    """The application sent what ASGI does not allow at this point."""


class ClientDisconnected(ConnectionError):
    """`send()` was called and the client has gone (HTTP format 2.4)."""


class Key(NamedTuple):
    """A key of a message: its types, and its value when it is left out."""

    name: str
    types: tuple[type, ...]
    default: object = NotImplemented  # of no type below: it is required


class Keys:
    """The keys of one type of message.

    flag: the key that says that more follows, and so changes the order.
    """

    def __init__(self, *keys: Key, flag: str | None = None) -> None:
        # Plain tuples: Python unpacks them faster.
        self.keys: list[tuple[str, Any, Any]] = [(*key,) for key in keys]
        self.flag: Any = flag  # None is no message's key


class Order(dict[tuple[str, str], str]):
    """(state, event) to next state; whatever is not in it is refused.

    An event is a message's type, with " + " and its flag if that is set.
    """

    def __missing__(self, key: tuple[str, str]) -> NoReturn:
        allowed = [event for state, event in self if state == key[0]]
        raise ContractError(
            f"send() of {key[1]}, state: {key[0]};"
            f" allowed here: {', '.join(allowed) or 'nothing more'}"
        )


@dataclass(frozen=True)
class Contract:
    """One protocol: messages in both directions, and the order of sends."""

    receive: dict[str, Keys]
    send: dict[str, Keys]
    order: Order


BYTES = (bytes, bytearray, memoryview)
NONE = type(None)
HEADERS = Key("headers", (list, Iterable), ())  # most often a list
REASON = Key("reason", (str, NONE), None)


def flag(name: str) -> Key:
    """Return a key that is True or False, or left out for False."""
    return Key(name, (bool,), False)


EMPTY = Keys()
START = Keys(Key("status", (int,)), HEADERS, flag("trailers"), flag="trailers")
BODY = Keys(Key("body", BYTES, b""), flag("more_body"), flag="more_body")
TRAILERS = Keys(HEADERS, flag("more_trailers"), flag="more_trailers")
TEXT_OR_BYTES = Keys(
    Key("text", (str, NONE), None), Key("bytes", (NONE, *BYTES), None)
)
CLOSE = Keys(Key("code", (int,), 1000), REASON)
FAILED = Keys(Key("message", (str,), ""))

HTTP = Contract(
    receive={"http.request": BODY, "http.disconnect": EMPTY},
    send={
        "http.response.start": START,
        "http.response.body": BODY,
        "http.response.early_hint": Keys(Key("links", (Iterable,))),
        "http.response.pathsend": Keys(Key("path", (str,))),
        "http.response.trailers": TRAILERS,
    },
    order=Order(
        {
            ("nothing sent", "http.response.start"): "started",
            ("started", "http.response.early_hint"): "started",
            ("started", "http.response.body + more_body"): "sending",
            ("started", "http.response.body"): "complete",
            ("started", "http.response.pathsend"): "complete",
            ("sending", "http.response.early_hint"): "sending",
            ("sending", "http.response.body + more_body"): "sending",
            ("sending", "http.response.body"): "complete",
            ("nothing sent", "http.response.start + trailers"): "promised",
            ("promised", "http.response.early_hint"): "promised",
            ("promised", "http.response.body + more_body"): "promised",
            ("promised", "http.response.body"): "trailers due",
            (
                "trailers due",
                "http.response.trailers + more_trailers",
            ): "trailers due",
            ("trailers due", "http.response.trailers"): "complete",
        }
    ),
)

WEBSOCKET = Contract(
    receive={
        "websocket.connect": EMPTY,
        "websocket.receive": TEXT_OR_BYTES,
        "websocket.disconnect": CLOSE,
    },
    send={
        "websocket.accept": Keys(
            Key("subprotocol", (str, NONE), None), HEADERS
        ),
        "websocket.send": TEXT_OR_BYTES,
        "websocket.close": CLOSE,
        "websocket.http.response.start": START,
        "websocket.http.response.body": BODY,
    },
    order=Order(
        {
            ("connecting", "websocket.accept"): "open",
            ("connecting", "websocket.close"): "closed",
            ("connecting", "websocket.http.response.start"): "denying",
            ("denying", "websocket.http.response.body + more_body"): "denying",
            ("denying", "websocket.http.response.body"): "closed",
            ("open", "websocket.send"): "open",
            ("open", "websocket.close"): "closed",
        }
    ),
)

LIFESPAN = Contract(
    receive={"lifespan.startup": EMPTY, "lifespan.shutdown": EMPTY},
    send={
        "lifespan.startup.complete": EMPTY,
        "lifespan.startup.failed": FAILED,
        "lifespan.shutdown.complete": EMPTY,
        "lifespan.shutdown.failed": FAILED,
    },
    order=Order(
        {
            ("starting", "lifespan.startup.complete"): "started",
            ("starting", "lifespan.startup.failed"): "failed",
            ("stopping", "lifespan.shutdown.complete"): "stopped",
            ("stopping", "lifespan.shutdown.failed"): "failed",
        }
    ),
)


def check(contract: Contract, state: str, message: Message) -> str:
    """Return the state after a message that the application sends.

    Raises ContractError: unknown type, missing key, value of a wrong type,
    or not allowed in this state.
    """
    try:
        event: str = message["type"]
        keys = contract.send[event]
    except (KeyError, TypeError):
        raise ContractError(unknown(contract, message)) from None
    for name, types, default in keys.keys:
        if not isinstance(message.get(name, default), types):
            raise ContractError(wrong_value(message, name, types))
    if message.get(keys.flag):
        event = f"{event} + {keys.flag}"
    return contract.order[state, event]


def unknown(contract: Contract, message: Any) -> str:
    """Say what is wrong with a message that is in no table."""
    if not isinstance(message, MutableMapping):
        return f"send() takes a dict; got {message!r}"
    if "type" not in message:
        return f'a message without "type": {message!r}'
    known = ", ".join(contract.send)
    return f"unknown message {message['type']!r}; known: {known}"


def wrong_value(message: Message, name: str, types: tuple[type, ...]) -> str:
    """Say that a key of a message is missing or of a wrong type."""
    kind = message["type"]
    if name not in message:
        return f'{kind} without "{name}"'
    wanted = " or ".join(t.__name__ for t in types if t is not NONE)
    return f'{kind}: "{name}" must be {wanted}; got {message[name]!r}'


def place(error: BaseException) -> str:
    """Return "RuntimeError: db is down (main.py:12)".

    The line is the last one outside this package and the installed ones:
    the learner's own.
    """
    line = ""
    for frame in traceback.extract_tb(error.__traceback__):
        if is_learners(frame.filename):
            line = f" ({os.path.basename(frame.filename)}:{frame.lineno})"
    return f"{type(error).__name__}: {error}{line}"


def is_learners(path: str) -> bool:
    """Say whether a file is not ours, not installed, not part of Python."""
    library = os.path.dirname(os.__file__)
    if path.startswith((library, "<")) or "-packages" in path:
        return False
    folder, file = os.path.split(path)
    return folder != os.path.dirname(__file__) or file == "demo.py"


def defined(app: Any) -> str:
    """Return " (main.py:31)", where an application begins, or ""."""
    while hasattr(app, "__wrapped__"):  # what is around it says what it wraps
        app = app.__wrapped__
    call = app if hasattr(app, "__code__") else type(app).__call__
    code = getattr(call, "__code__", None)
    if code is None or not is_learners(code.co_filename):
        return ""
    return f" ({os.path.basename(code.co_filename)}:{code.co_firstlineno})"
