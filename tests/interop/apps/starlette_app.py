"""The interop routes, written the Starlette way (SSE: sse-starlette)."""

import asyncio
import hashlib
from contextlib import asynccontextmanager
from contextvars import ContextVar
from pathlib import Path

from sse_starlette import EventSourceResponse
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

STATIC = Path(__file__).parent / "static"
NOTE = ContextVar("note", default="unset")
CLOSED: list[str] = []
RELEASE = asyncio.Event()
DONE = asyncio.Event()


@asynccontextmanager
async def lifespan(app):
    yield {"value": "from startup"}


async def get_json(request):
    query = dict(request.query_params)
    return JSONResponse({"path": request.url.path, "query": query})


async def post_json(request):
    return JSONResponse(await request.json())


async def item(request):
    return JSONResponse({"id": request.path_params["item_id"]})


async def form(request):
    async with request.form() as fields:
        return JSONResponse(dict(fields))


async def upload(request):
    async with request.form() as fields:
        file = fields["file"]
        data = await file.read()
        digest = hashlib.sha256(data).hexdigest()
        answer = {"name": file.filename, "size": len(data), "sha256": digest}
        return JSONResponse(answer)


async def large(request):
    pieces = [piece async for piece in request.stream()]
    return Response(b"".join(pieces), media_type="text/plain")


async def stream(request):
    async def pieces():
        for number in range(5):
            await asyncio.sleep(0)
            yield f"piece {number}\n"

    return StreamingResponse(pieces(), media_type="text/plain")


async def sse(request):
    async def events():
        for number in range(3):
            yield {"data": number}

    return EventSourceResponse(events())


async def sse_forever(request):
    async def events():
        try:
            while True:
                yield {"data": "tick"}
                await asyncio.sleep(0.02)
        finally:
            CLOSED.append(request.query_params["name"])

    return EventSourceResponse(events())


async def asks(request):
    """Ask, in each pause of its work, whether anybody still waits."""
    while not await request.is_disconnected():
        await asyncio.sleep(0.01)
    CLOSED.append("asked")
    return Response()


async def closed(request):
    return JSONResponse(CLOSED)


async def slow_work():
    await asyncio.wait_for(RELEASE.wait(), timeout=20)
    DONE.set()


async def background(request):
    RELEASE.clear()
    DONE.clear()
    task = BackgroundTask(slow_work)
    return JSONResponse({"started": True}, background=task)


async def background_release(request):
    RELEASE.set()
    return JSONResponse({"released": True})


async def background_done(request):
    return JSONResponse({"done": DONE.is_set()})


async def state(request):
    return JSONResponse({"value": request.state.value})


async def boom(request):
    raise RuntimeError("boom on purpose")


async def cookies(request):
    response = JSONResponse({"cookies": 2})
    response.set_cookie("one", "1")
    response.set_cookie("two", "2")
    return response


async def slash(request):
    return JSONResponse({"slash": True})


async def ctx_set(request):
    NOTE.set(request.query_params["v"])
    size = len(await request.body())
    return JSONResponse({"note": NOTE.get(), "size": size})


async def ctx_get(request):
    return JSONResponse({"note": NOTE.get()})


routes = [
    Route("/json", get_json, methods=["GET"]),  # adds HEAD by itself
    Route("/json", post_json, methods=["POST"]),
    Route("/items/{item_id:int}", item),
    Route("/form", form, methods=["POST"]),
    Route("/upload", upload, methods=["POST"]),
    Route("/large", large, methods=["POST"]),
    Route("/stream", stream),
    Route("/sse", sse),
    Route("/sse-forever", sse_forever),
    Route("/asks", asks),
    Route("/closed", closed),
    Route("/background", background),
    Route("/background-release", background_release),
    Route("/background-done", background_done),
    Route("/state", state),
    Route("/boom", boom),
    Route("/cookies", cookies),
    Route("/slash/", slash),
    Route("/ctx/set", ctx_set, methods=["GET", "POST"]),
    Route("/ctx/get", ctx_get),
    Mount("/static", StaticFiles(directory=STATIC)),
]
app = Starlette(routes=routes, lifespan=lifespan)
