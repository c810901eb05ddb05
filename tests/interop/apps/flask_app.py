"""The interop routes in Flask; and the same application over three bridges.

`app` is for a WSGI server. `bridged`, `asgiref_app` and `a2wsgi_app` are for
an ASGI server: our bridge, and those of two packages.
"""

import hashlib
from contextvars import ContextVar
from pathlib import Path

from a2wsgi import WSGIMiddleware
from asgiref.wsgi import WsgiToAsgi
from flask import Flask, Response, jsonify, request, session

from asgi_ref.bridge import AsgiFromWsgi

NOTE = ContextVar("note", default="unset")

app = Flask(__name__, static_folder=Path(__file__).parent / "static")
app.secret_key = "only for tests"


@app.get("/json")
def query():
    return jsonify(path=request.path, query=request.args.to_dict())


@app.post("/form")
def form():
    return jsonify(request.form.to_dict())


@app.post("/upload")
def upload():
    file = request.files["file"]
    data = file.read()
    digest = hashlib.sha256(data).hexdigest()
    return jsonify(name=file.filename, size=len(data), sha256=digest)


@app.post("/large")
def large():
    return Response(request.get_data(), mimetype="text/plain")


@app.get("/stream")
def stream():
    pieces = (f"piece {number}\n" for number in range(5))
    return Response(pieces, mimetype="text/plain")


@app.get("/count")
def count():
    session["count"] = session.get("count", 0) + 1
    return jsonify(count=session["count"])


@app.get("/cookies")
def cookies():
    response = jsonify(cookies=2)
    response.set_cookie("one", "1")
    response.set_cookie("two", "2")
    return response


@app.post("/note")
def note():
    before = NOTE.get()
    NOTE.set("set")
    return jsonify(note=before, size=len(request.get_data()))


@app.get("/boom")
def boom():
    raise RuntimeError("boom on purpose")


bridged = AsgiFromWsgi(app)
asgiref_app = WsgiToAsgi(app)
a2wsgi_app = WSGIMiddleware(app)
