"""An ASGI application without a framework, for the clients to talk to.

Everything here is said in the words of the ASGI specification; a client
test that fails has nobody between the client and the server to blame.
"""

import asyncio
import hashlib
import json
from contextvars import ContextVar
from urllib.parse import parse_qs

NOTE = ContextVar("note", default="unset")
GATES: dict[str, asyncio.Event] = {}
LEFT: dict[str, str] = {}


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
    elif scope["type"] == "http":
        route = ROUTES.get(scope["path"], not_found)
        await route(scope, receive, send)


async def lifespan(receive, send):
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})


# -- small helpers ----------------------------------------------------------


async def body_of(receive):
    """Yield the pieces of the request body as the server hands them on."""
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise OSError("the client went away")
        more = message.get("more_body", False)
        yield message.get("body", b"")


async def start(send, status, *headers):
    message = {"type": "http.response.start", "status": status}
    await send({**message, "headers": list(headers)})


async def write(send, body, more):
    message = {"type": "http.response.body", "body": body}
    await send({**message, "more_body": more})


async def answer(send, status, body, kind=b"text/plain"):
    length = str(len(body)).encode()
    headers = [(b"content-type", kind), (b"content-length", length)]
    await start(send, status, *headers)
    await write(send, body, more=False)


async def answer_json(send, value, status=200):
    body = json.dumps(value).encode()
    await answer(send, status, body, b"application/json")


# -- routes -----------------------------------------------------------------


async def hello(scope, receive, send):
    await answer(send, 200, b"Hello, world\n")


async def not_found(scope, receive, send):
    await answer(send, 404, b"no such page\n")


async def look(scope, receive, send):
    """What the server told the application about this request."""
    headers = [
        (name.decode("latin-1"), value.decode("latin-1"))
        for name, value in scope["headers"]
    ]
    report = {
        "method": scope["method"],
        "http_version": scope["http_version"],
        "raw_path": (scope.get("raw_path") or b"").decode("latin-1"),
        "query": scope["query_string"].decode("latin-1"),
        "client": scope.get("client"),
        "headers": headers,
    }
    await answer_json(send, report)


async def digest(scope, receive, send):
    """Read the whole body, keep none of it, answer its size and hash."""
    size, sha256 = 0, hashlib.sha256()
    async for piece in body_of(receive):
        size += len(piece)
        sha256.update(piece)
    await answer_json(send, {"size": size, "sha256": sha256.hexdigest()})


async def echo(scope, receive, send):
    """Read everything, then send it back: a large answer, with a length."""
    pieces = [piece async for piece in body_of(receive)]
    await answer(send, 200, b"".join(pieces), b"application/octet-stream")


async def mirror(scope, receive, send):
    """Send each piece back as it comes, in no announced length."""
    await start(send, 200, (b"content-type", b"application/octet-stream"))
    async for piece in body_of(receive):
        await write(send, piece, more=True)
    await write(send, b"", more=False)


async def stream(scope, receive, send):
    await start(send, 200, (b"content-type", b"text/plain"))
    for number in range(5):
        await write(send, f"piece {number}\n".encode(), more=True)
        await asyncio.sleep(0)
    await write(send, b"", more=False)


async def gate(scope, receive, send):
    """Send one piece, and the second when somebody asks for /gate/open."""
    event = GATES.setdefault(name_of(scope), asyncio.Event())
    await start(send, 200, (b"content-type", b"text/event-stream"))
    await write(send, b"data: first\n\n", more=True)
    await asyncio.wait_for(event.wait(), timeout=20)
    await write(send, b"data: second\n\n", more=False)


async def gate_open(scope, receive, send):
    GATES.setdefault(name_of(scope), asyncio.Event()).set()
    await answer(send, 200, b"open\n")


def name_of(scope):
    return parse_qs(scope["query_string"].decode())["name"][0]


async def listen(scope, receive, send):
    """Say nothing after the first event; wait until the client leaves."""
    await receive()
    await start(send, 200, (b"content-type", b"text/event-stream"))
    await write(send, b"data: first\n\n", more=True)
    message = await receive()
    LEFT[name_of(scope)] = message["type"]


async def talk(scope, receive, send):
    """Never listen; talk until `send` says that nobody is there."""
    await start(send, 200, (b"content-type", b"text/event-stream"))
    await write(send, b"data: first\n\n", more=True)
    try:
        for _ in range(1000):
            await asyncio.sleep(0.02)
            await write(send, b"data: more\n\n", more=True)
    except OSError:
        LEFT[name_of(scope)] = "OSError"


async def left(scope, receive, send):
    """How the routes above learned that their client had left."""
    await answer_json(send, LEFT)


async def refuse(scope, receive, send):
    """Answer without having read one byte of the body."""
    await answer(send, 413, b"too large for me\n")


async def empty(scope, receive, send):
    await start(send, 204)
    await write(send, b"", more=False)


async def ctx_set(scope, receive, send):
    """Leave a mark in the context that the next request must not see."""
    before = NOTE.get()
    NOTE.set("set by an earlier request")
    size = 0
    async for piece in body_of(receive):
        size += len(piece)
    await answer_json(send, {"note": before, "size": size})


ROUTES = {
    "/": hello,
    "/look": look,
    "/digest": digest,
    "/echo": echo,
    "/mirror": mirror,
    "/stream": stream,
    "/gate": gate,
    "/gate/open": gate_open,
    "/listen": listen,
    "/talk": talk,
    "/left": left,
    "/refuse": refuse,
    "/empty": empty,
    "/ctx/set": ctx_set,
}
