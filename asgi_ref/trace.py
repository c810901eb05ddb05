"""A trace: what was said on each connection, and who said it where.

    trace = Trace(write)              write(event): called for each event
    trace.app(app)                    records its scope, receive and send
    trace.transport(reader, writer)   records the bytes; see Server

    ladder(event)                     text for people (--trace)
    json_line(event)                  JSON for programs (--trace=FILE.jsonl)
    Stepper()                         a write that stops before each message
                                      (--step)

It stands where bytes and messages pass anyway, and passes them on: nothing
is read that nobody asked for, nothing waits, nothing is kept. So the
conversation is the same with it as without.

It has no parser of its own for HTTP. What ours made of the bytes is what the
scope and the messages say. Frames of a WebSocket are taken apart for show.

Values of Authorization and Cookie are not shown, since people paste traces
into bug reports. Bodies, query strings and WebSocket messages are: read a
trace before you give it away.

Source: ASGI 3.0, section Middleware; RFC 6455, section 5.2 (frames).
"""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from functools import partial, update_wrapper
from os.path import basename, dirname
from types import FrameType
from typing import Any, BinaryIO, NamedTuple, cast

from .contract import (
    App,
    Message,
    Receive,
    Scope,
    Send,
    defined,
    is_learners,
    place,
)
from .frames import CLOSE, FIN, LONGEST_HEAD, MASKED, OPCODE, RSV1, TEXT, xor
from .listen import peer
from .transport import StreamTransport, Transport

log = logging.getLogger("asgi_ref")

COLUMNS = 79
SHOWN = 600  # bytes of a read or write that the ladder shows
BRIEF = 100  # bytes or characters of one value
WORDS = 26  # characters that have room beside the name of a chapter
DEPTH = 5  # of what is copied of a message: tuples in lists in dicts
SECRET = b"authorization proxy-authorization cookie set-cookie".split()
SECRETS = re.compile(
    rb"^((?:%b)[ \t]*:)[^\r\n]*" % b"|".join(SECRET), re.I | re.M
)
BLANK = b"***"
NAME = 64  # bytes of a line's beginning: enough to see which field it is


class Event(NamedTuple):
    """One thing that happened.

    ms: milliseconds since the connection began. connection: its number; 0
    is what belongs to none, such as lifespan. station: a key of STATIONS.
    what: bytes, a message or a scope (copied, without secrets), or words.
    place: "main.py:12", the application's own line, or "".
    """

    ms: float
    connection: int
    station: str
    what: Any
    place: str = ""


# record(station, what, place): tell the trace what happens on a connection
Record = Callable[..., None]

# That of the connection whose task this is: an application is not told it.
current: ContextVar[Record] = ContextVar("asgi_ref.trace.current")


class Trace:
    """Hears what is said on all connections of a server.

    write: gets each event when it happens. clock: returns seconds.
    """

    def __init__(
        self,
        write: Callable[[Event], object],
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._write, self._clock = write, clock
        self._numbers = itertools.count()
        self._of_nobody = self._begin()

    def _begin(self) -> Record:
        return partial(self._record, next(self._numbers), self._clock())

    def _record(
        self,
        connection: int,
        began: float,
        station: str,
        what: Any,
        place: str = "",
    ) -> None:
        ms = 1000 * (self._clock() - began)
        try:
            self._write(Event(ms, connection, station, what, place))
        except (OSError, ValueError) as error:  # a full disk, a closed file
            self._write = lambda event: None
            log.error("trace     ends here: %s", error)

    def transport(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> Transport:
        """Return a transport over a client's two streams, and hear it."""
        return self.around(StreamTransport(reader, writer))

    def around(self, transport: Transport) -> Transport:
        """Return a transport that does what another does, and hear it."""
        return cast(Transport, TracedTransport(transport, self._begin()))

    def app(self, application: App) -> App:
        """Return an application that does what another does, and hear it."""

        async def traced(scope: Scope, receive: Receive, send: Send) -> None:
            record = self._of_nobody
            if scope["type"] in ("http", "websocket"):
                record = current.get(record)
                record("request", request_of(scope))
            record("scope", snapshot(scope))
            line = partial(line_of, scope)
            hear, say = heard(record, receive, line), said(record, send, line)
            try:
                await application(scope, hear, say)
            except BaseException as error:
                record("raised", place(error))
                raise
            route = scope.get("endpoint", application)
            record("returned", "", first_line(route))

        return update_wrapper(traced, application, (), ())


# Messages.


def heard(
    record: Record, receive: Receive, line_now: Callable[[], str]
) -> Receive:
    """Return a `receive` that records what it returns."""

    async def hear(line: str) -> Message:
        message = await receive()
        record("receive", snapshot(message), line)
        return message

    # No `async def`: when it is called, we still see who calls.
    return lambda: hear(line_now())


def said(record: Record, send: Send, line_now: Callable[[], str]) -> Send:
    """Return a `send` that records what it is given, then passes it on."""

    async def say(message: Message, line: str) -> None:
        record("send", snapshot(message), line)
        try:
            await send(message)
        except BaseException as error:
            record("refused", place(error), line)
            raise

    return lambda message: say(message, line_now())


LOOP = asyncio.Handle._run.__code__  # what calls each task


def applications_frame() -> FrameType | None:
    """Return where the application is; None if it is not on the stack.

    That is the learner's own code, or else the framework which speaks in
    its place. Behind the event loop would be who started the server.
    """
    frame, framework = sys._getframe(1), None
    while frame is not None and frame.f_code is not LOOP:
        path = frame.f_code.co_filename
        if is_learners(path):
            return frame
        if "-packages" in path and dirname(path) != dirname(__file__):
            framework = framework or frame
        frame = cast(FrameType, frame.f_back)
    return framework


def line_of(scope: Scope) -> str:
    """Return "main.py:12", where the application is, or "".

    When a framework speaks, its router has left the function that it chose
    in scope["endpoint"] (Starlette and FastAPI do).
    """
    frame = applications_frame()
    if frame is None:
        return ""
    path = frame.f_code.co_filename
    if not is_learners(path) and "endpoint" in scope:
        return first_line(scope["endpoint"])
    return f"{basename(path)}:{frame.f_lineno}"


def first_line(function: Any) -> str:
    """Return "main.py:12", where a function begins, or ""."""
    return defined(function).strip(" ()")


def request_of(scope: Scope) -> str:
    """Return the request as the parser has understood it."""
    target = scope["raw_path"].decode("latin-1")
    if query := scope["query_string"].decode("latin-1"):
        target += f"?{query}"
    method, version = scope.get("method", "GET"), scope["http_version"]
    return f"{method} {target} HTTP/{version}"


def snapshot(value: Any, depth: int = DEPTH) -> Any:
    """Return a copy of a message or scope that can be shown and kept.

    Making it changes nothing: a generator is not run, foreign objects are
    only named. Of what the application keeps in `state` we copy the keys.
    """
    if value is None or isinstance(value, (bytes, str, int, float)):
        return value
    if isinstance(value, (bytearray, memoryview)):
        return bytes(value)
    if depth and isinstance(value, dict):
        copy = {
            str(snapshot(key, 0)): snapshot(value[key], depth - 1)
            for key in value
        }
        if isinstance(copy.get("state"), dict):
            copy["state"] = [*copy["state"]]
        return copy
    if depth and isinstance(value, (list, tuple)):
        items = [snapshot(item, depth - 1) for item in value]
        if len(items) == 2 and is_secret(items[0]):
            items[1] = BLANK
        return items if isinstance(value, list) else tuple(items)
    return f"<{type(value).__name__}>"


def is_secret(name: object) -> bool:
    """Say whether this is the name of a field whose value is a secret."""
    return isinstance(name, bytes) and name.strip().lower() in SECRET


# Bytes.


class TracedTransport:
    """Does what another transport does, and records it."""

    def __init__(self, transport: Transport, record: Record) -> None:
        self._transport, self._record = transport, record
        self._in, self._out = Wire(), Wire()
        self._switched = self._closed = False
        record("open", peer(transport.client))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)  # what we need not hear

    @property
    def deadline(self) -> float:
        """The other's; set for each request before the application runs."""
        return self._transport.deadline

    @deadline.setter
    def deadline(self, when: float) -> None:
        current.set(self._record)
        self._transport.deadline = when

    async def read(self) -> bytes:
        """Read, then record what has come."""
        current.set(self._record)
        data = await self._transport.read()
        self._hear("read", data, self._in)
        return data

    def write(self, data: bytes) -> bool:
        """Record, then write."""
        self._hear("write", data, self._out)
        self._switched |= data.startswith(b"HTTP/1.1 101 ")
        return self._transport.write(data)

    def _hear(self, station: str, data: bytes, wire: Wire) -> None:
        if not self._switched:
            return self._record(station, wire.blank(data))
        self._record(station, data)
        for frame in wire.frames(data):
            self._record("frame", frame)

    async def drain(self) -> None:
        """Record that there is no room, and wait for it."""
        self._record("drain", f"{self._transport.unsent} bytes unsent")
        await self._transport.drain()

    async def send_file(self, file: BinaryIO, size: int) -> None:
        """Record that a file is sent, not what is in it."""
        self._record("write", f"{size} bytes of a file")
        await self._transport.send_file(file, size)

    def write_eof(self) -> None:
        """Record that nothing more will be sent, and say so."""
        self._record("close", "of our side")
        self._transport.write_eof()

    async def close(self) -> None:
        """Record the end, the first time, and end the connection."""
        if not self._closed:
            self._closed = True
            self._record("close", "")
        await self._transport.close()

    def abort(self, reset: bool = False) -> None:
        """Record the end, and end the connection now."""
        self._closed = True
        self._record("close", "at once, with a reset" if reset else "at once")
        self._transport.abort(reset)


class Wire:
    """One direction's bytes, made fit to be shown, piece by piece.

    It keeps the beginning of a line, or of a frame's head.
    """

    def __init__(self) -> None:
        self._begun, self._left = b"", 0

    def blank(self, data: bytes) -> bytes:
        """Return a piece of HTTP without secrets.

        A field may come in pieces, so we look at it with its beginning.
        """
        before, whole = len(self._begun), self._begun + data
        self._begun = whole[whole.rfind(b"\n") + 1 :][:NAME]

        def without(match: re.Match[bytes]) -> bytes:
            shown = max(match.end(1), before)
            return whole[match.start() : shown] + b" " + BLANK

        return SECRETS.sub(without, whole)[before:]

    def frames(self, data: bytes) -> Iterator[str]:
        """Yield the frames that begin in a piece (RFC 6455, 5.2)."""
        data, at = self._begun + data, self._left
        while len(head := data[at : at + LONGEST_HEAD]) > 1:
            size, masked = head[1] & ~MASKED, head[1] & MASKED
            end = {126: 4, 127: 10}.get(size, 2)
            if size > 125:
                size = int.from_bytes(head[2:end], "big")
            mask = head[end : end + 4] if masked else bytes(4)
            end += 4 if masked else 0
            if len(head) < end:
                break
            at += end
            payload = data[at : at + min(size, BRIEF)]
            yield frame(head[0], size, xor(payload, mask))
            at += size
        self._begun, self._left = data[at:], max(0, at - len(data))


OPCODES = {
    **{0: "more", 1: "text", 2: "binary"},
    **{8: "close", 9: "ping", 10: "pong"},
}


def frame(first: int, size: int, payload: bytes) -> str:
    """Return a frame in words; payload: its beginning."""
    opcode = first & OPCODE
    name = OPCODES.get(opcode, f"opcode {opcode}")
    if opcode == CLOSE and size > 1:
        name = f"close {int.from_bytes(payload[:2], 'big')}"
        payload = payload[2:]
    name += "" if first & FIN else ", to be continued"
    if first & RSV1:
        return f"{name}, {size} bytes, compressed"
    text = opcode in (TEXT, CLOSE)
    shown = payload.decode(errors="replace") if text else payload
    return f"{name}, {size} bytes, {shown!r}"


# For people.

# Station: what is drawn between client, server and application, and the
# chapter that teaches it. Messages have that of their protocol.
STATIONS = {
    "open": ("o----->|      |", "14 server"),
    "read": ("|----->|      |", "11 transport"),
    "frame": ("|      *      |", "17 frames"),
    "request": ("|      *      |", "03 request"),
    "scope": ("|      |----->|", "10 scope"),
    "receive": ("|      |----->|", "09 contract"),
    "send": ("|      |<-----|", "09 contract"),
    "refused": ("|      |x-----|", "09 contract"),
    "raised": ("|      |      x", "12 exchange"),
    "returned": ("|      |      o", "12 exchange"),
    "write": ("|<-----|      |", "11 transport"),
    "drain": ("|   ...|      |", "11 transport"),
    "close": ("x<-----|      |", "11 transport"),
}
PROTOCOLS = {
    "http": "12 exchange",
    "websocket": "19 websocket",
    "lifespan": "13 lifespan",
}
HEADING = f"{'ms':>8}  #    client server app"
OF_SCOPE = "path", "query_string", "root_path"


def ladder(event: Event) -> str:
    """Return an event as lines of at most 79 columns, without the last \\n.

    HEADING belongs above the first one.
    """
    rails, _ = STATIONS[event.station]
    left = f"{event.ms:8.1f}  #{event.connection:<3} {rails}  "
    below = f"{'':8}  #{event.connection:<3} |      |      |  "
    width = COLUMNS - len(below)
    title, *details = described(event)
    tag = chapter(event).rjust(width - len(title))
    first = [title + tag] if tag[0] == " " else [title, tag]
    lines = [
        line[start : start + width]
        for line in map(visible, first + details)
        for start in range(0, len(line) or 1, width)
    ]
    return left + f"\n{below}".join(lines)


def described(event: Event) -> list[str]:
    """Return an event in words: a title, then details."""
    station, what = event.station, event.what
    if isinstance(what, bytes):
        return [f"{station} {len(what)} bytes", *in_lines(what)]
    lines = [f"at {event.place}"] if event.place else []
    if not isinstance(what, dict):
        if len(str(what)) > WORDS:
            return [station, *lines, what]
        return [f"{station} {what}", *lines]
    for key, value in what.items():
        if key == "type" or (station == "scope" and key not in OF_SCOPE):
            continue
        if isinstance(value, list) and value:
            lines += [f"{key}:", *(f"  {item!r}" for item in value)]
        else:
            lines.append(f"{key}: {short(value)}")
    return [f"{station} {what.get('type')}", *lines]


def chapter(event: Event) -> str:
    """Return the chapter that teaches what an event is about."""
    _, general = STATIONS[event.station]
    if event.station not in ("receive", "send"):
        return general
    kind = event.what.get("type") if isinstance(event.what, dict) else ""
    return PROTOCOLS.get(str(kind).partition(".")[0], general)


def in_lines(data: bytes) -> list[str]:
    """Return text as lines, and all else as hexadecimal digits."""
    shown = data[:SHOWN]
    if not data:
        return ["the end"]
    if b" " <= data[:1] < b"\x7f" or data[:1].isspace():
        lines = [repr(line)[2:-1] for line in shown.splitlines(True)]
    else:
        shown = shown[:LONGEST_HEAD]
        lines = [shown.hex(" ")]
    return lines + ["..."] * (len(shown) < len(data))


def short(value: object) -> str:
    """Return a value as Python writes it, the beginning of a long one."""
    if isinstance(value, (bytes, str)) and len(value) > BRIEF:
        return f"{value[:BRIEF]!r}... {len(value)} in all"
    return repr(value)


def visible(text: str) -> str:
    """Return a text with escapes for what gives orders to a terminal."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


# For programs.


def json_line(event: Event) -> str:
    """Return an event as one line of JSON, without the last \\n.

    Bytes become text in latin-1: "\\u00ff" is 255, and
    `.encode("latin-1")` brings them back. Which values are bytes, ASGI says.
    """
    named = event._asdict()
    named |= {"ms": round(event.ms, 3), "chapter": chapter(event)}
    return json.dumps(named, default=lambda data: data.decode("latin-1"))


# Step by step.

MESSAGES = "scope", "receive", "send"
HELP = "Enter: next  c: no more stops  p: print all of it  b: debugger"


class Stepper:
    """Writes the ladder, and stops before each message goes on.

    It waits for a person, and all of the server with it, as in a debugger.
    """

    def __init__(
        self,
        show: Callable[[str], object] = print,
        ask: Callable[[str], str] = input,
    ) -> None:
        self._show, self._ask, self._stops = show, ask, True

    def __call__(self, event: Event) -> None:
        """Write an event; if it is a message, ask what to do."""
        self._show(ladder(event))
        while self._stops and event.station in MESSAGES:
            try:
                word = self._ask("step> ").strip()
            except EOFError:  # nobody is there to ask
                word = "c"
            if self._obey(word, event):
                return

    def _obey(self, word: str, event: Event) -> bool:
        """Do what was asked for; say whether the message goes on."""
        if word == "b":
            return self._debug()
        if word == "c":
            self._stops = False
        elif word == "p":
            from pprint import pformat  # most servers start without it

            self._show(pformat(event.what, width=COLUMNS, sort_dicts=False))
        elif word:
            self._show(HELP)
        return word in ("", "c")

    def _debug(self) -> bool:
        frame = applications_frame()
        if frame is None:
            self._show("the application has not begun, or is not waiting here")
            return False
        from pdb import Pdb

        debugger = Pdb(nosigint=True)  # Ctrl+C still stops the server
        debugger.set_trace(frame)
        sys.settrace(None)  # it would stop in what lies between
        debugger.set_next(frame)
        sys.settrace(debugger.trace_dispatch)
        return True
