"""Six real frameworks, asked the same questions over one real connection.

`apps/<framework>_app.py` has the same routes in each framework's own
words. What a framework cannot do by itself is missing from its column in
FEATURES; nothing is skipped. The frameworks are imported here although
only the server process uses them, so that a missing one is an error.
"""

import hashlib
import json
import socket
from pathlib import Path

import django  # noqa: F401
import falcon  # noqa: F401
import fastapi  # noqa: F401
import httpx
import litestar  # noqa: F401
import pytest
import quart  # noqa: F401
import sse_starlette  # noqa: F401
import starlette  # noqa: F401

FILE = Path(__file__).parent / "apps" / "static" / "file.txt"
MEGABYTE = 1024 * 1024

EVERYWHERE = "fastapi starlette django quart litestar falcon"
FEATURES = {
    "everywhere": EVERYWHERE,
    # Django refuses the lifespan scope and has no background tasks.
    "lifespan": "fastapi starlette quart litestar falcon",
    "background": "fastapi starlette quart litestar falcon",
    # Django and Litestar send the whole file whatever the Range says.
    "range": "fastapi starlette quart falcon",
    # Litestar and Falcon answer a path with or without its last slash
    # (or with a 404), they do not send the client elsewhere.
    "slash": "fastapi starlette django quart",
    # Who prints the traceback of a route that fails: FastAPI and Starlette
    # let the exception go on to the server, Quart and Falcon log it, the
    # others are silent unless they are configured.
    "traceback": "fastapi starlette quart falcon",
    "no traceback": "django litestar",
}


def on(feature: str) -> pytest.MarkDecorator:
    """Run a test on each framework that has the feature."""
    names = FEATURES[feature].split()
    apps = [f"{name}_app:app" for name in names]
    return pytest.mark.parametrize("server", apps, ids=names, indirect=True)


def port_of(response: httpx.Response) -> int:
    """The client's own port: the same port is the same connection."""
    return response.extensions["local_port"]


def new_client_get(server, path: str) -> httpx.Response:
    """Ask on a connection of its own, not on the one of the test."""
    return httpx.get(server.url + path, trust_env=False)


# -- requests and their answers ---------------------------------------------


@on("everywhere")
def test_path_and_query_reach_the_route(client, quiet):
    response = client.get("/json", params={"q": "é & ü"})
    assert response.status_code == 200
    assert response.json() == {"path": "/json", "query": {"q": "é & ü"}}


@on("everywhere")
def test_path_parameter(client, quiet):
    assert client.get("/items/7").json() == {"id": 7}


@on("everywhere")
def test_json_body(client, quiet):
    value = {"name": "Ωmega", "list": [1, 2.5, None], "deep": {"er": True}}
    assert client.post("/json", json=value).json() == value


@on("everywhere")
def test_urlencoded_form(client, quiet):
    fields = {"name": "Ada Lovelace", "city": "Zürich & more"}
    assert client.post("/form", data=fields).json() == fields


@on("everywhere")
def test_multipart_upload_of_3_megabytes(client, quiet):
    data = bytes(range(256)) * 4 * 1024 * 3
    response = client.post("/upload", files={"file": ("big.bin", data)})
    assert response.json() == {
        "name": "big.bin",
        "size": 3 * MEGABYTE,
        "sha256": hashlib.sha256(data).hexdigest(),
    }


@on("everywhere")
def test_large_body_with_a_length(client, quiet):
    data = bytes(range(256)) * 4 * 1024 * 2
    assert client.post("/large", content=data).content == data


@on("everywhere")
def test_large_body_in_chunks(client, quiet):
    piece = bytes(range(256)) * 256
    pieces = (piece for _ in range(32))
    response = client.post("/large", content=pieces)
    assert response.request.headers["transfer-encoding"] == "chunked"
    assert response.content == piece * 32


@on("everywhere")
def test_two_cookies_are_two_header_fields(client, quiet):
    response = client.get("/cookies")
    fields = response.headers.get_list("set-cookie")
    assert sorted(field.split(";")[0] for field in fields) == [
        "one=1",
        "two=2",
    ]


@on("everywhere")
def test_head_has_the_headers_of_get_and_no_body(client, quiet):
    get = client.get("/json", params={"q": "a"})
    head = client.head("/json", params={"q": "a"})
    after = client.get("/json", params={"q": "b"})
    assert head.status_code == 200
    assert head.content == b""
    assert head.headers["content-length"] == get.headers["content-length"]
    assert after.json()["query"] == {"q": "b"}
    assert port_of(get) == port_of(head) == port_of(after)


@on("everywhere")
def test_unknown_path(client, quiet):
    missing = client.get("/nowhere")
    after = client.get("/json")
    assert missing.status_code == 404
    assert port_of(missing) == port_of(after)


@on("slash")
def test_missing_slash_is_redirected(client, quiet):
    response = client.get("/slash", follow_redirects=True)
    (redirect,) = response.history
    assert redirect.status_code in (301, 307, 308)
    assert response.json() == {"slash": True}
    assert port_of(redirect) == port_of(response)


# -- streams ----------------------------------------------------------------


@on("everywhere")
def test_stream_in_pieces(client, quiet):
    response = client.get("/stream")
    after = client.get("/json")
    assert response.headers["transfer-encoding"] == "chunked"
    lines = [f"piece {number}" for number in range(5)]
    assert response.text.splitlines() == lines
    assert port_of(response) == port_of(after)


def is_event_stream(response: httpx.Response) -> bool:
    kind = response.headers["content-type"]
    return kind.split(";")[0] == "text/event-stream"


def data_of(line: str) -> str | None:
    name, _, value = line.partition(":")
    return value.strip() if name == "data" else None


@on("everywhere")
def test_server_sent_events(client, quiet):
    response = client.get("/sse")
    after = client.get("/json")
    assert is_event_stream(response)
    found = [data_of(line) for line in response.text.splitlines()]
    assert [data for data in found if data is not None] == ["0", "1", "2"]
    assert port_of(response) == port_of(after)


@on("everywhere")
def test_endless_events_end_when_the_client_leaves(client, server, quiet):
    with client.stream("GET", "/sse-forever?name=left") as response:
        assert is_event_stream(response)
        found = map(data_of, response.iter_lines())
        ticks = (data for data in found if data is not None)
        assert [next(ticks) for _ in range(3)] == ["tick"] * 3
        assert new_client_get(server, "/closed").json() == []
    server.wait_for(
        lambda: client.get("/closed").json() == ["left"],
        "the generator of /sse-forever to be closed",
    )


@pytest.mark.parametrize(
    "server",
    ["fastapi_app:app", "starlette_app:app"],
    ids=["fastapi", "starlette"],
    indirect=True,
)
def test_a_route_may_ask_whether_its_client_is_there(server, client):
    """`request.is_disconnected()` looks, and does not wait."""
    with pytest.raises(httpx.ReadTimeout):
        httpx.get(server.url + "/asks", timeout=0.3, trust_env=False)
    server.wait_for(
        lambda: "asked" in client.get("/closed").json(),
        "is_disconnected() to say so",
    )


# -- files ------------------------------------------------------------------


@on("everywhere")
def test_static_file(client, quiet):
    response = client.get("/static/file.txt")
    assert response.status_code == 200
    assert response.content == FILE.read_bytes()
    assert response.headers["content-length"] == str(FILE.stat().st_size)


@on("range")
def test_range_of_a_static_file(client, quiet):
    wanted = {"range": "bytes=100-199"}
    response = client.get("/static/file.txt", headers=wanted)
    size = FILE.stat().st_size
    assert response.status_code == 206
    assert response.headers["content-range"] == f"bytes 100-199/{size}"
    assert response.content == FILE.read_bytes()[100:200]


# -- what lives longer than a request ---------------------------------------


@on("lifespan")
def test_what_startup_made_is_there(client, quiet):
    assert client.get("/state").json() == {"value": "from startup"}


@on("background")
def test_background_task_does_not_hold_the_connection(client, server, quiet):
    """The task waits for a later request of the very same connection."""
    started = client.get("/background")
    meanwhile = client.get("/background-done")
    released = client.get("/background-release")
    assert started.json() == {"started": True}
    assert meanwhile.json() == {"done": False}
    assert released.json() == {"released": True}
    ports = {port_of(r) for r in (started, meanwhile, released)}
    assert len(ports) == 1
    server.wait_for(
        lambda: client.get("/background-done").json() == {"done": True},
        "the background task to end",
    )


@on("everywhere")
@pytest.mark.parametrize(
    ("method", "size"),
    [("GET", 0), ("POST", 0), ("POST", 2 * MEGABYTE)],
    ids=["get", "post-nothing", "post-2-megabytes"],
)
def test_context_variables_end_with_their_request(client, method, size, quiet):
    content = b"x" * size if method == "POST" else None
    first = client.request(method, "/ctx/set?v=mine", content=content)
    second = client.get("/ctx/get")
    assert first.json() == {"note": "mine", "size": size}
    assert second.json() == {"note": "unset"}
    assert port_of(first) == port_of(second)


# -- errors -----------------------------------------------------------------


@on("no traceback")
def test_exception_becomes_a_500_page(client, quiet):
    response = client.get("/boom")
    assert response.status_code == 500
    assert response.content


@on("traceback")
def test_exception_becomes_a_500_page_and_a_traceback(client, server):
    """The server may close this connection; it must not end itself."""
    before = len(server.lines)
    response = client.get("/boom")
    server.wait_for(
        lambda: "RuntimeError: boom on purpose\n" in server.lines[before:],
        "the last line of a traceback",
    )
    assert response.status_code == 500
    assert response.content
    assert new_client_get(server, "/json").status_code == 200


# -- bytes that no polite client library would send -------------------------


@on("everywhere")
def test_two_requests_in_one_segment(server, quiet):
    """Pipelining: both answers, in order, on the one connection."""
    host, port = server.url.removeprefix("http://").split(":")
    request = "GET /json?q={} HTTP/1.1\r\nHost: {}\r\nConnection: {}\r\n\r\n"
    both = request.format(1, host, "keep-alive")
    both += request.format(2, host, "close")
    with socket.create_connection((host, int(port)), timeout=20) as sock:
        sock.sendall(both.encode())
        with sock.makefile("rb") as answers:
            bodies = [read_json(answers), read_json(answers)]
            assert answers.read() == b""
    assert [body["query"] for body in bodies] == [{"q": "1"}, {"q": "2"}]


def read_json(answers):
    """One answer that has a Content-Length, read from a file of bytes."""
    assert answers.readline().startswith(b"HTTP/1.1 200 ")
    length = 0
    while (line := answers.readline()) != b"\r\n":
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    return json.loads(answers.read(length))
