"""nginx says who the client is; which of its words are true?

The clients talk to nginx through a unix socket, and nginx takes their
address from a field of the test's own (its realip module): so they come from
wherever they like, on one machine and without a free port.
"""

from collections.abc import Iterator

import httpx
import pytest

CLIENT = "203.0.113.9"
FORGED = {"X-Forwarded-For": "6.6.6.6", "X-Forwarded-Proto": "https"}

CONFIGURATION = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {folder}/t1;
    proxy_temp_path {folder}/t2;
    fastcgi_temp_path {folder}/t3;
    uwsgi_temp_path {folder}/t4;
    scgi_temp_path {folder}/t5;
    set_real_ip_from unix:;
    real_ip_header X-Comes-From;
    server {{
        listen unix:{folder}/front.sock;
        location /adds {{
            proxy_pass {upstream};
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto $scheme;
        }}
        location /overwrites {{
            proxy_pass {upstream};
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header X-Forwarded-Proto $scheme;
        }}
        location /silent {{
            proxy_pass {upstream};
        }}
    }}
}}
"""

pytestmark = pytest.mark.usefixtures("quiet")
behind = pytest.mark.parametrize(
    "server", ["proxied_app:app"], ids=["proxied"], indirect=True
)


@pytest.fixture
def front(server, tmp_path, start_tool) -> Iterator[httpx.Client]:
    """A client of an nginx that has the server behind it."""
    text = CONFIGURATION.format(folder=tmp_path, upstream=server.url)
    (tmp_path / "nginx.conf").write_text(text)
    where = ["-p", str(tmp_path), "-c", "nginx.conf", "-e", "stderr"]
    listens_at = tmp_path / "front.sock"
    start_tool("nginx", *where, listens_at=listens_at)
    with httpx.Client(
        base_url="http://front",
        transport=httpx.HTTPTransport(uds=str(listens_at)),
        headers={"X-Comes-From": CLIENT},
        timeout=20,
    ) as client:
        yield client


@behind
@pytest.mark.parametrize("path", ["/adds", "/overwrites"])
def test_the_client_of_nginx(front, path):
    expected = {"client": [CLIENT, 0], "scheme": "http"}
    assert front.get(path).json() == expected
    assert front.get(path, headers=FORGED).json() == expected
    twice = [("X-Forwarded-For", "6.6.6.6"), ("X-Forwarded-For", CLIENT)]
    assert front.get(path, headers=twice).json() == expected


@behind
def test_a_hop_that_nginx_cannot_name(front):
    # Without an address the client of a unix socket is "unix:" to nginx.
    del front.headers["X-Comes-From"]
    seen = front.get("/adds", headers=FORGED).json()
    assert seen["client"][0] == "127.0.0.1"


@behind
def test_an_nginx_that_was_told_nothing(front):
    # It passes on what the client wrote: the middleware cannot know.
    seen = front.get("/silent", headers=FORGED).json()
    assert seen == {"client": ["6.6.6.6", 0], "scheme": "https"}
    assert front.get("/silent").json()["client"][0] == "127.0.0.1"


@pytest.mark.parametrize(
    "server", ["proxied_app:bare"], ids=["bare"], indirect=True
)
@pytest.mark.parametrize("path", ["/adds", "/overwrites", "/silent"])
def test_without_the_middleware_every_client_is_nginx(front, path):
    seen = front.get(path, headers=FORGED).json()
    assert seen["client"][0] == "127.0.0.1"
    assert seen["scheme"] == "http"
