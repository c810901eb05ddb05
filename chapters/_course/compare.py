"""Side by side: one slow application, four ways to serve it, many clients.

    python -m chapters compare                   in the terminal
    python -m chapters compare --svg chapters/08_threads
    python -m chapters compare --only poll --clients 20 --threads 8

    one thread      the blocking server, with one thread
    N threads       the same with more
    asyncio         the asyncio server, and an application that awaits
    time.sleep      the asyncio server, and an application that blocks it

Three things to ask for: `wait` waits for a while before it answers, `poll`
answers when another client brings news (or gives up after a while), and
`stream` answers piece by piece. Each run has a server in a process of its
own. A client that is told 503 comes again. Nothing is simulated: what is
drawn was measured just now, and differs a little each time.

It needs the standard library only. Memory and threads are read in /proc, so
elsewhere than on Linux they stay unknown.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
SCENARIOS = {
    "wait": "each client asks for something that takes a while",
    "poll": "each client waits for news, and one more brings them",
    "stream": "each client gets five pieces, with a pause before each",
}
MOST = 100  # clients
PIECES = 5
AGAIN = 0.05  # seconds until a client that was refused comes again
PATIENCE = 60.0
COLUMNS = 48  # of a timeline in the terminal
TYPE = "text/plain"


# The application, in three versions. `X-Began` says when it was called: the
# time before that is time in which the client waited for somebody else.


def began() -> str:
    """Return the time now, on the clock that all processes share."""
    return repr(time.monotonic())


def wsgi_app(seconds: float) -> Callable[..., Iterable[bytes]]:
    """Return the application that blocks its thread."""
    news = threading.Event()

    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        path = environ["PATH_INFO"]
        start_response(
            "200 OK", [("Content-Type", TYPE), ("X-Began", began())]
        )
        if path == "/wait":
            time.sleep(seconds)
        elif path == "/poll":
            yield b"news" if news.wait(2 * seconds) else b"nothing"
        elif path == "/news":
            news.set()
        for _ in range(PIECES if path == "/stream" else 1):
            time.sleep(seconds / PIECES if path == "/stream" else 0)
            yield b"piece"

    return app


def asgi_app(seconds: float, blocks: bool) -> Callable[..., Any]:
    """Return the application for asyncio; blocks: it uses time.sleep."""
    news = asyncio.Event()

    async def sleep(delay: float) -> None:
        if blocks:
            time.sleep(delay)
        else:
            await asyncio.sleep(delay)

    async def poll() -> None:
        if blocks:
            time.sleep(2 * seconds)
        else:
            await asyncio.wait(
                [asyncio.ensure_future(news.wait())], timeout=2 * seconds
            )

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            raise RuntimeError("no lifespan")
        path = scope["path"]
        headers = [(b"content-type", TYPE.encode())]
        headers += [(b"x-began", began().encode())]
        start = {"type": "http.response.start", "status": 200}
        await send({**start, "headers": headers})
        body = {"type": "http.response.body", "more_body": True}
        if path == "/wait":
            await sleep(seconds)
        elif path == "/poll":
            await poll()
            said = b"news" if news.is_set() else b"nothing"
            await send({**body, "body": said})
        elif path == "/news":
            news.set()
        for _ in range(PIECES if path == "/stream" else 1):
            await sleep(seconds / PIECES if path == "/stream" else 0)
            await send({**body, "body": b"piece"})
        await send({"type": "http.response.body"})

    return app


def serve(kind: str, threads: int, seconds: float) -> None:
    """Serve in this process until it is ended; print the port."""
    from asgi_ref import listen

    sock = listen.listen(port=0)
    print(sock.getsockname()[1], flush=True)
    if kind == "wsgi":
        from asgi_ref.threads import Server

        Server(wsgi_app(seconds), threads).serve(sock)
    else:
        from asgi_ref.server import Server as AsyncServer
        from asgi_ref.server import Settings

        app = asgi_app(seconds, blocks=kind == "sleep")
        settings = Settings(lifespan="off")
        asyncio.run(AsyncServer(app, settings).serve(sock))


# The clients.


@dataclass
class Visit:
    """One client: when it came, when its turn came, when it had all.

    Seconds since the first one came. refused: when it was told 503.
    """

    name: str
    came: float = 0.0
    began: float = 0.0
    ended: float = 0.0
    refused: list[float] = field(default_factory=list)
    body: bytes = b""


@dataclass
class Run:
    """One server under all the clients."""

    scenario: str
    server: str
    visits: list[Visit]
    threads: int = 0
    memory: float = 0.0  # MiB, the peak

    @property
    def total(self) -> float:
        """Seconds until the last client had its answer."""
        return max(visit.ended for visit in self.visits)


def visit(port: int, path: str, name: str, zero: float) -> Visit:
    """Ask until there is an answer, and note the times."""
    found = Visit(name, time.monotonic() - zero)
    while True:
        client = http.client.HTTPConnection("127.0.0.1", port, PATIENCE)
        try:
            client.request("GET", path, headers={"Connection": "close"})
            answer = client.getresponse()
            found.body = answer.read()
        except ConnectionError:  # a refusal may come before all was sent
            answer = None
        finally:
            client.close()
        now = time.monotonic() - zero
        if answer is not None and answer.status == 200:
            found.began = float(answer.headers["X-Began"]) - zero
            found.ended = now
            return found
        found.refused.append(now)
        time.sleep(AGAIN)


class Process:
    """A server in a process of its own, and what it costs."""

    def __init__(self, kind: str, threads: int, seconds: float) -> None:
        command = "from chapters._course.compare import serve; serve"
        arguments = f"({kind!r}, {threads}, {seconds})"
        self.process = subprocess.Popen(
            [sys.executable, "-c", command + arguments],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())
        self.threads = 0

    def look(self) -> None:
        """See how many threads there are now."""
        self.threads = max(self.threads, self.status("Threads"))

    def status(self, key: str) -> int:
        """One figure of /proc/PID/status; 0 if it is unknown."""
        file = Path(f"/proc/{self.process.pid}/status")
        text = file.read_text() if file.exists() else ""
        found = re.search(rf"^{key}:\s+(\d+)", text, re.MULTILINE)
        return int(found[1]) if found else 0

    def stop(self) -> None:
        """End it: nobody is served any more."""
        self.process.kill()
        self.process.communicate()


def run(
    scenario: str,
    server: tuple[str, str, int],
    clients: int,
    seconds: float,
    step: Callable[[str], None],
) -> Run:
    """Let all clients come at once; return what was measured."""
    name, kind, threads = server
    process = Process(kind, threads, seconds)
    with ThreadPoolExecutor(clients + 1) as pool:
        zero = time.monotonic()
        paths = [(f"/{scenario}", f"client {n + 1}") for n in range(clients)]
        asked = [pool.submit(visit, process.port, *p, zero) for p in paths]
        if scenario == "poll":
            time.sleep(seconds / 2)
            asked += [pool.submit(visit, process.port, "/news", "news", zero)]
        waiting = set(asked)
        while waiting:
            process.look()
            done = {one for one in waiting if one.done()}
            for _ in done:
                step(f"{scenario}, {name}")
            waiting -= done
            time.sleep(0.005)
        visits = [one.result() for one in asked]
    memory = process.status("VmHWM") / 1024
    process.stop()
    return Run(scenario, name, visits, process.threads, memory)


# What is drawn.


def summary(run: Run) -> str:
    """Return the figures of a run in words."""
    threads = f"{run.threads or '?'} thread{'s' if run.threads != 1 else ''}"
    memory = f"{run.memory:.0f} MiB" if run.memory else "? MiB"
    return f"{run.total:.2f} s, {threads}, {memory}"


def longest(run: Run) -> float:
    """How long the client waited that waited longest for its turn."""
    return max(visit.began - visit.came for visit in run.visits)


def text(runs: list[Run]) -> str:
    """Draw the runs of one scenario for a terminal."""
    scenario = runs[0].scenario
    scale = COLUMNS / max(run.total for run in runs)
    lines = [f"{scenario}: {SCENARIOS[scenario]}"]
    lines += ["░ waits for its turn   █ is served   × is told 503", ""]
    for run in runs:
        lines.append(f"{run.server}: {summary(run)}")
        for visit in run.visits:
            row = [" "] * (COLUMNS + 1)
            fill(row, visit.came, visit.began, scale, "░")
            fill(row, visit.began, visit.ended, scale, "█")
            for time_of in visit.refused:
                place = min(int(time_of * scale), COLUMNS)
                row[place] = "×" if row[place] == "░" else row[place]
            line = f"{visit.name:>10} {''.join(row).rstrip()}"
            if visit.body.startswith(b"nothing"):
                line += " gave up"
            lines.append(line)
        lines.append("")
    return "\n".join(lines)


def fill(
    row: list[str], start: float, end: float, scale: float, mark: str
) -> None:
    """Fill a part of a row, at least one place of it."""
    first = int(max(start, 0) * scale)
    for place in range(first, max(int(end * scale), first + 1)):
        if place < len(row):
            row[place] = mark


LEFT, WIDE, HIGH, GAP = 96, 480, 14, 44
SVG = """<svg xmlns="http://www.w3.org/2000/svg" role="img"
 viewBox="0 0 {width} {height}" aria-labelledby="{key}-title {key}-desc"
 style="max-width:{width}px;font-family:inherit" font-size="12"
 fill="currentColor">
<title id="{key}-title">{title}</title>
<desc id="{key}-desc">{desc}</desc>
{shapes}
</svg>
"""


def svg(runs: list[Run]) -> str:
    """Draw the runs of one scenario as SVG, in the page's own colour."""
    scenario = runs[0].scenario
    scale = WIDE / max(run.total for run in runs)
    shapes, top = [legend()], 40
    for run in runs:
        label = f"{escape(run.server)}: {escape(summary(run))}"
        shapes.append(said(0, top, label, "font-weight='bold'"))
        top += 10
        for visit in run.visits:
            shapes += bars(visit, scale, top)
            top += HIGH
        top += GAP - 10
    return SVG.format(
        width=LEFT + WIDE + 80,
        height=top - GAP + 20,
        key=f"compare-{scenario}",
        title=escape(f"{scenario}: {SCENARIOS[scenario]}"),
        desc=escape(" ".join(map(alternative, runs))),
        shapes="\n".join(shapes),
    )


def alternative(run: Run) -> str:
    """Say in words what a timeline shows."""
    refused = sum(len(visit.refused) for visit in run.visits)
    empty = sum(visit.body.startswith(b"nothing") for visit in run.visits)
    words = f"{run.server}: {len(run.visits)} clients, {summary(run)};"
    words += f" the longest wait for a turn was {longest(run):.2f} s"
    words += f"; {refused} times told 503" if refused else ""
    words += f"; {empty} gave up without news" if empty else ""
    return words + "."


def bars(visit: Visit, scale: float, top: float) -> Iterator[str]:
    """Draw one client: waits (faint), is served (full), is refused."""
    yield said(LEFT - 8, top + 10, visit.name, "text-anchor='end'")
    yield bar(visit.came, visit.began, scale, top, 0.25)
    yield bar(visit.began, visit.ended, scale, top, 0.9)
    for time_of in visit.refused:
        x = LEFT + time_of * scale
        yield (
            f'<path d="M{x:.1f} {top + 2}v{HIGH - 5}"'
            ' stroke="currentColor" stroke-width="1"/>'
        )
    if visit.body.startswith(b"nothing"):
        yield said(LEFT + visit.ended * scale + 6, top + 10, "gave up")


def bar(
    start: float, end: float, scale: float, top: float, opacity: float
) -> str:
    """Draw a piece of time."""
    x, width = LEFT + max(start, 0) * scale, max((end - start) * scale, 1)
    return (
        f'<rect x="{x:.1f}" y="{top + 1}" width="{width:.1f}"'
        f' height="{HIGH - 3}" opacity="{opacity}"/>'
    )


def said(x: float, y: float, words: str, more: str = "") -> str:
    """Draw a text."""
    return f'<text x="{x:.1f}" y="{y}" {more}>{words}</text>'


def legend() -> str:
    """Draw what the two kinds of bars mean."""
    return "\n".join(
        [
            '<rect x="0" y="4" width="24" height="11" opacity="0.25"/>',
            said(30, 14, "waits for its turn"),
            '<rect x="150" y="4" width="24" height="11" opacity="0.9"/>',
            said(180, 14, "is served"),
            '<path d="M262 4v11" stroke="currentColor"/>',
            said(270, 14, "is told 503, comes again"),
        ]
    )


class Progress:
    """A bar on standard error, if somebody looks at it."""

    def __init__(self, steps: int) -> None:
        self.steps, self.done = steps, 0

    def step(self, what: str) -> None:
        """One client more was served."""
        self.done += 1
        full = 30 * self.done // self.steps
        bar = "█" * full + "░" * (30 - full)
        if sys.stderr.isatty():
            line = f"\r{bar} {self.done} of {self.steps}  {what:<24}"
            print(line, end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Leave nothing of it on the screen."""
        if sys.stderr.isatty():
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def whole(most: int) -> Callable[[str], int]:
    """Return a reader of numbers from 1 to `most`."""

    def read(word: str) -> int:
        if not 1 <= int(word) <= most:
            raise argparse.ArgumentTypeError(f"{word} is not in 1-{most}")
        return int(word)

    return read


def main(arguments: list[str]) -> int:
    """Run what the command line asks for; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m chapters compare",
        description="Serve one slow application in four ways, and draw who"
        " waited for whom.",
    )
    parser.add_argument("--clients", type=whole(MOST), default=8)
    parser.add_argument("--threads", type=whole(MOST), default=4)
    parser.add_argument(
        "--seconds", type=float, default=0.5, help="how slow it is"
    )
    parser.add_argument("--only", choices=SCENARIOS, help="one of the three")
    parser.add_argument("--svg", type=Path, metavar="DIR", help="draw there")
    options = parser.parse_args(arguments)
    servers = [
        ("one thread", "wsgi", 1),
        (f"{options.threads} threads", "wsgi", options.threads),
        ("asyncio", "async", 0),
        ("asyncio with time.sleep", "sleep", 0),
    ]
    scenarios = [options.only] if options.only else list(SCENARIOS)
    visits = len(servers) * options.clients * len(scenarios)
    visits += len(servers) * scenarios.count("poll")
    progress = Progress(visits)
    for scenario in scenarios:
        runs = [
            run(
                *(scenario, server, options.clients, options.seconds),
                progress.step,
            )
            for server in servers
        ]
        progress.clear()
        print(text(runs))
        if options.svg:
            options.svg.mkdir(parents=True, exist_ok=True)
            file = options.svg / f"compare-{scenario}.svg"
            file.write_text(svg(runs), encoding="utf-8")
            print(f"drawn in {file}\n")
    return 0
