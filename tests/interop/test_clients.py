"""Real clients against an application that has no framework in it.

Command line tools (curl, ab, wrk), the standard library (http.client,
urllib) and the usual packages (httpx, aiohttp). Each of them reads HTTP
with a parser that was not written by us.
"""

import asyncio
import hashlib
import http.client
import json
import re
import subprocess
import urllib.error
import urllib.request

import aiohttp
import httpx
import pytest

DATA = bytes(range(256)) * 4 * 1024 * 3  # 3 MB
DIGEST = {"size": len(DATA), "sha256": hashlib.sha256(DATA).hexdigest()}
STREAM = "".join(f"piece {number}\n" for number in range(5))

pytestmark = [
    pytest.mark.parametrize(
        "server", ["raw_app:app"], ids=["raw"], indirect=True
    ),
    pytest.mark.usefixtures("quiet"),
]


# -- curl -------------------------------------------------------------------

# -q: read no .curlrc; a failed assertion shows the talk (-v) in full.
CURL = ["curl", "-q", "-sS", "-v", "--noproxy", "*", "--max-time", "15"]


def test_curl_uses_one_connection_for_two_addresses(server, run_tool):
    count = ["-w", "%{num_connects} new connections\n"]
    done = run_tool(*CURL, *count, server.url + "/", server.url + "/stream")
    assert done.stdout == (
        "Hello, world\n1 new connections\n" + STREAM + "0 new connections\n"
    )


def test_curl_head(server, run_tool):
    done = run_tool(*CURL, "--head", server.url + "/")
    assert done.stdout.startswith("HTTP/1.1 200 OK\r\n")
    assert "content-length: 13\r\n" in done.stdout.lower()
    assert "Hello" not in done.stdout


def test_curl_sees_the_204_end_without_a_body(server, run_tool):
    urls = [server.url + "/empty", server.url + "/"]
    done = run_tool(*CURL, "-w", "%{http_code} %{num_connects}\n", *urls)
    assert done.stdout == "204 1\nHello, world\n200 0\n"


def test_curl_upload_waits_for_100_continue(server, run_tool):
    """curl asks before it sends so much; here it waits until the answer."""
    wait = ["--expect100-timeout", "15"]
    body = ["--data-binary", "@-"]
    url = server.url + "/digest"
    done = run_tool(*CURL, *wait, *body, url, stdin=DATA)
    assert "< HTTP/1.1 100 Continue" in done.stderr
    assert json.loads(done.stdout) == DIGEST


def test_curl_upload_in_chunks(server, run_tool):
    body = ["-H", "Transfer-Encoding: chunked", "--data-binary", "@-"]
    done = run_tool(*CURL, *body, server.url + "/digest", stdin=DATA)
    assert json.loads(done.stdout) == DIGEST


def test_curl_mirror_in_both_directions_at_once(server, run_tool):
    url = server.url + "/mirror"
    body = ["-H", "Expect:", "-T", "-"]  # answered before it is read
    done = run_tool(*CURL, *body, url, stdin=b"0123456789" * 300_000)
    assert done.stdout == "0123456789" * 300_000


def test_curl_is_refused_before_it_sends(server, run_tool):
    wait = ["--expect100-timeout", "15"]
    body = ["--data-binary", "@-", "-w", " %{http_code} %{size_upload}"]
    url = server.url + "/refuse"
    done = run_tool(*CURL, *wait, *body, url, stdin=DATA)
    assert done.stdout == "too large for me\n 413 0"
    assert "100 Continue" not in done.stderr


def test_curl_speaks_http_1_0(server, run_tool):
    """The end of the answer is the end of the connection, no chunks.

    Uvicorn (0.54 with httptools) fails: it sends chunks to HTTP/1.0 too.
    """
    done = run_tool(*CURL, "--http1.0", "-i", server.url + "/stream")
    head, _, body = done.stdout.partition("\r\n\r\n")
    assert "transfer-encoding" not in head.lower()
    assert body == STREAM


def test_curl_offers_http_2_and_accepts_http_1_1(server, run_tool):
    done = run_tool(*CURL, "--http2", server.url + "/look")
    look = json.loads(done.stdout)
    assert look["http_version"] == "1.1"
    assert ["upgrade", "h2c"] in look["headers"]


def test_curl_odd_but_lawful_header_fields(server, run_tool):
    """Spaces around a value do not belong to it (RFC 9110, 5.5).

    Uvicorn (0.54 with httptools) fails: it keeps the ones at the end.
    """
    fields = ["-H", "X-Empty;", "-H", "X-Spaces:   a  b   ", "-H", "X-Two: 1"]
    fields += ["-H", "X-Two: 2"]
    done = run_tool(*CURL, *fields, server.url + "/look?a=%20b&a=c+d")
    look = json.loads(done.stdout)
    assert look["query"] == "a=%20b&a=c+d"
    assert [field for field in look["headers"] if field[0][:2] == "x-"] == [
        ["x-empty", ""],
        ["x-spaces", "a  b"],
        ["x-two", "1"],
        ["x-two", "2"],
    ]


def test_curl_many_at_once(server, run_tool):
    parallel = ["--parallel", "--parallel-immediate", "--parallel-max", "10"]
    done = run_tool(*CURL, *parallel, server.url + "/?number=[1-40]")
    assert done.stdout == "Hello, world\n" * 40


def test_curl_shows_each_event_at_once(server, run_tool):
    """The second event is sent only after curl has printed the first."""
    url = server.url + "/gate?name=curl"
    command = [*CURL, "--no-buffer", url]
    with subprocess.Popen(
        command, text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as curl:
        assert curl.stdout is not None
        assert curl.stdout.readline() == "data: first\n"
        run_tool(*CURL, server.url + "/gate/open?name=curl")
        assert curl.stdout.read() == "\ndata: second\n\n"
    assert curl.returncode == 0


def test_curl_through_a_unix_socket(server, uds_server, run_tool):
    """The address is a file; what is in the URL is only the Host."""
    where = ["--unix-socket", uds_server]
    hello = run_tool(*CURL, *where, "http://localhost/")
    digest = run_tool(
        *CURL,
        *where,
        "--data-binary",
        "@-",
        "http://localhost/digest",
        stdin=DATA,
    )
    assert hello.stdout == "Hello, world\n"
    assert json.loads(digest.stdout) == DIGEST


# -- load generators: not for the speed, for the mistakes -------------------


def test_ab_keeps_http_1_0_connections_alive(server, run_tool):
    """ab speaks HTTP/1.0 and asks for `Connection: Keep-Alive`.

    Uvicorn (0.54) fails this one: it closes after each 1.0 answer.
    """
    done = run_tool("ab", "-k", "-n", "2000", "-c", "20", server.url + "/")
    found = dict(re.findall(r"(?m)^([\w-]+ [\w-]+):\s+(\d+)", done.stdout))
    assert found["Complete requests"] == "2000"
    assert found["Failed requests"] == "0"
    assert found["Keep-Alive requests"] == "2000"
    assert "Non-2xx" not in done.stdout


def test_ab_without_keep_alive(server, run_tool):
    done = run_tool("ab", "-n", "500", "-c", "10", server.url + "/")
    assert re.search(r"Complete requests: +500\n", done.stdout)
    assert re.search(r"Failed requests: +0\n", done.stdout)


def test_ab_posts(server, run_tool, tmp_path):
    body = tmp_path / "body"
    body.write_bytes(b"x" * 10_000)
    post = ["-k", "-n", "300", "-c", "10", "-p", str(body)]
    done = run_tool("ab", *post, server.url + "/digest")
    assert re.search(r"Complete requests: +300\n", done.stdout)
    assert re.search(r"Failed requests: +0\n", done.stdout)
    assert "Non-2xx" not in done.stdout


@pytest.mark.parametrize("path", ["/", "/stream"])
def test_wrk_finds_no_socket_error(server, run_tool, path):
    """wrk says nothing about errors unless there were some."""
    load = ["-t", "1", "-c", "20", "-d", "2s"]
    done = run_tool("wrk", *load, server.url + path)
    assert re.search(r"[1-9]\d* requests in", done.stdout)
    assert "Socket errors" not in done.stdout, done.stdout
    assert "Non-2xx" not in done.stdout, done.stdout


# -- the standard library ---------------------------------------------------


@pytest.fixture
def connection(server):
    """http.client with one connection, and no second if that is closed."""
    address = server.url.removeprefix("http://")
    one = http.client.HTTPConnection(address, timeout=20)
    one.connect()
    one.auto_open = 0
    yield one
    one.close()


def ask(connection, method: str, path: str, body=None, **how):
    connection.request(method, path, body, **how)
    response = connection.getresponse()
    return response, response.read()


def test_http_client_asks_often_on_one_connection(connection):
    for _ in range(100):
        response, body = ask(connection, "GET", "/")
        assert (response.status, body) == (200, b"Hello, world\n")


def test_http_client_mixes_answers_with_and_without_a_body(connection):
    for _ in range(3):
        assert ask(connection, "HEAD", "/")[1] == b""
        assert ask(connection, "GET", "/empty")[0].status == 204
        assert ask(connection, "GET", "/stream")[1] == STREAM.encode()
        assert ask(connection, "HEAD", "/stream")[1] == b""
        assert ask(connection, "GET", "/nowhere")[0].status == 404
        assert ask(connection, "OPTIONS", "/")[0].status == 200


def test_http_client_body_in_chunks(connection):
    pieces = (DATA[at : at + 50_000] for at in range(0, len(DATA), 50_000))
    _, body = ask(connection, "POST", "/digest", pieces, encode_chunked=True)
    assert json.loads(body) == DIGEST
    assert ask(connection, "GET", "/")[1] == b"Hello, world\n"


def test_http_client_gets_a_large_body_back(connection):
    _, body = ask(connection, "POST", "/echo", DATA)
    assert body == DATA
    assert ask(connection, "GET", "/")[1] == b"Hello, world\n"


@pytest.mark.parametrize("size", [60_000, 3_000_000])
def test_http_client_hears_the_refusal_of_a_body_nobody_reads(
    connection, size
):
    """It sends all before it reads; a hasty close would lose the 413."""
    response, body = ask(connection, "POST", "/refuse", b"x" * size)
    assert (response.status, body) == (413, b"too large for me\n")


def test_context_variables_end_with_their_request(connection):
    for body in (None, b"", b"small", b"x" * 2_000_000, None):
        method = "GET" if body is None else "POST"
        _, answer = ask(connection, method, "/ctx/set", body)
        size = len(body or b"")
        assert json.loads(answer) == {"note": "unset", "size": size}


@pytest.fixture
def opener():
    """urllib without the proxies of the environment."""
    return urllib.request.build_opener(urllib.request.ProxyHandler({}))


def test_urllib_get(server, opener):
    with opener.open(server.url + "/stream", timeout=20) as response:
        assert response.read().decode() == STREAM


def test_urllib_closes_as_it_said(server, opener):
    """urllib sends `Connection: close` and reads until the end."""
    with opener.open(server.url + "/", timeout=20) as response:
        assert response.headers["connection"] == "close"
        assert response.read() == b"Hello, world\n"


def test_urllib_post(server, opener):
    with opener.open(server.url + "/digest", DATA, timeout=20) as response:
        assert json.load(response) == DIGEST


def test_urllib_error_has_a_body(server, opener):
    with pytest.raises(urllib.error.HTTPError) as caught:
        opener.open(server.url + "/nowhere", timeout=20)
    with caught.value as error:
        assert error.code == 404
        assert error.read() == b"no such page\n"


# -- packages ---------------------------------------------------------------


def test_httpx_gets_the_first_event_before_the_second(client, server):
    with client.stream("GET", "/gate?name=httpx") as response:
        lines = response.iter_lines()
        assert next(lines) == "data: first"
        url = server.url + "/gate/open?name=httpx"
        httpx.get(url, trust_env=False)
        assert list(lines) == ["", "data: second", ""]


def test_httpx_leaves_a_stream_in_the_middle(client):
    """The application then writes to nobody; the log stays quiet."""
    with client.stream("GET", "/gate?name=left") as response:
        assert next(response.iter_lines()) == "data: first"
    assert client.get("/gate/open?name=left").text == "open\n"
    assert client.get("/").text == "Hello, world\n"


@pytest.mark.parametrize(
    ("path", "sign"), [("/listen", "http.disconnect"), ("/talk", "OSError")]
)
def test_application_learns_that_httpx_left(client, server, path, sign):
    """By listening or by talking, each alone (ASGI HTTP, version 2.4).

    Uvicorn (0.54) fails for /talk: its send() is then silently in vain.
    """
    with client.stream("GET", f"{path}?name={path}") as response:
        assert next(response.iter_lines()) == "data: first"
    server.wait_for(
        lambda: client.get("/left").json().get(path) == sign,
        f"the application to notice: {sign}",
    )


def test_httpx_async_many_at_once(server):
    async def many():
        limits = httpx.Limits(max_connections=10)
        async with httpx.AsyncClient(
            base_url=server.url, limits=limits, timeout=20, trust_env=False
        ) as client:
            asked = (client.get(f"/look?number={n}") for n in range(100))
            return await asyncio.gather(*asked)

    answers = asyncio.run(many())
    found = [answer.json()["query"] for answer in answers]
    assert found == [f"number={n}" for n in range(100)]


def test_httpx_async_upload_in_chunks(server):
    async def pieces():
        for at in range(0, len(DATA), 50_000):
            yield DATA[at : at + 50_000]

    async def upload():
        async with httpx.AsyncClient(timeout=20, trust_env=False) as client:
            url = server.url + "/digest"
            return await client.post(url, content=pieces())

    assert asyncio.run(upload()).json() == DIGEST


def test_aiohttp_many_at_once(server):
    async def one(session, number):
        url = f"{server.url}/look?number={number}"
        async with session.get(url) as response:
            return (await response.json())["query"]

    async def many():
        async with aiohttp.ClientSession() as session:
            asked = (one(session, number) for number in range(100))
            return await asyncio.gather(*asked)

    found = asyncio.run(asyncio.wait_for(many(), 20))
    assert found == [f"number={n}" for n in range(100)]


def test_aiohttp_mirror_in_both_directions_at_once(server):
    async def pieces():
        for at in range(0, len(DATA), 50_000):
            yield DATA[at : at + 50_000]

    async def mirror():
        async with aiohttp.ClientSession() as session:
            url = server.url + "/mirror"
            async with session.post(url, data=pieces()) as response:
                return await response.read()

    assert asyncio.run(asyncio.wait_for(mirror(), 20)) == DATA
