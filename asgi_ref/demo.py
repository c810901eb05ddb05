"""The demo: an application that uses nothing but the contract.

    GET  /            a page that links the others
    GET  /hello       "Hello, world!"
    GET  /scope       what the server told us about your request
    POST /echo        your body, sent back as it arrives
    GET  /clock       the time, once a second, five times
    GET  /wait        a long poll: answers when somebody posts to /wake
    POST /wake        answers how many were waiting
    GET  /chat        a page with a chat room on it
    WebSocket /chat   the room: everybody hears what anybody says

No framework stands between it and the server, so that nothing hides which
messages go to and fro. It imports nothing of this package: any ASGI server
can run it.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

PAGE = """<!doctype html>
<meta charset="utf-8"><title>asgi_ref</title>
<h1>It runs.</h1>
<p>This page came from <code>asgi_ref/demo.py</code>, by way of {count}
requests so far. See <a href="/hello">/hello</a>, <a href="/scope">/scope</a>,
<a href="/clock">/clock</a>; <a href="/wait">/wait</a> answers when you
<button onclick="fetch('/wake', {{method: 'POST'}})">wake</button> it.
Open <a href="/chat">/chat</a> in two windows.</p>
"""

CHAT_PAGE = """<!doctype html>
<meta charset="utf-8"><title>asgi_ref: chat</title>
<h1>The room</h1>
<form><input autofocus autocomplete="off"> <button>say</button></form>
<pre></pre>
<script>
const [form, input, pre] =
    ["form", "input", "pre"].map(name => document.querySelector(name));
const show = line => pre.prepend(line + "\\n");
let socket;
function join() {
    socket = new WebSocket(location.href.replace("http", "ws"));
    socket.onmessage = event => show(event.data);
    socket.onclose = event => {
        show(`(closed: ${event.code} ${event.reason})`);
        setTimeout(join, 2000);
    };
}
form.onsubmit = event => {
    event.preventDefault();
    socket.send(input.value);
    input.value = "";
};
join();
</script>
"""
PATIENCE = 2.0  # seconds in which a member of the room must read a line


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Serve the demo: ASGI 3, lifespan, HTTP and WebSocket."""
    if scope["type"] == "lifespan":
        return await lifespan(scope, receive, send)
    if scope["type"] == "websocket":
        return await chat(scope, receive, send)
    if scope["type"] != "http":
        raise ValueError(f"the demo does not speak {scope['type']}")
    scope["state"]["counter"]["requests"] += 1
    # HEAD is GET without the body; the server leaves that out.
    method = "GET" if scope["method"] == "HEAD" else scope["method"]
    route = ROUTES.get((method, scope["path"]), not_found)
    await route(scope, receive, send)


async def lifespan(scope: Scope, receive: Receive, send: Send) -> None:
    """Make what all requests share, before the first of them."""
    await receive()
    scope["state"]["counter"] = {"requests": 0}
    scope["state"]["waiting"] = set()
    scope["state"]["room"] = set()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})


async def answer(
    send: Send, body: str, kind: str = "text/plain", status: int = 200
) -> None:
    """Send a whole response at once."""
    data = body.encode()
    headers = [
        (b"content-type", f"{kind}; charset=utf-8".encode()),
        (b"content-length", str(len(data)).encode()),
    ]
    await send(
        {"type": "http.response.start", "status": status, "headers": headers}
    )
    await send({"type": "http.response.body", "body": data})


async def index(scope: Scope, receive: Receive, send: Send) -> None:
    """Show the page."""
    count = scope["state"]["counter"]["requests"]
    await answer(send, PAGE.format(count=count), "text/html")


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    """Say hello."""
    await answer(send, "Hello, world!\n")


async def show_scope(scope: Scope, receive: Receive, send: Send) -> None:
    """Show the scope as JSON; bytes are shown as text."""
    shown = {key: scope[key] for key in scope if key != "state"}
    text = json.dumps(shown, indent=2, default=lambda b: b.decode("latin-1"))
    await answer(send, text, "application/json")


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Send each piece of the body back before the next one is read."""
    await send({"type": "http.response.start", "status": 200})
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        more = message.get("more_body", False)
        body = message.get("body", b"")
        await send(
            {"type": "http.response.body", "body": body, "more_body": more}
        )


async def clock(scope: Scope, receive: Receive, send: Send) -> None:
    """Stream the time; the client sees each line when it is sent."""
    headers = [(b"content-type", b"text/plain")]
    await send(
        {"type": "http.response.start", "status": 200, "headers": headers}
    )
    for _ in range(5):
        line = time.strftime("%H:%M:%S\n").encode()
        await send(
            {"type": "http.response.body", "body": line, "more_body": True}
        )
        await asyncio.sleep(1)
    await send({"type": "http.response.body"})


async def wait(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer when somebody wakes us, or never if the client leaves."""
    waiting = scope["state"]["waiting"]
    woken = asyncio.Event()
    waiting.add(woken)
    left = asyncio.create_task(disconnected(receive))
    wake = asyncio.create_task(woken.wait())
    try:
        await asyncio.wait({left, wake}, return_when="FIRST_COMPLETED")
        if woken.is_set():
            await answer(send, "Good morning!\n")
    finally:
        waiting.discard(woken)
        left.cancel()
        wake.cancel()


async def disconnected(receive: Receive) -> None:
    """Return when the client has left."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def wake(scope: Scope, receive: Receive, send: Send) -> None:
    """Wake all who wait."""
    waiting = scope["state"]["waiting"]
    for woken in waiting:
        woken.set()
    await answer(send, f"{len(waiting)} were waiting\n")


async def chat_page(scope: Scope, receive: Receive, send: Send) -> None:
    """Show the page of the chat room."""
    await answer(send, CHAT_PAGE, "text/html")


async def chat(scope: Scope, receive: Receive, send: Send) -> None:
    """Let a client join the room, be heard, and leave."""
    await receive()  # websocket.connect
    if scope["path"] != "/chat":
        return await send({"type": "websocket.close"})
    await send({"type": "websocket.accept"})
    room = scope["state"]["room"]
    room.add(send)
    try:
        await tell(room, f"somebody came: {len(room)} here")
        while (message := await receive())["type"] == "websocket.receive":
            await tell(room, message.get("text") or "(bytes)")
    finally:
        room.discard(send)
        await tell(room, f"somebody left: {len(room)} here")


async def tell(room: set[Send], text: str) -> None:
    """Send a line to everybody; who does not read in time is out."""
    lines = [say(room, send, text) for send in room]
    await asyncio.gather(*lines)


async def say(room: set[Send], send: Send, text: str) -> None:
    """Send a line to one member of the room."""
    message = {"type": "websocket.send", "text": text}
    try:
        await asyncio.wait_for(send(message), PATIENCE)
    except (OSError, TimeoutError):
        room.discard(send)


async def not_found(scope: Scope, receive: Receive, send: Send) -> None:
    """Say that there is nothing."""
    await answer(send, f"Nothing at {scope['path']}\n", status=404)


ROUTES = {
    ("GET", "/"): index,
    ("GET", "/hello"): hello,
    ("GET", "/scope"): show_scope,
    ("POST", "/echo"): echo,
    ("GET", "/clock"): clock,
    ("GET", "/wait"): wait,
    ("POST", "/wake"): wake,
    ("GET", "/chat"): chat_page,
}
