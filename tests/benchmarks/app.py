"""The application under every server: as little work as possible.

It is written straight against ASGI, without a framework, so that nearly all
the time that is measured is the server's own.  Four routes:

    GET  /        13 bytes of plain text
    POST /echo    collects the whole body, then sends it back
    POST /count   reads the body piece by piece, answers how long it was
    GET  /stream  1 MiB as 64 pieces of 16 KiB
    any WebSocket sends each message back

What it does not do: no routing by method, no error handling.
"""

from collections.abc import Awaitable, Callable
from typing import Any

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

HELLO = b"Hello, world!"
PIECE = bytes(16 * 1024)
PIECES = 64


async def app(scope: Message, receive: Receive, send: Send) -> None:
    """Serve the four routes, and the lifespan."""
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
    elif scope["type"] == "http":
        handler = ROUTES.get(scope["path"], not_found)
        await handler(receive, send)
    elif scope["type"] == "websocket":
        await mirror(receive, send)


async def lifespan(receive: Receive, send: Send) -> None:
    """Agree to start, and later agree to stop."""
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})


async def hello(receive: Receive, send: Send) -> None:
    """The least an application can do."""
    await answer(send, HELLO)


async def echo(receive: Receive, send: Send) -> None:
    """Hold the whole body, then send it back in one piece."""
    pieces = []
    more = True
    while more:
        message = await receive()
        pieces.append(message.get("body", b""))
        more = message.get("more_body", False)
    await answer(send, b"".join(pieces))


async def count(receive: Receive, send: Send) -> None:
    """Read a body of any length and hold none of it."""
    total = 0
    more = True
    while more:
        message = await receive()
        total += len(message.get("body", b""))
        more = message.get("more_body", False)
    await answer(send, b"%d" % total)


async def stream(receive: Receive, send: Send) -> None:
    """Send a known length in many pieces."""
    await start(send, 200, PIECES * len(PIECE))
    for number in range(1, PIECES + 1):
        await send({
            "type": "http.response.body",
            "body": PIECE,
            "more_body": number < PIECES,
        })


async def mirror(receive: Receive, send: Send) -> None:
    """Send each message of a WebSocket back."""
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        if message.get("text") is not None:
            await send({"type": "websocket.send", "text": message["text"]})
        else:
            await send({"type": "websocket.send", "bytes": message["bytes"]})


async def not_found(receive: Receive, send: Send) -> None:
    """A wrong path must not look like a fast success."""
    await answer(send, b"Not Found", 404)


async def answer(send: Send, body: bytes, status: int = 200) -> None:
    """Send a whole response: the start, then one body message."""
    await start(send, status, len(body))
    await send({"type": "http.response.body", "body": body})


async def start(send: Send, status: int, length: int) -> None:
    """Send the first of the two messages of a response."""
    await send({
        "type": "http.response.start",
        "status": status,
        "headers": [
            (b"content-type", b"text/plain"),
            (b"content-length", b"%d" % length),
        ],
    })


ROUTES = {"/": hello, "/echo": echo, "/count": count, "/stream": stream}
