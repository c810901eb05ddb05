"""Real frameworks behind the referee, on our server: no false alarm.

What the frameworks do right is tested elsewhere; here only what the referee
says is looked at. Every kind of answer is asked for once. One alarm is true:
Django writes the names of headers in capitals.
"""

import asyncio
import re

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

PATIENCE = 20  # seconds before something that never comes is an error
FRAMEWORKS = "fastapi starlette django quart litestar falcon".split()
PLAIN = """
    /json?q=a /items/7 /stream /sse /cookies /slash /nowhere /state
    /static/file.txt /ctx/set?v=1 /ctx/get /background /background-release
    /caf%C3%A9/%2F /asks-nobody
""".split()
CAPITALS = re.compile(r"response\.start: header b'[A-Z].* not in lower case")
SOCKETS = "raw starlette fastapi quart litestar".split()


def judged(*names):
    """Run a test on these applications, each behind a referee."""
    return pytest.mark.parametrize(
        "server",
        [f"judged_app:{name}" for name in names],
        ids=names,
        indirect=True,
    )


def said(server):
    """Return what the referee said; an answer is logged behind it."""
    return [line for line in server.lines if "contract  " in line]


def alarms(server):
    """Return what the referee said and should not have."""
    if "django" not in server.app:
        return said(server)
    assert said(server)  # if not, Django has changed: mend chapter 22
    return [line for line in said(server) if not CAPITALS.search(line)]


def ask_all(client):
    """Ask for everything that the applications have in common."""
    for path in PLAIN:
        assert client.get(path).status_code
    client.head("/json")
    client.head("/static/file.txt")
    client.get("/static/file.txt", headers={"range": "bytes=100-199"})
    fresh = client.get("/static/file.txt")
    if tag := fresh.headers.get("etag"):
        same = client.get("/static/file.txt", headers={"if-none-match": tag})
        assert same.status_code in (200, 304)
    client.post("/json", json={"a": 1})
    client.post("/form", data={"name": "Ada"})
    client.post("/upload", files={"file": ("a.bin", bytes(300_000))})
    client.post("/large", content=bytes(300_000))
    client.post("/large", content=iter([b"a" * 70_000] * 3))
    client.options("/json")


@judged(*FRAMEWORKS)
def test_http_and_lifespan(server, client):
    ask_all(client)
    httpx.get(server.url + "/boom", trust_env=False)  # a server may hang up
    with client.stream("GET", "/sse-forever?name=left") as response:
        next(response.iter_lines())
    server.wait_for(
        lambda: httpx.get(server.url + "/closed", trust_env=False).json(),
        "the generator of /sse-forever to be closed",
    )
    assert alarms(server) == []
    server.process.send_signal(2)
    server.process.wait(PATIENCE)
    server.reader.join(PATIENCE)
    assert alarms(server) == []


@judged("websocket")
@pytest.mark.parametrize("name", SOCKETS)
def test_websocket(server, name):
    address = f"{server.url.replace('http', 'ws')}/{name}"

    async def talk():
        async with connect(address, proxy=None) as client:
            for message in "hé", "", b"\xff" * 70_000:
                await client.send(message)
                assert await client.recv() == message
        async with connect(address, proxy=None) as client:
            await client.send("and away")
            client.transport.abort()
        with pytest.raises(InvalidStatus):
            await connect(address + "/deny", proxy=None)
        async with connect(address, proxy=None) as client:
            await client.send("still there")
            assert await client.recv() == "still there"

    asyncio.run(asyncio.wait_for(talk(), PATIENCE))
    assert said(server) == []


@judged("wrong")
def test_a_referee_who_is_awake(server, client):
    assert client.get("/").status_code == 204
    server.wait_for(lambda: len(said(server)) == 2, "what the referee says")
    capitals, body = said(server)
    assert "application (judged_app.py:" in capitals
    assert "b'Content-Type' is not in lower case" in capitals
    assert "a body of 5 bytes, not 0 [RFC 9110" in body
