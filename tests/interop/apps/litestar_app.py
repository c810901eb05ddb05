"""The interop routes, written the Litestar way."""

import asyncio
import gc
import hashlib
from contextvars import ContextVar
from pathlib import Path
from typing import Annotated, Any

from litestar import HttpMethod, Litestar, Request, Response, get, post, route
from litestar.background_tasks import BackgroundTask
from litestar.datastructures import Cookie, UploadFile
from litestar.enums import MediaType, RequestEncodingType
from litestar.params import Body
from litestar.response import ServerSentEvent, Stream
from litestar.static_files import create_static_files_router

STATIC = Path(__file__).parent / "static"
NOTE = ContextVar("note", default="unset")
CLOSED: list[str] = []
RELEASE = asyncio.Event()
DONE = asyncio.Event()

JsonData = Annotated[dict[str, Any], Body()]
FormData = Annotated[
    dict[str, str], Body(media_type=RequestEncodingType.URL_ENCODED)
]
FileData = Annotated[
    dict[str, UploadFile], Body(media_type=RequestEncodingType.MULTI_PART)
]


async def startup(app: Litestar) -> None:
    app.state.value = "from startup"


@route("/json", http_method=[HttpMethod.GET, HttpMethod.HEAD])
async def get_json(request: Request) -> dict[str, Any]:
    query = dict(request.query_params)
    return {"path": request.url.path, "query": query}


@post("/json", status_code=200)
async def post_json(data: JsonData) -> dict[str, Any]:
    return data


@get("/items/{item_id:int}", sync_to_thread=True)
def item(item_id: int) -> dict[str, int]:
    return {"id": item_id}


@post("/form", status_code=200)
async def form(data: FormData) -> dict[str, str]:
    return data


@post("/upload", status_code=200)
async def upload(data: FileData) -> dict[str, Any]:
    file = data["file"]
    content = await file.read()
    digest = hashlib.sha256(content).hexdigest()
    return {"name": file.filename, "size": len(content), "sha256": digest}


@post("/large", status_code=200, media_type=MediaType.TEXT)
async def large(request: Request) -> bytes:
    return await request.body()


@get("/stream")
async def stream() -> Stream:
    async def pieces():
        for number in range(5):
            await asyncio.sleep(0)
            yield f"piece {number}\n"

    return Stream(pieces(), media_type=MediaType.TEXT)


@get("/sse")
async def sse() -> ServerSentEvent:
    async def events():
        for number in range(3):
            yield str(number)

    return ServerSentEvent(events())


@get("/sse-forever")
async def sse_forever(name: str) -> ServerSentEvent:
    async def events():
        try:
            while True:
                yield "tick"
                await asyncio.sleep(0.02)
        finally:
            CLOSED.append(name)

    return ServerSentEvent(events())


@get("/closed")
async def closed() -> list[str]:
    # If send() raises because the client has gone, Litestar drops the
    # generator without closing it; the garbage collector finds it.
    gc.collect()
    return CLOSED


async def slow_work() -> None:
    await asyncio.wait_for(RELEASE.wait(), timeout=20)
    DONE.set()


@get("/background")
async def background() -> Response[dict[str, bool]]:
    RELEASE.clear()
    DONE.clear()
    task = BackgroundTask(slow_work)
    return Response({"started": True}, background=task)


@get("/background-release")
async def background_release() -> dict[str, bool]:
    RELEASE.set()
    return {"released": True}


@get("/background-done")
async def background_done() -> dict[str, bool]:
    return {"done": DONE.is_set()}


@get("/state")
async def state(request: Request) -> dict[str, str]:
    return {"value": request.app.state.value}


@get("/boom")
async def boom() -> None:
    raise RuntimeError("boom on purpose")


@get("/cookies")
async def cookies() -> Response[dict[str, int]]:
    both = [Cookie("one", value="1"), Cookie("two", value="2")]
    return Response({"cookies": 2}, cookies=both)


@route(
    "/ctx/set", http_method=[HttpMethod.GET, HttpMethod.POST], status_code=200
)
async def ctx_set(request: Request, v: str) -> dict[str, Any]:
    NOTE.set(v)
    size = len(await request.body())
    return {"note": NOTE.get(), "size": size}


@get("/ctx/get")
async def ctx_get() -> dict[str, str]:
    return {"note": NOTE.get()}


app = Litestar(
    route_handlers=[
        get_json,
        post_json,
        item,
        form,
        upload,
        large,
        stream,
        sse,
        sse_forever,
        closed,
        background,
        background_release,
        background_done,
        state,
        boom,
        cookies,
        ctx_set,
        ctx_get,
        create_static_files_router(path="/static", directories=[STATIC]),
    ],
    on_startup=[startup],
)
