"""The demo on Starlette: the same routes, to see what a framework saves.

    python -m asgi_ref starlette_example:app --app-dir chapters/20_demo

The pages are those of `asgi_ref.demo`. What is imported from it besides is
what Starlette has nothing for: to wait for two things at once.

Source: the Starlette documentation.
"""

import asyncio
import html
import json
import time
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.responses import (
    HTMLResponse,
    PlainTextResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocketDisconnect

from asgi_ref.demo import (
    CHAT_PAGE,
    INDEX,
    PATIENCE,
    TOP,
    disconnected,
    first_of,
    row,
)


@asynccontextmanager
async def lifespan(app):
    """Make what all requests share."""
    yield {"counter": {"requests": 0}, "waiting": set(), "room": {}}


class Counting:
    """Count the requests, around the application."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        """Serve one scope, and count it if it is a request."""
        if scope["type"] == "http":
            scope["state"]["counter"]["requests"] += 1
        await self.app(scope, receive, send)


async def index(request):
    """Show this page."""
    routes = [route for route in app.app.routes if isinstance(route, Route)]
    keys = [(min(r.methods - {"HEAD"}), r.path, r.endpoint) for r in routes]
    page = INDEX.format(
        count=request.state.counter["requests"],
        rows="".join(row(*key) for key in keys),
        url=html.escape(str(request.base_url).rstrip("/")),
    )
    return HTMLResponse(TOP + page)


async def hello(request):
    """Say hello."""
    return PlainTextResponse("Hello, world!\n")


async def show_scope(request):
    """Show the scope as JSON; bytes are shown as text."""
    known = "type", "asgi", "http_version", "method", "path", "headers"
    shown = {key: request.scope[key] for key in known}
    text = json.dumps(shown, indent=2, default=lambda b: b.decode("latin-1"))
    return Response(text, media_type="application/json")


async def echo(request):
    """Send each piece of the body back before the next one is read."""
    return StreamingResponse(request.stream(), media_type="text/plain")


async def clock(request):
    """Send the time once a second, until the client leaves."""
    return StreamingResponse(tick(), media_type="text/event-stream")


async def tick():
    """Yield an event each second."""
    while True:
        yield time.strftime("data: %H:%M:%S\n\n")
        await asyncio.sleep(1)


async def wait(request):
    """Answer when somebody wakes us, or never if the client leaves."""
    waiting = request.state.waiting
    woken = asyncio.Event()
    waiting.add(woken)
    try:
        await first_of(woken.wait(), disconnected(request.receive))
        return PlainTextResponse("Good morning!\n")
    finally:
        waiting.discard(woken)


async def wake(request):
    """Wake all who wait."""
    for woken in request.state.waiting:
        woken.set()
    return PlainTextResponse(f"{len(request.state.waiting)} were waiting\n")


async def chat_page(request):
    """Show the chat room. Open it in two windows."""
    return HTMLResponse(TOP + CHAT_PAGE)


async def chat(websocket):
    """Let a client join the room, be heard, and leave."""
    await websocket.accept()
    room = websocket.state.room
    out = room[websocket] = asyncio.Event()
    try:
        await tell(room, f"somebody came: {len(room)} here")
        await first_of(listen(room, websocket), out.wait())
    finally:
        del room[websocket]
        await tell(room, f"somebody left: {len(room)} here")


async def listen(room, websocket):
    """Tell everybody what a member says, until the member leaves."""
    async for text in websocket.iter_text():
        await tell(room, text)


async def tell(room, text):
    """Send a line to everybody in the room, at the same time."""
    await asyncio.gather(*[say(*member, text) for member in room.items()])


async def say(websocket, out, text):
    """Send a line to one member; who does not take it in time is out."""
    try:
        async with asyncio.timeout(PATIENCE):
            await websocket.send_text(text)
    except (WebSocketDisconnect, TimeoutError):
        out.set()


app = Counting(
    Starlette(
        lifespan=lifespan,
        routes=[
            Route("/", index),
            Route("/hello", hello),
            Route("/scope", show_scope),
            Route("/echo", echo, methods=["POST"]),
            Route("/clock", clock),
            Route("/wait", wait),
            Route("/wake", wake, methods=["POST"]),
            Route("/chat", chat_page),
            WebSocketRoute("/chat", chat),
        ],
    )
)
