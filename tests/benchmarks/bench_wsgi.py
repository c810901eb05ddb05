"""The blocking server beside other WSGI servers, side by side, in one run.

    python tests/benchmarks/bench_wsgi.py [--rounds N] [--seconds S] [--check]

The method is that of bench.py: servers take short turns, and the figure is
requests for each second of the server's own CPU time. The ratio is to
waitress in the same round. Each server may use 20 threads.

    hello     13 bytes of text, 20 keep-alive connections
    connect   a new connection for each request, closed by the server

wsgiref's server, which serves one client at a time and closes after each
answer, takes part in the second only.
"""

import argparse
import signal
import sys
from contextlib import ExitStack
from statistics import median
from time import sleep

import bench
import servers

OURS, REFERENCE = "asgi_ref", "waitress"
TARGET = 1.0  # times waitress, on hello

COMMANDS = {
    OURS: (
        "asgi_ref wsgi_app:app --interface wsgi --app-dir {here}"
        " --threads 20 --port {port} --no-access-log --timeout-keep-alive 75"
    ),
    "waitress": (
        "waitress --listen=127.0.0.1:{port} --threads=20 wsgi_app:app"
    ),
    "gunicorn": (
        "gunicorn --bind 127.0.0.1:{port} --worker-class gthread"
        " --threads 20 --keep-alive 75 --log-level warning"
        " --chdir {here} wsgi_app:app"
    ),
    "wsgiref": "wsgi_app {port}",
}
SCENARIOS = {"hello": [*COMMANDS][:3], "connect": [*COMMANDS]}


def run_round(
    number: int, scenario: str, seconds: float
) -> dict[str, float]:
    """Start the servers of a scenario, load them in turns, stop them."""
    names = [n for n in SCENARIOS[scenario] if bench.is_installed(n)]
    turn = number % len(names)
    with ExitStack() as stack:
        running = [
            stack.enter_context(servers.running(name))
            for name in [*names[turn:], *names[:turn]]
        ]
        for server in running:  # a young process is slower
            with bench.Client(scenario, server.port, bench.TURN) as client:
                client.go()
            sleep(bench.SETTLE)
        samples = bench.measure_load(scenario, running, seconds)
    return {
        server.name: sample.figure
        for server, sample in zip(running, samples, strict=True)
    }


def show(scenario: str, rounds: list[dict[str, float]]) -> float:
    """Print the rows of one scenario; return our ratio."""
    ours = 0.0
    for name in rounds[0]:
        figure = median(found[name] for found in rounds)
        ratios = [found[name] / found[REFERENCE] for found in rounds]
        print(
            f"{scenario:8} {name:9} {figure:9,.0f} req/s"
            f" {median(ratios):6.2f}  {min(ratios):.2f}-{max(ratios):.2f}"
        )
        ours = median(ratios) if name == OURS else ours
    return ours


def main() -> int:
    """Run the comparison; the exit status is for --check."""
    parser = argparse.ArgumentParser(description="Compare WSGI servers.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.7)
    parser.add_argument(
        "--check", action="store_true", help="exit 1 if a target is missed"
    )
    options = parser.parse_args()
    servers.COMMANDS = COMMANDS
    servers.NEEDS.update(
        waitress=("waitress",), gunicorn=("gunicorn",), wsgiref=("wsgiref",)
    )
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # stop servers
    sys.path.insert(0, str(servers.ROOT))
    met = True
    for scenario in SCENARIOS:
        rounds = [
            run_round(number, scenario, options.seconds)
            for number in range(options.rounds)
        ]
        ratio = show(scenario, rounds)
        met = met and (scenario != "hello" or ratio >= TARGET)
    if not met:
        print(f"MISSED  hello: not >= {TARGET} times {REFERENCE}")
    return 1 if options.check and not met else 0


if __name__ == "__main__":
    sys.exit(main())
