"""nginx in front of the server, as it stands in so many places.

nginx keeps the connections to the application open and puts the requests
of different clients on them, one after the other: one answer that is a
byte too long, and somebody reads what was meant for somebody else.
"""

import hashlib
from collections.abc import Iterator

import httpx
import pytest

DATA = bytes(range(256)) * 4 * 1024 * 8  # 8 MB
DIGEST = {"size": len(DATA), "sha256": hashlib.sha256(DATA).hexdigest()}
STREAM = "".join(f"piece {number}\n" for number in range(5))

# One process, everything in one folder, no port: it listens on a socket
# of the file system. The temporary folders are named only because the
# usual ones may belong to root.
CONFIGURATION = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_max_body_size 0;
    client_body_temp_path {folder}/t1;
    proxy_temp_path {folder}/t2;
    fastcgi_temp_path {folder}/t3;
    uwsgi_temp_path {folder}/t4;
    scgi_temp_path {folder}/t5;
    upstream application {{
        server {upstream};
        keepalive 4;
    }}
    server {{
        listen unix:{folder}/front.sock;
        location / {{
            proxy_pass http://application;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
            proxy_request_buffering off;
            proxy_buffering off;
        }}
        # What nginx does when it is told nothing: HTTP/1.0, no keep-alive.
        location /plain/ {{
            proxy_pass http://application/;
        }}
    }}
}}
"""


pytestmark = [
    pytest.mark.parametrize(
        "server", ["raw_app:app"], ids=["raw"], indirect=True
    ),
    pytest.mark.usefixtures("quiet"),
]


@pytest.fixture
def front(server, tmp_path, start_tool) -> Iterator[httpx.Client]:
    """A client of an nginx that has the server behind it, over TCP."""
    upstream = server.url.removeprefix("http://")
    yield from client_of_nginx(upstream, tmp_path, start_tool)


@pytest.fixture
def unix_front(uds_server, tmp_path, start_tool) -> Iterator[httpx.Client]:
    """The same, with a unix socket between nginx and the server."""
    yield from client_of_nginx(f"unix:{uds_server}", tmp_path, start_tool)


def client_of_nginx(upstream, folder, start_tool):
    text = CONFIGURATION.format(folder=folder, upstream=upstream)
    (folder / "nginx.conf").write_text(text)
    where = ["-p", str(folder), "-c", "nginx.conf", "-e", "stderr"]
    listens_at = folder / "front.sock"
    start_tool("nginx", *where, listens_at=listens_at)
    with httpx.Client(
        base_url="http://front",
        transport=httpx.HTTPTransport(uds=str(listens_at)),
        timeout=20,
    ) as client:
        yield client


def in_pieces(data: bytes, size: int = 50_000) -> Iterator[bytes]:
    """A body without a length: httpx sends it chunked."""
    for at in range(0, len(data), size):
        yield data[at : at + size]


def test_requests_share_one_connection_to_the_server(front):
    looks = [front.get("/look").json() for _ in range(20)]
    assert {look["http_version"] for look in looks} == {"1.1"}
    assert len({tuple(look["client"]) for look in looks}) == 1


def test_answers_of_every_kind_on_one_connection(front):
    before = front.get("/look").json()["client"]
    for _ in range(3):
        assert front.head("/").content == b""
        assert front.get("/empty").status_code == 204
        assert front.get("/stream").text == STREAM
        assert front.head("/stream").content == b""
        assert front.get("/nowhere").status_code == 404
        assert front.post("/digest", content=b"").json()["size"] == 0
        assert front.get("/", headers={"connection": "close"}).text
    assert front.get("/look").json()["client"] == before


def test_big_upload_passes_straight_through(front):
    before = front.get("/look").json()["client"]
    assert front.post("/digest", content=DATA).json() == DIGEST
    assert front.get("/look").json()["client"] == before


def test_big_upload_in_chunks_passes_straight_through(front):
    before = front.get("/look").json()["client"]
    answer = front.post("/digest", content=in_pieces(DATA))
    assert answer.json() == DIGEST
    assert front.get("/look").json()["client"] == before


def test_big_answer(front):
    assert front.post("/echo", content=DATA).content == DATA


def test_events_are_not_held_back(front):
    with front.stream("GET", "/gate?name=nginx") as response:
        lines = response.iter_lines()
        assert next(lines) == "data: first"
        assert front.get("/gate/open?name=nginx").text == "open\n"
        assert list(lines) == ["", "data: second", ""]


def test_nginx_with_no_settings_speaks_http_1_0(front):
    look = front.get("/plain/look").json()
    assert look["http_version"] == "1.0"
    assert ["connection", "close"] in look["headers"]
    assert front.get("/plain/").text == "Hello, world\n"
    assert front.get("/plain/stream").text == STREAM
    assert front.post("/plain/echo", content=DATA).content == DATA


def test_unix_socket_between_nginx_and_the_server(unix_front):
    assert unix_front.get("/").text == "Hello, world\n"
    assert unix_front.get("/stream").text == STREAM
    assert unix_front.post("/digest", content=DATA).json() == DIGEST
    answer = unix_front.post("/digest", content=in_pieces(DATA))
    assert answer.json() == DIGEST
    assert unix_front.head("/").content == b""
    assert unix_front.get("/look").json()["http_version"] == "1.1"
