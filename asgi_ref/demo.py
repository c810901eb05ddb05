"""The demo: an application that uses nothing but the contract.

    GET  /            a page that lists the others
    GET  /hello       "Hello, world!"
    GET  /scope       what the server told us about your request
    POST /echo        your body, sent back as it arrives
    GET  /clock       server-sent events: the time, until you leave
    GET  /wait        a long poll: answers when somebody posts to /wake
    POST /wake        answers how many were waiting
    GET  /chat        a page with a chat room on it
    WebSocket /chat   the room: everybody hears what anybody says

No framework stands between it and the server, so that nothing hides which
messages go to and fro. It imports nothing of this package: any ASGI server
that has lifespan state can run it.

It asks nobody who they are, does not look at Origin, keeps nothing that was
said, and has a room of its own in each worker process.

Source: ASGI 3.0, ASGI HTTP and WebSocket 2.5, ASGI lifespan 2.0; for /clock
the HTML standard, "Server-sent events".
"""

from __future__ import annotations

import asyncio
import html
import json
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Route = Callable[[Scope, Receive, Send], Awaitable[None]]
Room = dict[Send, asyncio.Event]  # each member, and the event "you are out"

PATIENCE = 2.0  # seconds in which a member of the room must take a line

# Both pages begin with this. Nothing is loaded from anywhere else.
TOP = """<!doctype html><html lang="en"><meta charset="utf-8">
<title>asgi_ref: the demo</title><link rel="icon" href="data:,">
<meta name="viewport" content="width=device-width">
<style>
:root { color-scheme: light dark; font: 1rem/1.6 system-ui, sans-serif }
body { max-width: 44rem; margin: 2rem auto; padding: 0 1rem }
pre { white-space: pre-wrap; overflow-wrap: anywhere }
input, button { font: inherit }
td { padding-right: 1rem; vertical-align: top }
</style>
"""
INDEX = """<h1>It runs</h1>
<p><code>asgi_ref/demo.py</code> made this page in answer to request {count}
since the server started. What it can do, in the words of its functions:</p>
<table>{rows}</table>
<p><button onclick="start(this)">Start the clock</button>
<button onclick="fetch('/wake', {{method: 'POST'}})">Wake who waits</button>
<p>In a terminal:</p>
<pre>curl -N {url}/clock
curl -d "some text" {url}/echo
curl {url}/wait
curl -X POST {url}/wake</pre>
<script>
function start(button) {{
    const source = new EventSource("/clock");
    source.onmessage = event => button.textContent = event.data;
    button.onclick = null;
    onpagehide = () => source.close();
}}
</script>
"""
# onpagehide: a browser may keep the page, and what it has open, for "back".
CHAT_PAGE = """<h1>The room</h1>
<p>Open this page in two windows, and say something.</p>
<form><input autofocus required autocomplete="off" aria-label="What you say">
<button>Say it</button></form>
<pre role="log"></pre>
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
onpagehide = () => socket.close();
form.onsubmit = event => {
    event.preventDefault();
    socket.send(input.value);
    input.value = "";
};
join();
</script>
"""


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
    scope["state"]["room"] = {}
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})


# What the routes answer with.


async def start(
    send: Send, kind: str, *more: tuple[bytes, bytes], status: int = 200
) -> None:
    """Begin a response; `more` are further headers."""
    headers = [(b"content-type", f"{kind}; charset=utf-8".encode()), *more]
    message = {"type": "http.response.start", "status": status}
    await send({**message, "headers": headers})


async def body(send: Send, data: bytes, more: bool = False) -> None:
    """Send a piece of the body; more: it is not the last one."""
    message = {"type": "http.response.body", "body": data}
    await send({**message, "more_body": more})


async def answer(
    send: Send, text: str, kind: str = "text/plain", status: int = 200
) -> None:
    """Send a whole response at once."""
    data = text.encode()
    size = b"content-length", str(len(data)).encode()
    await start(send, kind, size, status=status)
    await body(send, data)


# Question and answer.


async def index(scope: Scope, receive: Receive, send: Send) -> None:
    """Show this page."""
    host = dict(scope["headers"]).get(b"host", b"").decode("latin-1")
    page = INDEX.format(
        count=scope["state"]["counter"]["requests"],
        rows="".join(row(*key, route) for key, route in ROUTES.items()),
        url=html.escape(f"{scope['scheme']}://{host}"),
    )
    await answer(send, TOP + page, "text/html")


def row(method: str, path: str, route: Route) -> str:
    """Return a row of the page's table; only a GET can be a link."""
    link = f'<a href="{path}">{path}</a>' if method == "GET" else path
    return f"<tr><td>{method}<td>{link}<td>{route.__doc__}\n"


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    """Say hello."""
    await answer(send, "Hello, world!\n")


async def show_scope(scope: Scope, receive: Receive, send: Send) -> None:
    """Show the scope as JSON; bytes are shown as text."""
    shown = {key: scope[key] for key in scope if key != "state"}
    text = json.dumps(shown, indent=2, default=lambda b: b.decode("latin-1"))
    await answer(send, text, "application/json")


async def not_found(scope: Scope, receive: Receive, send: Send) -> None:
    """Say that there is nothing."""
    await answer(send, f"Nothing at {scope['path']}\n", status=404)


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Send each piece of the body back before the next one is read."""
    await start(send, "text/plain")
    more = True
    while more and (message := await receive())["type"] == "http.request":
        more = message.get("more_body", False)
        await body(send, message.get("body", b""), more)


# Answers that take as long as the client stays.


async def first_of(*jobs: Coroutine[Any, Any, Any]) -> None:
    """Run jobs side by side until one is over; cancel the others."""
    tasks = [asyncio.create_task(job) for job in jobs]
    try:
        done, _ = await asyncio.wait(tasks, return_when="FIRST_COMPLETED")
        for task in done:
            await task  # raises what it raised
    finally:
        for task in tasks:
            task.cancel()


async def disconnected(receive: Receive) -> None:
    """Return when the client has left."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def clock(scope: Scope, receive: Receive, send: Send) -> None:
    """Send the time once a second, until the client leaves."""
    await start(send, "text/event-stream")
    await first_of(tick(send), disconnected(receive))


async def tick(send: Send) -> None:
    """Send an event each second: lines, and an empty line."""
    while True:
        event = time.strftime("data: %H:%M:%S\n\n")
        await body(send, event.encode(), more=True)
        await asyncio.sleep(1)


async def wait(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer when somebody wakes us, or never if the client leaves."""
    waiting = scope["state"]["waiting"]
    woken = asyncio.Event()
    waiting.add(woken)
    try:
        await first_of(woken.wait(), disconnected(receive))
        if woken.is_set():
            await answer(send, "Good morning!\n")
    finally:
        waiting.discard(woken)


async def wake(scope: Scope, receive: Receive, send: Send) -> None:
    """Wake all who wait."""
    waiting = scope["state"]["waiting"]
    for woken in waiting:
        woken.set()
    await answer(send, f"{len(waiting)} were waiting\n")


# The chat room.


async def chat_page(scope: Scope, receive: Receive, send: Send) -> None:
    """Show the chat room. Open it in two windows."""
    await answer(send, TOP + CHAT_PAGE, "text/html")


async def chat(scope: Scope, receive: Receive, send: Send) -> None:
    """Let a client join the room, be heard, and leave."""
    await receive()  # websocket.connect
    if scope["path"] != "/chat":
        return await send({"type": "websocket.close"})
    await send({"type": "websocket.accept"})
    room = scope["state"]["room"]
    out = room[send] = asyncio.Event()
    try:
        await tell(room, f"somebody came: {len(room)} here")
        await first_of(listen(room, receive), out.wait())
    finally:
        del room[send]
        await tell(room, f"somebody left: {len(room)} here")


async def listen(room: Room, receive: Receive) -> None:
    """Tell everybody what a member says, until the member leaves."""
    while (message := await receive())["type"] == "websocket.receive":
        text = message.get("text")
        await tell(room, "(bytes)" if text is None else text)


async def tell(room: Room, text: str) -> None:
    """Send a line to everybody in the room, at the same time."""
    lines = [say(send, text, out) for send, out in room.items()]
    await asyncio.gather(*lines)


async def say(send: Send, text: str, out: asyncio.Event) -> None:
    """Send a line to one member; who does not take it in time is out."""
    try:
        async with asyncio.timeout(PATIENCE):
            await send({"type": "websocket.send", "text": text})
    except (OSError, TimeoutError):
        out.set()


ROUTES: dict[tuple[str, str], Route] = {
    ("GET", "/"): index,
    ("GET", "/hello"): hello,
    ("GET", "/scope"): show_scope,
    ("POST", "/echo"): echo,
    ("GET", "/clock"): clock,
    ("GET", "/wait"): wait,
    ("POST", "/wake"): wake,
    ("GET", "/chat"): chat_page,
}
