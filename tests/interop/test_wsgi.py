"""Flask and Django as WSGI: on the blocking server, and over bridges.

The questions are those of test_frameworks, asked on one real connection.
"""

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import a2wsgi  # noqa: F401
import asgiref.wsgi  # noqa: F401
import django  # noqa: F401
import flask  # noqa: F401
import httpx
import pytest
from conftest import Server

FILE = Path(__file__).parent / "apps" / "static" / "file.txt"
MEGABYTE = 1024 * 1024

NATIVE = ["flask_app:app", "django_wsgi_app:app"]
BRIDGED = [f"flask_app:{name}" for name in ("bridged", "asgiref_app")]
BRIDGED += ["flask_app:a2wsgi_app"]


@pytest.fixture(scope="module")
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """One application, with the flag if it is WSGI, on a free port."""
    flags = ["--interface", "wsgi"] if request.param in NATIVE else []
    running = Server(request.param, "--port", "0", *flags)
    running.find_url()
    yield running
    running.stop()


everywhere = pytest.mark.parametrize("server", NATIVE + BRIDGED, indirect=True)
flask_only = pytest.mark.parametrize(
    "server", [NATIVE[0], *BRIDGED], indirect=True
)


@everywhere
def test_path_and_query_reach_the_route(client, quiet):
    answer = client.get("/json", params={"q": "é & ü"})
    assert answer.json() == {"path": "/json", "query": {"q": "é & ü"}}


@everywhere
def test_urlencoded_form(client, quiet):
    fields = {"name": "Ada Lovelace", "city": "Zürich & more"}
    assert client.post("/form", data=fields).json() == fields


@everywhere
def test_multipart_upload_of_3_megabytes(client, quiet):
    data = bytes(range(256)) * 4 * 1024 * 3
    answer = client.post("/upload", files={"file": ("big.bin", data)})
    assert answer.json() == {
        "name": "big.bin",
        "size": 3 * MEGABYTE,
        "sha256": hashlib.sha256(data).hexdigest(),
    }


@everywhere
def test_a_stream(client, quiet):
    wanted = "".join(f"piece {number}\n" for number in range(5))
    assert client.get("/stream").text == wanted


@everywhere
def test_two_cookies_are_two_header_fields(client, quiet):
    answer = client.get("/cookies")
    assert len(answer.headers.get_list("set-cookie")) == 2


@everywhere
def test_head(client, quiet):
    answer = client.head("/json")
    assert (answer.status_code, answer.content) == (200, b"")


@everywhere
def test_a_route_that_fails_is_a_500(client):
    assert client.get("/boom").status_code == 500
    assert client.get("/json").status_code == 200


@everywhere
def test_21_requests_in_a_row_also_after_large_bodies(client, quiet):
    ports = set()
    for number in range(21):
        body = b"x" * (number % 3) * MEGABYTE
        answer = client.post("/large", content=body)
        assert answer.content == body
        ports.add(answer.extensions["local_port"])
    assert len(ports) == 1  # the same port is the same connection


@flask_only
def test_a_session_is_kept_in_a_cookie(client, quiet):
    found = [client.get("/count").json()["count"] for _ in range(3)]
    assert found == [1, 2, 3]


@flask_only
def test_a_static_file_in_parts(client, quiet):
    whole = FILE.read_bytes()
    assert client.get("/static/file.txt").content == whole
    part = client.get("/static/file.txt", headers={"Range": "bytes=2-5"})
    assert (part.status_code, part.content) == (206, whole[2:6])


# Django takes a body without a length for an empty one, and so do the two
# packages: they do not say `wsgi.input_terminated`.
@pytest.mark.parametrize("server", [NATIVE[0], BRIDGED[0]], indirect=True)
def test_a_large_body_in_chunks(client, quiet):
    piece = bytes(range(256)) * 256
    answer = client.post("/large", content=(piece for _ in range(32)))
    assert answer.request.headers["transfer-encoding"] == "chunked"
    assert answer.content == piece * 32


@flask_only
def test_context_variables_end_with_their_request(client, quiet):
    for size in 0, 2 * MEGABYTE, 5, 2 * MEGABYTE, 0:
        answer = client.post("/note", content=b"x" * size)
        assert answer.json() == {"note": "unset", "size": size}


@pytest.mark.parametrize("server", [NATIVE[0], BRIDGED[0]], indirect=True)
def test_many_clients_at_once(server, quiet):
    limits = httpx.Limits(max_connections=10)
    with (
        httpx.Client(
            base_url=server.url, limits=limits, timeout=20, trust_env=False
        ) as client,
        ThreadPoolExecutor(10) as pool,
    ):
        paths = [f"/json?n={number}" for number in range(100)]
        answers = list(pool.map(client.get, paths))
    found = [answer.json()["query"]["n"] for answer in answers]
    assert found == [str(number) for number in range(100)]
