"""The interop routes, written the FastAPI way."""

import asyncio
import hashlib
from contextlib import asynccontextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Annotated, Any

from fastapi import (
    BackgroundTasks,
    FastAPI,
    Form,
    Request,
    Response,
    UploadFile,
)
from fastapi.responses import StreamingResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent
from fastapi.staticfiles import StaticFiles

STATIC = Path(__file__).parent / "static"
NOTE = ContextVar("note", default="unset")
CLOSED: list[str] = []
RELEASE = asyncio.Event()
DONE = asyncio.Event()


@asynccontextmanager
async def lifespan(app):
    yield {"value": "from startup"}


app = FastAPI(lifespan=lifespan)
app.mount("/static", StaticFiles(directory=STATIC))


@app.api_route("/json", methods=["GET", "HEAD"])
async def get_json(request: Request, q: str = ""):
    return {"path": request.url.path, "query": {"q": q}}


@app.post("/json")
async def post_json(value: dict[str, Any]):
    return value


@app.get("/items/{item_id}")
def item(item_id: int):  # not async: FastAPI calls it in a thread
    return {"id": item_id}


@app.post("/form")
async def form(name: Annotated[str, Form()], city: Annotated[str, Form()]):
    return {"name": name, "city": city}


@app.post("/upload")
async def upload(file: UploadFile):
    data = await file.read()
    digest = hashlib.sha256(data).hexdigest()
    return {"name": file.filename, "size": len(data), "sha256": digest}


@app.post("/large")
async def large(request: Request):
    return Response(await request.body(), media_type="text/plain")


@app.get("/stream")
async def stream():
    async def pieces():
        for number in range(5):
            await asyncio.sleep(0)
            yield f"piece {number}\n"

    return StreamingResponse(pieces(), media_type="text/plain")


@app.get("/sse", response_class=EventSourceResponse)
async def sse():
    for number in range(3):
        yield ServerSentEvent(raw_data=str(number))


@app.get("/sse-forever", response_class=EventSourceResponse)
async def sse_forever(name: str):
    try:
        while True:
            yield ServerSentEvent(raw_data="tick")
            await asyncio.sleep(0.02)
    finally:
        CLOSED.append(name)


@app.get("/asks")
async def asks(request: Request):
    """Ask, in each pause of its work, whether anybody still waits."""
    while not await request.is_disconnected():
        await asyncio.sleep(0.01)
    CLOSED.append("asked")


@app.get("/closed")
async def closed():
    return CLOSED


async def slow_work():
    await asyncio.wait_for(RELEASE.wait(), timeout=20)
    DONE.set()


@app.get("/background")
async def background(tasks: BackgroundTasks):
    RELEASE.clear()
    DONE.clear()
    tasks.add_task(slow_work)
    return {"started": True}


@app.get("/background-release")
async def background_release():
    RELEASE.set()
    return {"released": True}


@app.get("/background-done")
async def background_done():
    return {"done": DONE.is_set()}


@app.get("/state")
async def state(request: Request):
    return {"value": request.state.value}


@app.get("/boom")
async def boom():
    raise RuntimeError("boom on purpose")


@app.get("/cookies")
async def cookies(response: Response):
    response.set_cookie("one", "1")
    response.set_cookie("two", "2")
    return {"cookies": 2}


@app.get("/slash/")
async def slash():
    return {"slash": True}


@app.api_route("/ctx/set", methods=["GET", "POST"])
async def ctx_set(request: Request, v: str):
    NOTE.set(v)
    size = len(await request.body())
    return {"note": NOTE.get(), "size": size}


@app.get("/ctx/get")
async def ctx_get():
    return {"note": NOTE.get()}
