"""Start a real server in a process of its own, and stop it politely.

The server under test is `python -m asgi_ref`. To ask the same questions
of another server that has the same flags, name its module:

    INTEROP_SERVER=uvicorn python -m pytest tests/interop

When a test fails there too, it is likely that the test is wrong.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).resolve().parents[2]
APPS = "tests/interop/apps"
MODULE = os.environ.get("INTEROP_SERVER", "asgi_ref")
BANNER = re.compile(r"http://127\.0\.0\.1:\d+")
PATIENCE = 20  # seconds before something that never comes is an error


class Server:
    """One server process, its address and everything that it printed."""

    def __init__(self, app: str, *flags: str) -> None:
        command = [sys.executable, "-m", MODULE, app, "--app-dir", APPS]
        self.app = app
        self.url = ""
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            [*command, *flags],
            cwd=ROOT,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        # Somebody must always read: a full pipe would stop the server.
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)

    @property
    def log(self) -> str:
        return "".join(self.lines)

    def wait_for(self, ready: Callable[[], object], what: str) -> None:
        """Ask again and again; fail if it never comes or the server ends."""
        deadline = time.monotonic() + PATIENCE
        while not ready():
            ended = self.process.poll() is not None
            if ended or time.monotonic() > deadline:
                last = "".join(self.lines[-40:])
                pytest.fail(f"waited in vain for {what}; it said:\n{last}")
            time.sleep(0.01)

    def started(self, ready: Callable[[], object], what: str) -> None:
        """Wait for the first sign of life; leave nothing behind without."""
        try:
            self.wait_for(ready, what)
        except pytest.fail.Exception:
            self.process.kill()
            raise

    def find_url(self) -> None:
        self.started(lambda: BANNER.search(self.log), "its address")
        match = BANNER.search(self.log)
        assert match is not None
        self.url = match[0]

    def stop(self) -> None:
        """Press Ctrl+C; a server that ignores it, or complains, fails."""
        before = len(self.lines)
        self.process.send_signal(signal.SIGINT)
        try:
            status = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            pytest.fail(f"does not stop after SIGINT:\n{self.log}")
        finally:
            self.process.kill()
            self.reader.join(PATIENCE)
        last_words = "".join(self.lines[before:])
        assert status == 0, f"exit status {status}:\n{last_words}"
        assert "Traceback" not in last_words, last_words


@pytest.fixture(scope="module")
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """The application named by the test module, served on a free port."""
    running = Server(request.param, "--port", "0")
    running.find_url()
    yield running
    running.stop()


@pytest.fixture
def uds_server(tmp_path: Path) -> Iterator[str]:
    """The raw application behind a unix socket; yields its path."""
    path = str(tmp_path / "app.sock")
    running = Server("raw_app:app", "--uds", path)
    running.started(lambda: can_connect(path), "its unix socket")
    yield path
    running.stop()


def can_connect(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(path) == 0


@pytest.fixture
def quiet(server: Server) -> Iterator[None]:
    """Fail a test during which the server printed a traceback."""
    before = len(server.lines)
    yield
    printed = "".join(server.lines[before:])
    assert "Traceback" not in printed, printed


@pytest.fixture
def run_tool() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a program of the system, bounded, and check its exit status."""

    def run(
        name: str, *arguments: str, stdin: bytes = b""
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [find_tool(name), *arguments],
            input=stdin,
            capture_output=True,
            timeout=PATIENCE,
        )
        out, err = done.stdout.decode(), done.stderr.decode()
        assert done.returncode == 0, f"{name}: {done.returncode}\n{err}"
        return subprocess.CompletedProcess(done.args, 0, out, err)

    return run


@pytest.fixture
def start_tool() -> Iterator[Callable[..., None]]:
    """Start a daemon, wait until its unix socket answers, end it after."""
    running: list[subprocess.Popen[bytes]] = []

    def start(name: str, *arguments: str, listens_at: Path) -> None:
        process = subprocess.Popen([find_tool(name), *arguments])
        running.append(process)
        deadline = time.monotonic() + PATIENCE
        while not can_connect(str(listens_at)):
            ended = process.poll() is not None
            if ended or time.monotonic() > deadline:
                pytest.fail(f"{name} does not listen at {listens_at}")
            time.sleep(0.01)

    yield start
    for process in running:
        process.terminate()
        try:
            process.wait(PATIENCE)
        finally:
            process.kill()


def find_tool(name: str) -> str:
    """The path of a program; these tests do not do without it."""
    places = os.environ.get("PATH", "") + ":/usr/bin:/usr/sbin"
    found = shutil.which(name, path=places)
    if found is None:
        package = {"ab": "apache2-utils"}.get(name, name)
        pytest.fail(f"{name} is missing: apt-get install {package}")
    return found


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    """An httpx client that may hold one connection, and notes which."""

    def note_port(response: httpx.Response) -> None:
        stream = response.extensions["network_stream"]
        address = stream.get_extra_info("client_addr")
        response.extensions["local_port"] = address[1]

    with httpx.Client(
        base_url=server.url,
        limits=httpx.Limits(max_connections=1),
        timeout=PATIENCE,
        trust_env=False,
        event_hooks={"response": [note_port]},
    ) as one:
        yield one
