"""Compare asgi_ref with other servers, side by side, in one run.

    python tests/benchmarks/bench.py [--rounds N] [--seconds S]
        [--only hello,headers] [--servers asgi_ref,uvicorn-h11]
        [--json FILE] [--check]

Each round starts all servers afresh, warms each up with a client that comes
and goes, then takes the scenarios one by one.  In a scenario the servers are
loaded in short turns, one after the other, in an order that changes with the
round; only one is under load at a time.  The figure is requests for each
second of the server's own CPU time; what counts is the ratio to uvicorn with
h11 in the same round, and of these ratios the median.  The README beside
this file says why.

What it does not measure: latency, many processes, TLS, a real network.
"""

import argparse
import json
import os
import platform
import resource
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from time import perf_counter, sleep

import load
from servers import COMMANDS, HERE, ROOT, Server, is_installed, running

OURS = "asgi_ref"
REFERENCE = "uvicorn-h11"
TURN = 0.07  # seconds of load on one server before it is another's turn
SETTLE = 0.05  # seconds for a server to finish with the client before


@dataclass(frozen=True)
class Target:
    """What a ratio should be: at least, or at most, a bound."""

    bound: float
    at_least: bool = True

    def met(self, ratio: float) -> bool:
        """Tell whether a ratio is good enough."""
        if self.at_least:
            return ratio >= self.bound
        return ratio <= self.bound

    def __str__(self) -> str:
        return f"{'>=' if self.at_least else '<='} {self.bound}"


TARGETS = {
    "hello": Target(4.0),
    "headers": Target(4.7),
    "connect": Target(2.0),
    "echo64k": Target(2.4),
    "upload": Target(1.8),
    "stream": Target(1.6),
    "startup": Target(0.6, at_least=False),
    "idle": Target(0.85, at_least=False),
    "ws64": Target(2.0),
    "ws1m": Target(0.33),
    "wsflate": Target(0.95),
    "wsidle": Target(0.5, at_least=False),
}
UNABLE = {("wsflate", "granian")}  # it offers no permessage-deflate
UNITS = {"startup": "ms", "idle": "KiB/conn", "wsidle": "KiB/conn"}
PACKAGES = ("uvicorn", "h11", "httptools", "uvloop", "websockets", "granian")
FLAT_PEAK = 2048  # KiB that 100 MiB of upload may add to our memory
OPEN_FILES = 4096  # more than enough for 1,000 connections


@dataclass(frozen=True)
class Sample:
    """One measurement: the figure, and by how many KiB the peak rose."""

    figure: float
    peak_growth: int = 0


@dataclass(frozen=True)
class Row:
    """What all rounds together say about one server in one scenario."""

    scenario: str
    server: str
    figure: float
    unit: str
    ratio: float
    lowest: float
    highest: float
    peak_growth: int
    samples: list[float]


Samples = dict[tuple[str, str], list[Sample]]


class Client:
    """A load generator in a process of its own, which waits for its go."""

    def __init__(self, scenario: str, port: int, seconds: float) -> None:
        command = [str(HERE / "load.py"), "--wait", scenario, str(port)]
        self.process = subprocess.Popen(
            [sys.executable, "-I", *command, str(seconds)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )

    def __enter__(self) -> "Client":
        self.read_line()
        return self

    def __exit__(self, *error: object) -> None:
        self.process.communicate()

    def read_line(self) -> str:
        """Read a line; none means that the client has failed."""
        assert self.process.stdout
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("the client failed: see its message above")
        return line

    def go(self) -> int:
        """Let it run; return how many requests were answered."""
        assert self.process.stdin
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        return int(json.loads(self.read_line())["requests"])


def warm_up(server: Server) -> None:
    """Let a first client come and go."""
    with Client("warmup", server.port, 0) as client:
        client.go()
    sleep(SETTLE)


def measure(
    scenario: str, servers: Sequence[Server], seconds: float
) -> list[Sample]:
    """Take one sample of each server."""
    if scenario == "startup":
        return [Sample(server.started_in * 1000) for server in servers]
    if scenario in ("idle", "wsidle"):
        return [measure_idle(scenario, server.name) for server in servers]
    return measure_load(scenario, servers, seconds)


def measure_load(
    scenario: str, servers: Sequence[Server], seconds: float
) -> list[Sample]:
    """Requests for each second of server CPU, under one kind of load.

    The machine may be faster in one second than in the next.  Short turns
    let all servers have their share of both.
    """
    with ExitStack() as stack:
        clients = [
            stack.enter_context(Client(scenario, it.port, TURN))
            for it in servers
        ]
        sleep(SETTLE)
        for server in servers:
            server.forget_peak()
        before = [cost(server) for server in servers]
        done = [0] * len(servers)
        deadline = perf_counter() + seconds * len(servers)
        while perf_counter() < deadline:
            for place, client in enumerate(clients):
                done[place] += client.go()
        after = [cost(server) for server in servers]
    sleep(SETTLE)
    return [
        Sample(requests / (cpu - old_cpu), peak - old_peak)
        for requests, (cpu, peak), (old_cpu, old_peak)
        in zip(done, after, before, strict=True)
    ]


def cost(server: Server) -> tuple[float, int]:
    """CPU seconds and the peak of memory until now."""
    return server.cpu(), server.peak()


def measure_idle(scenario: str, name: str) -> Sample:
    """KiB for each open connection that has made one request.

    For "wsidle" it is a WebSocket that has had one message echoed.

    This needs a process of its own: in one that has been under load, new
    connections would live in memory that old ones have left behind.
    """
    with running(name) as server:
        warm_up(server)
        with Client(scenario, server.port, 0) as client:
            before = server.memory()
            connections = client.go()
            sleep(SETTLE)
            return Sample((server.memory() - before) / connections)


def run_round(
    number: int, scenarios: Sequence[str], names: Sequence[str],
    seconds: float, samples: Samples,
) -> None:
    """Start all servers, take every scenario on each, stop them."""
    turn = number % len(names)
    order = [*names[turn:], *names[:turn]]
    with ExitStack() as stack:
        servers = [stack.enter_context(running(name)) for name in order]
        if set(scenarios) & set(load.PLANS):
            for server in servers:
                warm_up(server)
        for scenario in scenarios:
            able = [it for it in servers if (scenario, it.name) not in UNABLE]
            taken = measure(scenario, able, seconds)
            for server, sample in zip(able, taken, strict=True):
                samples[scenario, server.name].append(sample)


def summarize(scenario: str, name: str, samples: Samples) -> Row:
    """Put the rounds together: medians, and the spread of the ratios."""
    taken = samples[scenario, name]
    figures = [sample.figure for sample in taken]
    pairs = zip(taken, samples[scenario, REFERENCE], strict=True)
    ratios = [sample.figure / other.figure for sample, other in pairs]
    return Row(
        scenario, name, median(figures), UNITS.get(scenario, "req/s"),
        median(ratios), min(ratios), max(ratios),
        max(sample.peak_growth for sample in taken), figures,
    )


def describe(row: Row) -> str:
    """One line of the table."""
    places = 1 if row.figure < 100 else 0
    figure = f"{row.figure:,.{places}f} {row.unit}"
    spread = f"{row.lowest:.2f}-{row.highest:.2f}"
    start = f"{row.scenario:8} {row.server:17} {figure:>17}"
    return f"{start} {row.ratio:7.2f} {spread:>12}  {remark(row)}".rstrip()


def remark(row: Row) -> str:
    """The last column: the target and, for uploads, the memory."""
    parts = []
    if row.server == OURS:
        target = TARGETS[row.scenario]
        parts.append(f"{target}{'' if target.met(row.ratio) else ' MISSED'}")
    if row.scenario == "upload":
        parts.append(f"+{row.peak_growth:,} KiB")
    return ", ".join(parts)


def misses(rows: Sequence[Row]) -> list[str]:
    """Name every target that asgi_ref has missed."""
    found = []
    for row in rows:
        if row.server != OURS:
            continue
        target = TARGETS[row.scenario]
        if not target.met(row.ratio):
            found.append(f"{row.scenario}: {row.ratio:.2f}, not {target}")
        if row.scenario == "upload" and row.peak_growth > FLAT_PEAK:
            found.append(f"upload: memory peak +{row.peak_growth:,} KiB")
    return found


def print_table(rows: Sequence[Row]) -> None:
    """Print all rows, a blank line between scenarios."""
    print(
        f"{'scenario':8} {'server':17} {'median figure':>17}"
        f" {'ratio':>7} {'min-max':>12}  target"
    )
    last = ""
    for row in rows:
        if row.scenario != last:
            print()
        last = row.scenario
        print(describe(row))


def versions() -> dict[str, str]:
    """What was compared, for whoever reads the figures later."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "absent"
    return found


def write_json(options: argparse.Namespace, rows: Sequence[Row]) -> None:
    """Keep every sample, and what it was taken with."""
    content = {
        "rounds": options.rounds,
        "seconds": options.seconds,
        "machine": f"{platform.system()} {platform.machine()}",
        "cpus": os.cpu_count(),
        "versions": versions(),
        "rows": [asdict(row) for row in rows],
    }
    options.json.write_text(json.dumps(content, indent=1) + "\n")


def allow_many_files() -> None:
    """Ask for more open files than some systems give at first."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = resource.RLIM_INFINITY
    if soft != unlimited and soft < OPEN_FILES:
        most = OPEN_FILES if hard == unlimited else min(OPEN_FILES, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def choose(text: str, known: Sequence[str]) -> list[str]:
    """Split a list such as "hello,stream" and refuse unknown names."""
    chosen = text.split(",") if text else list(known)
    for name in chosen:
        if name not in known:
            raise SystemExit(f"{name}: not one of {', '.join(known)}")
    return [name for name in known if name in chosen]


def present(names: Sequence[str]) -> list[str]:
    """Leave out, and report, the servers that are not installed."""
    found = [name for name in names if is_installed(name)]
    for name in names:
        if name not in found:
            print(f"{name}: absent")
            if name in (OURS, REFERENCE):
                raise SystemExit(f"{name} is needed for any comparison")
    return found


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Compare ASGI servers.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--seconds", type=float, default=0.7,
        help="load on one server in a round (default: 0.7)",
    )
    parser.add_argument("--only", default="", help="scenarios, by commas")
    parser.add_argument("--servers", default="", help="servers, by commas")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument(
        "--check", action="store_true", help="exit 1 if a target is missed"
    )
    return parser.parse_args()


def collect(
    scenarios: Sequence[str], names: Sequence[str],
    rounds: int, seconds: float,
) -> list[Row]:
    """Run all rounds and return the rows of the table."""
    samples: Samples = {
        (scenario, name): [] for scenario in scenarios for name in names
    }
    for number in range(rounds):
        print(f"round {number + 1} of {rounds}", file=sys.stderr)
        run_round(number, scenarios, names, seconds, samples)
    return [summarize(*pair, samples) for pair in samples if samples[pair]]


def main() -> int:
    """Run the comparison; the exit status is for --check."""
    options = parse()
    sys.path.insert(0, str(ROOT))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # stop servers
    allow_many_files()
    scenarios = choose(options.only, list(TARGETS))
    chosen = {REFERENCE, *choose(options.servers, list(COMMANDS))}
    names = present([name for name in COMMANDS if name in chosen])
    begin = perf_counter()
    rows = collect(scenarios, names, options.rounds, options.seconds)
    print_table(rows)
    print(f"\n{options.rounds} rounds in {perf_counter() - begin:.0f} s")
    if options.json:
        write_json(options, rows)
    missed = misses(rows) if options.check else []
    for line in missed:
        print(f"MISSED  {line}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
