"""The interop routes, written the Quart way."""

import asyncio
import hashlib
from contextvars import ContextVar
from pathlib import Path

from quart import Quart, Response, jsonify, request

STATIC = Path(__file__).parent / "static"
NOTE = ContextVar("note", default="unset")
CLOSED: list[str] = []
RELEASE = asyncio.Event()
DONE = asyncio.Event()

app = Quart(__name__, static_folder=STATIC)


@app.before_serving
async def startup():
    # Quart does not show the state of the lifespan scope to a route; what
    # is made at startup is kept in its configuration.
    app.config["VALUE"] = "from startup"


@app.get("/json")
async def get_json():
    return {"path": request.path, "query": request.args.to_dict()}


@app.post("/json")
async def post_json():
    return await request.get_json()


@app.get("/items/<int:item_id>")
def item(item_id):  # not async: Quart calls it in a thread
    return {"id": item_id}


@app.post("/form")
async def form():
    return (await request.form).to_dict()


@app.post("/upload")
async def upload():
    file = (await request.files)["file"]
    data = file.read()
    digest = hashlib.sha256(data).hexdigest()
    return {"name": file.filename, "size": len(data), "sha256": digest}


@app.post("/large")
async def large():
    return Response(await request.get_data(), mimetype="text/plain")


@app.get("/stream")
async def stream():
    async def pieces():
        for number in range(5):
            await asyncio.sleep(0)
            yield f"piece {number}\n".encode()

    return pieces(), {"content-type": "text/plain"}


@app.get("/sse")
async def sse():
    async def events():
        for number in range(3):
            yield f"data: {number}\n\n".encode()

    return events(), {"content-type": "text/event-stream"}


@app.get("/sse-forever")
async def sse_forever():
    name = request.args["name"]

    async def events():
        try:
            while True:
                yield b"data: tick\n\n"
                await asyncio.sleep(0.02)
        finally:
            CLOSED.append(name)

    response = Response(events(), mimetype="text/event-stream")
    response.timeout = None  # Quart ends a stream after a minute else
    return response


@app.get("/closed")
async def closed():
    return jsonify(CLOSED)


async def slow_work():
    await asyncio.wait_for(RELEASE.wait(), timeout=20)
    DONE.set()


@app.get("/background")
async def background():
    RELEASE.clear()
    DONE.clear()
    app.add_background_task(slow_work)
    return {"started": True}


@app.get("/background-release")
async def background_release():
    RELEASE.set()
    return {"released": True}


@app.get("/background-done")
async def background_done():
    return {"done": DONE.is_set()}


@app.get("/state")
async def state():
    return {"value": app.config["VALUE"]}


@app.get("/boom")
async def boom():
    raise RuntimeError("boom on purpose")


@app.get("/cookies")
async def cookies():
    response = jsonify(cookies=2)
    response.set_cookie("one", "1")
    response.set_cookie("two", "2")
    return response


@app.get("/slash/")
async def slash():
    return {"slash": True}


@app.route("/ctx/set", methods=["GET", "POST"])
async def ctx_set():
    NOTE.set(request.args["v"])
    size = len(await request.get_data())
    return {"note": NOTE.get(), "size": size}


@app.get("/ctx/get")
async def ctx_get():
    return {"note": NOTE.get()}
