"""The interop routes, written the Falcon way."""

import asyncio
import gc
import hashlib
from contextvars import ContextVar
from pathlib import Path

import falcon
import falcon.asgi
import falcon.media

STATIC = Path(__file__).parent / "static"
NOTE = ContextVar("note", default="unset")
CLOSED: list[str] = []
RELEASE = asyncio.Event()
DONE = asyncio.Event()


class Startup:
    async def process_startup(self, scope, event):
        scope["state"]["value"] = "from startup"


class Json:
    async def on_get(self, req, resp):
        resp.media = {"path": req.path, "query": req.params}

    on_head = on_get

    async def on_post(self, req, resp):
        resp.media = await req.get_media()


class Item:
    async def on_get(self, req, resp, item_id):
        resp.media = {"id": item_id}


class Form:
    async def on_post(self, req, resp):
        resp.media = await req.get_media()


class Upload:
    async def on_post(self, req, resp):
        async for part in await req.get_media():
            data = b"".join([piece async for piece in part.stream])
            resp.media = {
                "name": part.filename,
                "size": len(data),
                "sha256": hashlib.sha256(data).hexdigest(),
            }


class Large:
    async def on_post(self, req, resp):
        resp.data = await req.stream.read()
        resp.content_type = falcon.MEDIA_TEXT


class Stream:
    async def on_get(self, req, resp):
        resp.content_type = falcon.MEDIA_TEXT
        resp.stream = self.pieces()

    async def pieces(self):
        for number in range(5):
            await asyncio.sleep(0)
            yield f"piece {number}\n".encode()


class Sse:
    async def on_get(self, req, resp):
        resp.sse = self.events()

    async def events(self):
        for number in range(3):
            yield falcon.asgi.SSEvent(text=str(number))


class SseForever:
    async def on_get(self, req, resp):
        resp.sse = self.events(req.get_param("name"))

    async def events(self, name):
        try:
            while True:
                yield falcon.asgi.SSEvent(text="tick")
                await asyncio.sleep(0.02)
        finally:
            CLOSED.append(name)


class Closed:
    async def on_get(self, req, resp):
        # If send() raises because the client has gone, Falcon drops the
        # generator without closing it; the garbage collector finds it.
        gc.collect()
        resp.media = CLOSED


async def slow_work():
    await asyncio.wait_for(RELEASE.wait(), timeout=20)
    DONE.set()


class Background:
    async def on_get(self, req, resp):
        RELEASE.clear()
        DONE.clear()
        resp.schedule(slow_work)
        resp.media = {"started": True}

    async def on_get_release(self, req, resp):
        RELEASE.set()
        resp.media = {"released": True}

    async def on_get_done(self, req, resp):
        resp.media = {"done": DONE.is_set()}


class State:
    async def on_get(self, req, resp):
        resp.media = {"value": req.scope["state"]["value"]}


class Boom:
    async def on_get(self, req, resp):
        raise RuntimeError("boom on purpose")


class Cookies:
    async def on_get(self, req, resp):
        resp.set_cookie("one", "1")
        resp.set_cookie("two", "2")
        resp.media = {"cookies": 2}


class Ctx:
    async def on_get_set(self, req, resp):
        NOTE.set(req.get_param("v"))
        size = len(await req.stream.read())
        resp.media = {"note": NOTE.get(), "size": size}

    on_post_set = on_get_set

    async def on_get_get(self, req, resp):
        resp.media = {"note": NOTE.get()}


app = falcon.asgi.App(middleware=[Startup()])
app.req_options.media_handlers[falcon.MEDIA_MULTIPART] = (
    falcon.media.MultipartFormHandler()
)
app.add_route("/json", Json())
app.add_route("/items/{item_id:int}", Item())
app.add_route("/form", Form())
app.add_route("/upload", Upload())
app.add_route("/large", Large())
app.add_route("/stream", Stream())
app.add_route("/sse", Sse())
app.add_route("/sse-forever", SseForever())
app.add_route("/closed", Closed())
app.add_route("/background", Background())
app.add_route("/background-release", Background(), suffix="release")
app.add_route("/background-done", Background(), suffix="done")
app.add_route("/state", State())
app.add_route("/boom", Boom())
app.add_route("/cookies", Cookies())
app.add_route("/ctx/set", Ctx(), suffix="set")
app.add_route("/ctx/get", Ctx(), suffix="get")
app.add_static_route("/static", STATIC)
