"""The same WebSocket, an echo, in the words of four frameworks and of none.

/raw /starlette /fastapi /quart /litestar: an echo each, and under /deny a
refusal. /socket.io is python-socketio. /page is for a browser, which says in
POST /report what it has seen; GET /report waits for it.
"""

import asyncio

import litestar
import socketio
from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from quart import Quart
from quart import websocket as quart_websocket
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import WebSocketRoute

ENDS: list[list[object]] = []
REPORT: list[bytes] = []
REPORTED = asyncio.Event()

PAGE = b"""<!doctype html><title>echo</title><script>
const seen = {messages: []};
const socket = new WebSocket(`ws://${location.host}/raw`, ["v9", "echo"]);
socket.binaryType = "arraybuffer";
const sent = ["h\\u00e9", "", "x".repeat(100000), new Uint8Array(300000)];
socket.onopen = () => {
    seen.extensions = socket.extensions;
    seen.protocol = socket.protocol;
    sent.forEach(data => socket.send(data));
};
socket.onmessage = ({data}) => {
    const size = data.byteLength ?? -data.length;
    seen.messages.push(size);
    if (seen.messages.length == sent.length) socket.close(4001, "bye");
};
socket.onclose = ({code, reason, wasClean}) => {
    Object.assign(seen, {code, reason, wasClean});
    fetch("/report", {method: "POST", body: JSON.stringify(seen)});
};
</script>"""


async def raw(scope, receive, send):
    """An echo in the words of the specification."""
    await receive()
    if scope["path"].endswith("/deny"):
        return await send({"type": "websocket.close"})
    chosen = "echo" if "echo" in scope["subprotocols"] else None
    await send({"type": "websocket.accept", "subprotocol": chosen})
    while (message := await receive())["type"] == "websocket.receive":
        await send({**message, "type": "websocket.send"})
    ENDS.append([message["code"], message["reason"]])


async def star(websocket):
    if websocket.url.path.endswith("/deny"):
        response = PlainTextResponse("not you", 401)
        return await websocket.send_denial_response(response)
    await websocket.accept()
    while (message := await websocket.receive())["type"].endswith("receive"):
        if message.get("text") is not None:
            await websocket.send_text(message["text"])
        else:
            await websocket.send_bytes(message["bytes"])


starlette_app = Starlette(
    routes=[
        WebSocketRoute("/starlette", star),
        WebSocketRoute("/starlette/deny", star),
    ]
)
fastapi_app = FastAPI()


@fastapi_app.websocket("/fastapi")
async def fast(websocket: WebSocket):
    await websocket.accept()
    try:
        while True:
            message = await websocket.receive()
            if message["type"] == "websocket.disconnect":
                return
            if message.get("text") is not None:
                await websocket.send_text(message["text"])
            else:
                await websocket.send_bytes(message["bytes"])
    except WebSocketDisconnect:
        pass


@fastapi_app.websocket("/fastapi/deny")
async def fast_deny(websocket: WebSocket):
    await websocket.close()


quart_app = Quart(__name__)


@quart_app.websocket("/quart")
async def quart_echo():
    while True:
        await quart_websocket.send(await quart_websocket.receive())


@quart_app.websocket("/quart/deny")
async def quart_deny():
    return "not you", 403


@litestar.websocket("/litestar")
async def lite(socket: litestar.WebSocket) -> None:
    await socket.accept()
    while True:
        message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            return
        if message.get("text") is not None:
            await socket.send_text(message["text"])
        else:
            await socket.send_bytes(message["bytes"])


@litestar.websocket("/litestar/deny")
async def lite_deny(socket: litestar.WebSocket) -> None:
    await socket.close()


litestar_app = litestar.Litestar([lite, lite_deny])
chat = socketio.AsyncServer(async_mode="asgi")
socketio_app = socketio.ASGIApp(chat)


@chat.event
async def shout(sid, words):
    await chat.emit("heard", words.upper(), to=sid)
    return len(words)


async def http(scope, receive, send):
    """The page, what was seen on it, and how the WebSockets ended."""
    body, path = b"", scope["path"]
    if scope["method"] == "POST":
        message = {"more_body": True}
        while message.get("more_body"):
            message = await receive()
            body += message.get("body", b"")
        REPORT[:] = [body]
        REPORTED.set()
    elif path == "/report":
        await asyncio.wait_for(REPORTED.wait(), 20)
        body = REPORT[0]
    elif path == "/ends":
        body = repr(ENDS).encode()
    else:
        body = PAGE
    headers = [(b"content-type", b"text/html")]
    start = {"type": "http.response.start", "status": 200}
    await send({**start, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def lifespan(scope, receive, send):
    for _ in range(2):
        message = await receive()
        await send({"type": message["type"] + ".complete"})


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        return await lifespan(scope, receive, send)
    name = scope["path"].split("/")[1]
    fallback = http if scope["type"] == "http" else raw
    await APPS.get(name, fallback)(scope, receive, send)


APPS = {
    "starlette": starlette_app,
    "fastapi": fastapi_app,
    "quart": quart_app,
    "litestar": litestar_app,
    "socket.io": socketio_app,
}
