"""TLS: curl, httpx and websockets, with and without a certificate."""

import asyncio
import json
import ssl
import threading
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import connect

from asgi_ref import listen
from asgi_ref.server import Server, Settings
from asgi_ref.tls import Tls
from asgi_ref.websocket import websocket

PATIENCE = 20  # seconds before something that never comes is an error
FOLDER = Path(__file__).parents[1] / "certificates"
CA, CERT, KEY, CLIENT = (
    str(FOLDER / name)
    for name in ("ca.pem", "server.pem", "server.key", "client.pem")
)
ANN = "CN=Ann,OU=Kasse+UID=7,O=Müller\\, Söhne,C=DE"
LARGE = bytes(range(256)) * 20_000
CURL = ["curl", "-q", "-sS", "--noproxy", "*", "--max-time", "15"]


async def app(scope, receive, send):
    known = scope["extensions"]["tls"]
    said = [scope["scheme"], known["client_cert_name"], known["tls_version"]]
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": json.dumps(said)})
        while (event := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "bytes": event["bytes"]})
        return
    await send({"type": "http.response.start", "status": 200})
    if scope["path"] == "/mirror":
        while True:
            event = await receive()
            body, more = event["body"], event["more_body"]
            part = {"type": "http.response.body", "body": body}
            await send({**part, "more_body": more})
            if not more:
                return
    body = json.dumps(said).encode()
    await send({"type": "http.response.body", "body": body})


@pytest.fixture(scope="module")
def port():
    """A server with TLS, in a thread, that asks who its clients are."""
    sock = listen.listen(port=0)
    number = sock.getsockname()[1]
    secured = Tls(CERT, KEY, None, CA, "optional")
    loops, ready = [], threading.Event()

    async def serve():
        settings = Settings(lifespan="off", access_log=False)
        upgrades = {b"websocket": websocket}
        server = Server(app, settings, upgrades, tls=secured)
        loops.append((asyncio.get_running_loop(), server))
        serving = asyncio.create_task(server.serve(sock))
        await server.ready.wait()
        ready.set()
        await serving

    thread = threading.Thread(target=asyncio.run, args=[serve()])
    thread.start()
    assert ready.wait(PATIENCE)
    yield number
    loop, server = loops[0]
    loop.call_soon_threadsafe(server.stop)
    thread.join(PATIENCE)
    assert not thread.is_alive()


def test_curl(port, run_tool):
    url = f"https://localhost:{port}/"
    done = run_tool(*CURL, "--cacert", CA, url)
    assert json.loads(done.stdout) == ["https", None, 0x0304]


def test_curl_with_a_certificate_and_tls_1_2(port, run_tool):
    url = f"https://localhost:{port}/"
    old = ["--tls-max", "1.2", "--cert", CLIENT]
    done = run_tool(*CURL, *old, "--cacert", CA, url)
    assert json.loads(done.stdout) == ["https", ANN, 0x0303]


def test_curl_that_would_like_http_2(port, run_tool):
    flags = ["--http2", "-w", "%{http_version}", "-o", "/dev/null"]
    url = f"https://localhost:{port}/"
    done = run_tool(*CURL, *flags, "--cacert", CA, url)
    assert done.stdout == "1.1"


def test_curl_in_plain_http(port, run_tool):
    done = run_tool(*CURL, f"http://localhost:{port}/")
    assert done.stdout == "This port speaks TLS: use https://"


def test_curl_uploads(port, run_tool):
    flags = ["--data-binary", "@-", "-w", "%{size_download}"]
    flags += ["-o", "/dev/null", "--cacert", CA]
    url = f"https://localhost:{port}/mirror"
    done = run_tool(*CURL, *flags, url, stdin=LARGE)
    assert done.stdout == str(len(LARGE))


def context(certificate=None):
    made = ssl.create_default_context(cafile=CA)
    if certificate:
        made.load_cert_chain(certificate)
    return made


@pytest.mark.parametrize(
    ("certificate", "name"), [(None, None), (CLIENT, ANN)]
)
def test_httpx(port, certificate, name):
    with httpx.Client(verify=context(certificate), trust_env=False) as client:
        url = f"https://localhost:{port}"
        for _ in range(2):
            said = client.get(url).json()
            assert said == ["https", name, 0x0304]
        answer = client.post(url + "/mirror", content=LARGE)
        assert answer.content == LARGE


@pytest.mark.parametrize(
    ("certificate", "name"), [(None, None), (CLIENT, ANN)]
)
def test_websockets(port, certificate, name):
    async def talk():
        where = f"wss://localhost:{port}/"
        async with connect(
            where, ssl=context(certificate), max_size=None, proxy=None
        ) as client:
            assert json.loads(await client.recv()) == ["wss", name, 0x0304]
            await client.send(LARGE)
            assert await client.recv() == LARGE
        assert client.close_code == 1000

    asyncio.run(asyncio.wait_for(talk(), PATIENCE))
