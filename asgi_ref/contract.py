"""ASGI as tables: which messages there are, and which may follow which.

An ASGI application is one callable, `await app(scope, receive, send)`. All
else is messages: dicts with a "type". What the specification says about them
is written down here once, as data. The server obeys these tables, the
referee checks with them, and the figures of the course are drawn from them.

It runs nothing: `check` and `advance` look up, and raise.

Source: ASGI 3.0, HTTP and WebSocket message format 2.5, lifespan 2.0, and
the extensions early hints, trailers, path send, WebSocket denial response.
"""

from __future__ import annotations

import traceback
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any, NamedTuple

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

VERSION = {"version": "3.0", "spec_version": "2.5"}
LIFESPAN_VERSION = {"version": "3.0", "spec_version": "2.0"}


class ContractError(RuntimeError):
    """The application sent what ASGI does not allow at this point."""


class ClientDisconnected(ConnectionError):
    """`send()` was called and the client has gone (HTTP format 2.4)."""


class Key(NamedTuple):
    """A key of a message: its types, and whether it may be left out."""

    name: str
    types: tuple[type, ...]
    required: bool = False


class Contract(NamedTuple):
    """One protocol: messages in both directions, and the order of sends.

    order: (state, event) to state. An event is a message's type, with
    " (more)" if it says that more of its kind follows, or " (trailers)" if
    it promises trailers.
    """

    receive: dict[str, tuple[Key, ...]]
    send: dict[str, tuple[Key, ...]]
    order: dict[tuple[str, str], str]


BYTES = (bytes, bytearray, memoryview)
ANY = (object,)  # an iterable: it is read once, by whoever needs it
NONE = type(None)

START = (
    Key("status", (int,), required=True),
    Key("headers", ANY),
    Key("trailers", (bool,)),
)
BODY = (Key("body", BYTES), Key("more_body", (bool,)))
TEXT_OR_BYTES = (Key("text", (str, NONE)), Key("bytes", (*BYTES, NONE)))

HTTP = Contract(
    receive={
        "http.request": (Key("body", (bytes,)), Key("more_body", (bool,))),
        "http.disconnect": (),
    },
    send={
        "http.response.start": START,
        "http.response.body": BODY,
        "http.response.early_hint": (Key("links", ANY, required=True),),
        "http.response.pathsend": (Key("path", (str,), required=True),),
        "http.response.trailers": (
            Key("headers", ANY, required=True),
            Key("more_trailers", (bool,)),
        ),
    },
    order={
        ("nothing sent", "http.response.start"): "started",
        ("started", "http.response.early_hint"): "started",
        ("started", "http.response.body (more)"): "sending",
        ("started", "http.response.body"): "complete",
        ("started", "http.response.pathsend"): "complete",
        ("sending", "http.response.early_hint"): "sending",
        ("sending", "http.response.body (more)"): "sending",
        ("sending", "http.response.body"): "complete",
        ("nothing sent", "http.response.start (trailers)"): "promised",
        ("promised", "http.response.early_hint"): "promised",
        ("promised", "http.response.body (more)"): "promised",
        ("promised", "http.response.body"): "trailers due",
        ("promised", "http.response.pathsend"): "trailers due",
        ("trailers due", "http.response.trailers (more)"): "trailers due",
        ("trailers due", "http.response.trailers"): "complete",
    },
)

WEBSOCKET = Contract(
    receive={
        "websocket.connect": (),
        "websocket.receive": TEXT_OR_BYTES,
        "websocket.disconnect": (
            Key("code", (int,)),
            Key("reason", (str, NONE)),
        ),
    },
    send={
        "websocket.accept": (
            Key("subprotocol", (str, NONE)),
            Key("headers", ANY),
        ),
        "websocket.send": TEXT_OR_BYTES,
        "websocket.close": (Key("code", (int,)), Key("reason", (str, NONE))),
        "websocket.http.response.start": START,
        "websocket.http.response.body": BODY,
    },
    order={
        ("connecting", "websocket.accept"): "open",
        ("connecting", "websocket.close"): "closed",
        ("connecting", "websocket.http.response.start"): "denying",
        ("denying", "websocket.http.response.body (more)"): "denying",
        ("denying", "websocket.http.response.body"): "closed",
        ("open", "websocket.send"): "open",
        ("open", "websocket.close"): "closed",
    },
)

LIFESPAN = Contract(
    receive={"lifespan.startup": (), "lifespan.shutdown": ()},
    send={
        "lifespan.startup.complete": (),
        "lifespan.startup.failed": (Key("message", (str,)),),
        "lifespan.shutdown.complete": (),
        "lifespan.shutdown.failed": (Key("message", (str,)),),
    },
    order={
        ("starting", "lifespan.startup.complete"): "started",
        ("starting", "lifespan.startup.failed"): "failed",
        ("stopping", "lifespan.shutdown.complete"): "stopped",
        ("stopping", "lifespan.shutdown.failed"): "failed",
    },
)


def check(contract: Contract, message: Message) -> str:
    """Return the type of a message that an application sends.

    Raises ContractError: unknown type, missing key, value of a wrong type.
    """
    try:
        kind: str = message["type"]
        keys = contract.send[kind]
    except (KeyError, TypeError):
        raise ContractError(unknown(contract, message)) from None
    for name, types, required in keys:
        if name in message:
            if not isinstance(message[name], types):
                raise ContractError(wrong_type(kind, name, types, message))
        elif required:
            raise ContractError(f'{kind} without "{name}"')
    return kind


def advance(contract: Contract, state: str, message: Message) -> str:
    """Return the state after a checked message.

    Raises ContractError: it may not be sent in this state.
    """
    event = message["type"]
    if message.get("more_body") or message.get("more_trailers"):
        event += " (more)"
    elif message.get("trailers"):
        event += " (trailers)"
    after = contract.order.get((state, event))
    if after is None:
        allowed = [e for s, e in contract.order if s == state]
        raise ContractError(
            f"send() of {event}, state: {state};"
            f" allowed here: {', '.join(allowed) or 'nothing more'}"
        )
    return after


def unknown(contract: Contract, message: Any) -> str:
    """Say what is wrong with a message that is in no table."""
    if not isinstance(message, MutableMapping):
        return f"send() takes a dict; got {message!r}"
    if "type" not in message:
        return f'a message without "type": {message!r}'
    known = ", ".join(contract.send)
    return f"unknown message {message['type']!r}; known: {known}"


def wrong_type(
    kind: str, name: str, types: tuple[type, ...], message: Message
) -> str:
    """Say what type a key of a message should have."""
    wanted = " or ".join(t.__name__ for t in types if t is not NONE)
    return f'{kind}: "{name}" must be {wanted}; got {message[name]!r}'


def place(error: BaseException) -> str:
    """Return "RuntimeError: db is down (main.py:12)".

    The line is the last one outside this package and the installed ones:
    the learner's own.
    """
    own = Path(__file__).parent
    line = ""
    for frame in traceback.extract_tb(error.__traceback__):
        path = Path(frame.filename)
        installed = own in path.parents or "site-packages" in path.parts
        if path.is_file() and not installed:
            line = f" ({path.name}:{frame.lineno})"
    return f"{type(error).__name__}: {error}{line}"
