"""WebSocket: real clients, real frameworks, a proxy and a browser.

Each client reads frames with a parser that was not written by us, and each
framework has its own idea of when to listen.
"""

import asyncio
import json
import shutil
import subprocess
import tempfile
from contextlib import suppress

import aiohttp
import httpx
import pytest
import socketio
import websocket as websocket_client
from conftest import find_tool
from websockets.asyncio.client import connect, unix_connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

PATIENCE = 20  # seconds before something that never comes is an error
MESSAGES = ["hé", "", "x" * 70_000, b"", b"\xff\x00", bytes(3_000_000)]
FRAMEWORKS = "raw starlette fastapi quart litestar".split()

pytestmark = [
    pytest.mark.parametrize(
        "server", ["websocket_app:app"], ids=["ws"], indirect=True
    ),
    pytest.mark.usefixtures("quiet"),
]
on_each = pytest.mark.parametrize("name", FRAMEWORKS)
with_and_without = pytest.mark.parametrize("compression", ["deflate", None])


def run(coroutine):
    return asyncio.run(asyncio.wait_for(coroutine, PATIENCE))


def address(server, name):
    return f"{server.url.replace('http', 'ws')}/{name}"


async def exchange(client, messages):
    """Send all, one by one, then all at once; each must come back."""
    for message in messages:
        await client.send(message)
        assert await client.recv() == message
    small = [message for message in messages if len(message) < 100] * 50
    for message in small:
        await client.send(message)
    assert [await client.recv() for _ in small] == small


def messages_for(name):
    # Quart (0.22) takes an empty binary message for no message.
    return [m for m in MESSAGES if m != b"" or name != "quart"]


@on_each
@with_and_without
def test_websockets(server, name, compression):
    async def talk():
        where = address(server, name)
        async with connect(
            where, compression=compression, max_size=None, proxy=None
        ) as client:
            await exchange(client, messages_for(name))
            await (await client.ping())
            fields = client.response.headers
            deflate = "permessage-deflate" in str(
                fields.get("Sec-WebSocket-Extensions")
            )
            assert deflate == (compression is not None)
        assert client.close_code == 1000

    run(talk())


@on_each
def test_many_fragments(server, name):
    async def talk():
        async with connect(address(server, name), proxy=None) as client:
            await client.send("piece " * 3)
            await client.send(["a", "é", "", "c"] * 500)
            assert await client.recv() == "piece " * 3
            assert await client.recv() == "aéc" * 500

    run(talk())


@on_each
def test_a_refusal(server, name):
    async def talk():
        with pytest.raises(InvalidStatus) as caught:
            await connect(address(server, name) + "/deny", proxy=None)
        response = caught.value.response
        assert response.status_code == (401 if name == "starlette" else 403)
        if name == "starlette":
            assert response.body == b"not you"

    run(talk())


@on_each
def test_websocket_client(server, name):
    client = websocket_client.create_connection(
        address(server, name), timeout=PATIENCE
    )
    for message in messages_for(name):
        if isinstance(message, str):
            client.send(message)
        else:
            client.send_binary(message)
        assert client.recv() == message
    client.close(timeout=PATIENCE)


@on_each
@pytest.mark.parametrize("compress", [0, 9, 15])
def test_aiohttp(server, name, compress):
    async def talk():
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(
                address(server, name), compress=compress, max_msg_size=0
            ) as client,
        ):
            assert bool(client.compress) == bool(compress)
            for message in messages_for(name):
                if isinstance(message, str):
                    await client.send_str(message)
                else:
                    await client.send_bytes(message)
                assert (await client.receive()).data == message
        assert client.close_code == 1000

    run(talk())


def test_subprotocol_and_close_code(server):
    async def talk():
        where = address(server, "raw")
        async with connect(
            where, subprotocols=["v9", "echo"], proxy=None
        ) as client:
            assert client.subprotocol == "echo"
            await client.close(4321, "lunch é")

    run(talk())
    ends = httpx.get(server.url + "/ends", trust_env=False).text
    assert "[4321, 'lunch é']" in ends


def test_a_client_that_breaks_off(server):
    async def talk():
        client = await connect(address(server, "raw"), proxy=None)
        client.transport.abort()
        async with httpx.AsyncClient(trust_env=False) as http:
            while "[1006, '']" not in (
                await http.get(server.url + "/ends")
            ).text:
                pass

    run(talk())


def test_a_message_that_is_too_long(server):
    async def talk():
        where = address(server, "raw")
        client = await connect(where, compression=None, proxy=None)
        with suppress(ConnectionClosed):  # the server need not read it all
            await client.send(bytes(16 * 1024 * 1024 + 1))
        with pytest.raises(ConnectionClosed) as caught:
            await client.recv()
        assert caught.value.rcvd.code == 1009

    run(talk())


@pytest.mark.parametrize("transports", [["websocket"], None])
def test_socketio(server, transports):
    async def talk():
        client = socketio.AsyncClient()
        heard = asyncio.Queue()
        client.on("heard", heard.put)
        await client.connect(server.url, transports=transports)
        assert await client.call("shout", "hello") == 5
        assert await heard.get() == "HELLO"
        await client.disconnect()

    run(talk())


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
    server {{
        listen unix:{folder}/front.sock;
        location / {{
            proxy_pass http://{upstream};
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection "upgrade";
            proxy_set_header Host $http_host;
        }}
    }}
}}
"""


@with_and_without
def test_through_nginx(server, tmp_path, start_tool, compression):
    upstream = server.url.removeprefix("http://")
    text = CONFIGURATION.format(folder=tmp_path, upstream=upstream)
    (tmp_path / "nginx.conf").write_text(text)
    where = ["-p", str(tmp_path), "-c", "nginx.conf", "-e", "stderr"]
    front = tmp_path / "front.sock"
    start_tool("nginx", *where, listens_at=front)

    async def talk():
        async with unix_connect(
            str(front), "ws://front/raw", compression=compression,
            max_size=None,
        ) as client:  # fmt: skip
            await exchange(client, MESSAGES)
            await client.close(4002, "bye")
        assert client.close_code == 4002

    run(talk())


def test_chromium(server):
    """A browser with compression, which must find all of it in order."""
    profile = tempfile.mkdtemp()
    flags = ["--headless", "--no-sandbox", "--disable-gpu"]
    flags += ["--no-proxy-server"]
    browser = subprocess.Popen(
        [find_tool("chromium"), *flags, f"--user-data-dir={profile}",
         server.url + "/page", "--remote-debugging-port=0"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        text = httpx.get(
            server.url + "/report", timeout=PATIENCE, trust_env=False
        ).text
    finally:
        browser.terminate()
        browser.wait(PATIENCE)
        shutil.rmtree(profile, ignore_errors=True)
    seen = json.loads(text)
    assert "permessage-deflate" in seen.pop("extensions")
    assert seen == {
        "messages": [-2, 0, -100_000, 300_000],
        "protocol": "echo",
        "code": 4001,
        "reason": "bye",
        "wasClean": True,
    }
