"""A watchdog: one route blocks, all wait, and who says which line it was?"""

import asyncio
import http.client
import logging
import queue
import re
import sys
import threading
import time
from contextlib import contextmanager, nullcontext

sys.path.insert(0, ".")  # the root, where this is run

from asgi_ref import listen
from asgi_ref.server import Server, Settings
from asgi_ref.watchdog import Watchdog, watching

START = {"type": "http.response.start", "status": 204, "headers": []}
BODY = {"type": "http.response.body"}
ANSWER = threading.Event()  # the database has answered
ASKED = threading.Event()  # and was asked
SECONDS = 0.2  # that the loop may be away
N = 100_000_000
QUESTIONS = [
    ("watchdog", "loop", "are you there?"),
    ("loop", "watchdog", "yes"),
    ("watchdog", "loop", "are you there?"),
    ("watchdog", "log", "blocked: lab.py, in find_user"),
    ("loop", "watchdog", "yes"),
    ("watchdog", "log", "went on after 3.0 s"),
]


def find_user():
    """Wait for the database, as a driver without async does."""
    ASKED.set()
    ANSWER.wait(10)


def add_up():
    """Compute, in C."""
    return sum(range(N))


async def app(scope, receive, send):
    """Answer at once, but for two paths."""
    if scope["path"] == "/user":
        find_user()
    if scope["path"] == "/sum":
        add_up()
    await send(START)
    await send(BODY)


@contextmanager
def served(watch=nullcontext, debug=False):
    """Serve the application from another thread; yield the port."""
    ready, sock = queue.Queue(), listen.listen("127.0.0.1", 0)

    async def main():
        server = Server(app, Settings(lifespan="off"))
        loop = asyncio.get_running_loop()
        ready.put(lambda: loop.call_soon_threadsafe(server.stop))
        with watch():
            await server.serve(sock)

    thread = threading.Thread(
        target=asyncio.run, args=[main()], kwargs={"debug": debug}
    )
    thread.start()
    stop = ready.get()
    try:
        yield sock.getsockname()[1]
    finally:
        stop()
        thread.join()
        sock.close()


class Client:
    """Sends a request, and later reads the answer."""

    def __init__(self, port, path):
        self.path, self.began = path, time.perf_counter()
        self.connection = http.client.HTTPConnection("127.0.0.1", port)
        self.connection.request("GET", path, headers={"connection": "close"})

    def wait(self):
        """Return how long it took until there was an answer."""
        self.connection.getresponse().read()
        self.connection.close()
        return time.perf_counter() - self.began


def two(port, answered):
    """Send two requests; the database answers when answered() returns."""
    ANSWER.clear()
    ASKED.clear()
    clients = [Client(port, "/user")]
    ASKED.wait()
    clients.append(Client(port, "/hello"))
    answered()
    ANSWER.set()
    return [(client.path, client.wait()) for client in clients]


def a_second():
    """Take the time that the database takes today."""
    time.sleep(1)


def about(seconds):
    """Return a time in words that are the same in each run."""
    return "1 s" if seconds > 0.5 else "no time"


def the_log():
    """Compare what the access log says with what the clients have seen."""
    with collected("asgi_ref.access") as records, served() as port:
        waited = two(port, a_second)
    for _, label, answer, _, took, _ in (r.args for r in records):
        print(f"log:    {label:<10}  {answer}  {about(took / 1000)}")
    for path, took in waited:
        print(f"client: GET {path:<6}  waited {about(took)}")


def debug_mode():
    """Ask asyncio itself, in its debug mode."""
    with collected("asyncio") as records, served(debug=True) as port:
        two(port, a_second)
    for said in (record.getMessage() for record in records):
        what = re.search(r"coro=<([\w.]+).* took ([\d.]+) seconds", said)
        if what and float(what[2]) > 0.5:
            print(f"asyncio, afterwards: {what[1]} took {about(1)}")


class Said(queue.Queue):
    """The reports about one function; a busy machine may be slow, too."""

    def __init__(self, name):
        super().__init__()
        self.name = name

    def report(self, line):
        """Take a report."""
        if self.name in line:
            self.put(line)

    def watch(self):
        """Return what watches the loop and reports to us."""
        return watching(SECONDS, self.report)


def watched():
    """Ask the watchdog; the database answers when it has reported."""
    said = Said("find_user")
    with served(said.watch) as port:
        two(port, lambda: print(masked(said.get())))
    print(masked(said.get()))


def in_c():
    """Compute, and keep the GIL."""
    said = Said("add_up")
    with served(said.watch) as port:
        Client(port, "/sum").wait()
    print(masked(said.get()))


def masked(line):
    """Return a line without its times: each run has others."""
    return re.sub(r"\d+\.\d s", "… s", line)


@contextmanager
def collected(name):
    """Yield the list of what is logged meanwhile."""
    records, handler, log = [], logging.Handler(), logging.getLogger(name)
    handler.emit = records.append
    before = log.level, log.propagate
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False
    yield records
    log.removeHandler(handler)
    log.setLevel(before[0])
    log.propagate = before[1]


class Clock:
    """Says the times that it is given, then the last one for ever."""

    def __init__(self, *times):
        self.times = list(times)

    def __call__(self):
        """Return the next time."""
        return self.times.pop(0) if len(self.times) > 1 else self.times[0]


# An ident, folders of this machine, and what only newer Pythons have.
VARYING = {"_thread", "path", "folder", "library", "monitoring"}


def walk(wire=print):
    """Watch another thread's loop from this one, in which you can step.

    The times are made up. The database answers when it was reported.
    """
    made = queue.Queue()

    def report(line):
        wire("watchdog", line)
        if ANSWER.is_set():
            watchdog.end()
        ANSWER.set()

    async def get(scope):
        clock = Clock(0.0, 0.0, 0.0, 0.2, 0.2, 3.0)
        made.put(Watchdog(SECONDS, report, clock, cpu=lambda: 0.0))
        find_user()
        await asyncio.sleep(0)  # the loop comes round

    ANSWER.clear()
    ASKED.clear()
    scope = {"type": "http", "method": "GET", "raw_path": b"/user"}
    thread = threading.Thread(target=asyncio.run, args=[get(scope)])
    thread.start()
    watchdog = made.get()
    ASKED.wait()
    watchdog.run()
    thread.join()


PARTS = the_log, debug_mode, watched, in_c, walk

if __name__ == "__main__":
    for part in PARTS:
        print(f"== {part.__name__.replace('_', ' ')} ==")
        part()
