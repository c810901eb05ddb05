"""The package from code: run, serve, running."""

import asyncio
import functools
import logging
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

import asgi_ref
from asgi_ref.lifespan import StartupFailed
from asgi_ref.listen import CannotListen, listen
from asgi_ref.target import TargetError

ROOT = Path(__file__).resolve().parents[1]
PATIENCE = 20  # seconds before something that never comes is an error


def on_a_loop(test):
    """Run a coroutine function as a plain, bounded test."""

    @functools.wraps(test)
    def run(*arguments, **named):
        asyncio.run(asyncio.wait_for(test(*arguments, **named), PATIENCE))

    return run


class App:
    """Says where it is; notes in what order it was called."""

    def __init__(self):
        self.said = []

    async def __call__(self, scope, receive, send):
        if scope["type"] == "lifespan":
            return await self.lifespan(receive, send)
        self.said.append("request")
        text = scope["root_path"] + " " + scope["path"]
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": text.encode()})

    async def lifespan(self, receive, send):
        self.said.append((await receive())["type"])
        await send({"type": "lifespan.startup.complete"})
        self.said.append((await receive())["type"])
        await send({"type": "lifespan.shutdown.complete"})


async def fails(scope, receive, send):
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "no db"})


def fetch(url):
    """Return the body behind a URL; it blocks, so call it in a thread."""
    nobody = urllib.request.ProxyHandler({})
    opener = urllib.request.build_opener(nobody)
    with opener.open(url, timeout=PATIENCE) as response:
        return response.read().decode()


@on_a_loop
async def test_running_serves_in_the_background():
    app = App()
    async with asgi_ref.running(app) as url:
        assert url.startswith("http://127.0.0.1:")
        assert await asyncio.to_thread(fetch, url + "/a") == " /a"
        assert app.said == ["lifespan.startup", "request"]
    assert app.said[-1] == "lifespan.shutdown"
    with pytest.raises(OSError, match="refused"):
        await asyncio.to_thread(fetch, url)


@on_a_loop
async def test_running_takes_settings():
    async with asgi_ref.running(App(), root_path="/api") as url:
        assert await asyncio.to_thread(fetch, url + "/a") == "/api /api/a"


@on_a_loop
async def test_running_twice_at_once():
    async with asgi_ref.running(App()) as one, asgi_ref.running(App()) as two:
        assert one != two
        for url in one, two:
            assert await asyncio.to_thread(fetch, url + "/a") == " /a"


@on_a_loop
async def test_running_stops_when_the_body_raises():
    app = App()
    with pytest.raises(ValueError, match="mine"):
        async with asgi_ref.running(app):
            raise ValueError("mine")
    assert app.said[-1] == "lifespan.shutdown"


@on_a_loop
async def test_running_an_application_that_cannot_start():
    with pytest.raises(StartupFailed, match="no db"):
        async with asgi_ref.running(fails):
            raise AssertionError("it started")


@on_a_loop
async def test_running_on_a_port_that_is_taken():
    with listen(port=0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(CannotListen, match=f"Port {port} is taken"):
            async with asgi_ref.running(App(), port=port):
                raise AssertionError("it started")


@on_a_loop
async def test_running_with_a_setting_that_does_not_exist():
    with pytest.raises(TypeError, match="timeout_keepalive"):
        async with asgi_ref.running(App(), timeout_keepalive=1):
            raise AssertionError("it started")


@pytest.fixture
def logging_kept():
    """`serve` sets up the package's log; put it back as it was."""
    log = logging.getLogger("asgi_ref")
    before = log.handlers[:], log.level, log.propagate
    yield
    log.handlers[:], log.level, log.propagate = before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@on_a_loop
async def test_serve_until_a_signal_comes(number, capsys, logging_kept):
    app = App()
    serving = asyncio.create_task(asgi_ref.serve(app, port=0))
    banner = ""
    while "http://" not in banner:
        await asyncio.sleep(0.001)
        banner += capsys.readouterr().out
    while not app.said:
        await asyncio.sleep(0.001)
    url = banner.split("open")[1].split()[0]
    assert await asyncio.to_thread(fetch, url + "/a") == " /a"
    signal.raise_signal(number)
    await serving
    assert app.said[-1] == "lifespan.shutdown"


@on_a_loop
async def test_serve_keeps_the_logging_that_was_set_up(capsys, logging_kept):
    mine, log = logging.NullHandler(), logging.getLogger("asgi_ref")
    log.handlers[:] = [mine]
    app = App()
    serving = asyncio.create_task(asgi_ref.serve(app, port=0))
    while not app.said:
        await asyncio.sleep(0.001)
    signal.raise_signal(signal.SIGINT)
    await serving
    assert log.handlers == [mine]


@on_a_loop
async def test_serve_by_name_and_what_cannot_be_served(logging_kept):
    with pytest.raises(TargetError, match="No module named"):
        await asgi_ref.serve("nowhere_at_all:app", port=0)
    with pytest.raises(TargetError, match="not an app"):
        await asgi_ref.serve(42, port=0)


SCRIPT = """
import logging
import asgi_ref

async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": b"hello"})

asgi_ref.run(app, port=0, lifespan="off")
print("the end,", len(logging.getLogger("asgi_ref").handlers), "handler")
"""


def test_run_until_ctrl_c():
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        banner = process.stdout.readline() + process.stdout.readline()
        assert "Ctrl+C" in banner
        url = banner.split("open")[1].split()[0]
        assert fetch(url) == "hello"
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=PATIENCE)
        assert rest == "the end, 1 handler\n"
        assert process.returncode == 0
    finally:
        process.kill()
        process.communicate()


BLOCKS = """
import time
import asgi_ref

async def app(scope, receive, send):
    print("blocks", flush=True)
    time.sleep(3600)

asgi_ref.run(app, port=0, lifespan="off")
"""


def test_run_until_ctrl_c_twice():
    """As the banner says, even if the application never lets the loop go."""
    process = subprocess.Popen(
        [sys.executable, "-c", BLOCKS],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        banner = process.stdout.readline() + process.stdout.readline()
        port = int(banner.split("open")[1].split()[0].rsplit(":", 1)[1])
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(b"GET /held HTTP/1.1\r\nHost: a\r\n\r\n")
            assert process.stdout.readline() == "blocks\n"
            process.send_signal(signal.SIGINT)
            process.send_signal(signal.SIGTERM)  # two of a kind may merge
            _, said = process.communicate(timeout=PATIENCE)
        assert "forced: GET /held did not let go" in said
    finally:
        process.kill()
        process.communicate()


def test_importing_the_package_does_not_load_a_server():
    """A parser in a lab needs no event loop."""
    code = (
        "import sys, asgi_ref.request;"
        "print('asgi_ref.server' in sys.modules, 'asyncio' in sys.modules);"
        "asgi_ref.run;"
        "print('asgi_ref.server' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.stdout.split() == ["False", "False", "True"]


def test_what_the_package_offers():
    for name in asgi_ref.__all__:
        assert callable(getattr(asgi_ref, name))
    assert asgi_ref.__version__
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = asgi_ref.nonsense


@pytest.mark.parametrize("app", [5, lambda environ, start_response: []])
@on_a_loop
async def test_what_is_no_application_is_not_served(app):
    with pytest.raises(TargetError):
        async with asgi_ref.running(app):
            pass
