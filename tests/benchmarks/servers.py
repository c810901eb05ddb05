"""Start a server as a process, ask the kernel what it costs, stop it.

All figures come from /proc, so this is for Linux.  A server is the process
that was started and everything below it: some servers have a supervisor and
a worker, and both count.
"""

import importlib.util
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter, sleep
from typing import IO

import load

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
TICK = 1 / os.sysconf("SC_CLK_TCK")
START_LIMIT = 20.0
STOP_LIMIT = 5.0

UVICORN = (
    "uvicorn app:app --app-dir {here} --port {port} --no-access-log"
    " --log-level warning --timeout-keep-alive 75 --ws websockets"
)
COMMANDS = {
    "asgi_ref": (
        "asgi_ref app:app --app-dir {here} --port {port} --no-access-log"
        " --timeout-keep-alive 75"
    ),
    "uvicorn-h11": UVICORN + " --http h11 --loop asyncio",
    "uvicorn-httptools": UVICORN + " --http httptools --loop asyncio",
    "uvicorn-uvloop": UVICORN + " --http httptools --loop uvloop",
    "uvicorn-sansio": UVICORN + "-sansio --http h11 --loop asyncio",
    "granian": (
        "granian app:app --working-dir {here} --port {port} --no-access-log"
        " --log-level warning --interface asgi --http 1 --workers 1"
        " --runtime-mode st --runtime-threads 1"
    ),
}
NEEDS = {
    "asgi_ref": ("asgi_ref.__main__",),
    "uvicorn-h11": ("uvicorn", "h11", "websockets"),
    "uvicorn-sansio": ("uvicorn", "h11", "websockets"),
    "uvicorn-httptools": ("uvicorn", "httptools"),
    "uvicorn-uvloop": ("uvicorn", "httptools", "uvloop"),
    "granian": ("granian",),
}


@dataclass
class Server:
    """One running server: its process, its port, how fast it was there."""

    name: str
    process: subprocess.Popen[bytes]
    port: int
    started_in: float = field(default=0.0)

    def cpu(self) -> float:
        """Seconds of CPU used so far, in user and in kernel mode."""
        return sum(cpu_ticks(pid) for pid in tree(self.process.pid)) * TICK

    def memory(self) -> int:
        """Resident memory now, in KiB."""
        return self._sum("VmRSS")

    def peak(self) -> int:
        """The most resident memory since the peak was forgotten, in KiB."""
        return self._sum("VmHWM")

    def forget_peak(self) -> None:
        """Let the kernel count the peak from now on: see proc(5).

        Where that is forbidden the peak is that of the whole life.
        """
        for pid in tree(self.process.pid):
            with suppress(PermissionError):
                Path(f"/proc/{pid}/clear_refs").write_text("5")

    def _sum(self, key: str) -> int:
        return sum(status(pid, key) for pid in tree(self.process.pid))


def is_installed(name: str) -> bool:
    """Tell whether this Python could start that server."""
    try:
        return all(importlib.util.find_spec(need) for need in NEEDS[name])
    except ModuleNotFoundError:  # the parent of a dotted name is missing
        return False


@contextmanager
def running(name: str) -> Iterator[Server]:
    """Start a server, wait for its first answer, stop it at the end."""
    port = free_port()
    command = COMMANDS[name].format(here=HERE, port=port).split()
    with tempfile.TemporaryFile() as log:
        begin = perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=ROOT, env=environment(),
            stdout=log, stderr=log, stdin=subprocess.DEVNULL,
        )
        server = Server(name, process, port)
        try:
            wait_for_answer(server, begin)
            yield server
        except Exception:
            show(name, log)
            raise
        finally:
            stop(process)


def show(name: str, log: IO[bytes]) -> None:
    """Show what a server had to say, if it said anything."""
    log.seek(0)
    text = log.read().decode(errors="replace")
    if text:
        sys.stderr.write(f"--- {name} wrote:\n{text}")


def wait_for_answer(server: Server, begin: float) -> None:
    """Knock until the first request is answered, and note the time."""
    while server.process.poll() is None:
        try:
            load.connect_and_ask(server.port).close()
        except ConnectionRefusedError:
            if perf_counter() - begin > START_LIMIT:
                raise
            sleep(0.002)
        else:
            server.started_in = perf_counter() - begin
            return
    raise RuntimeError(f"{server.name} ended before it answered")


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a server politely, then end what is left of it."""
    children = tree(process.pid)[1:]
    process.terminate()
    try:
        process.wait(STOP_LIMIT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(STOP_LIMIT)
    for pid in children:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def environment() -> dict[str, str]:
    """Return the environment of a server.

    All of them may keep compiled modules, as those that are installed have
    them; otherwise ours alone would be compiled anew at each start.
    """
    kept = {**os.environ, "PYTHONPATH": str(HERE)}
    kept.pop("PYTHONDONTWRITEBYTECODE", None)
    return kept


def free_port() -> int:
    """Let the system choose a port that nobody uses now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat after the name: state, parent, ..."""
    text = Path(f"/proc/{pid}/stat").read_text()
    return text.rpartition(")")[2].split()


def cpu_ticks(pid: int) -> int:
    """utime, stime, and the same of children that have ended."""
    return sum(map(int, stat(pid)[11:15]))


def tree(root: int) -> list[int]:
    """A process and all its descendants."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            pid = int(entry.name)
            with suppress(FileNotFoundError, ProcessLookupError):
                parents[pid] = int(stat(pid)[1])  # it may end as we look
    found = [root]
    for member in found:  # grows while we walk
        found += [pid for pid, parent in parents.items() if parent == member]
    return found


def status(pid: int, key: str) -> int:
    """One figure of /proc/PID/status, in KiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1])
    return 0  # a process without memory of its own: it is ending
