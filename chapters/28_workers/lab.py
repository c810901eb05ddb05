"""Workers: a counter that disagrees with itself, and how one is replaced."""

import asyncio
import fcntl
import logging
import os
import re
import sys
import tempfile
from contextlib import asynccontextmanager
from socket import socketpair

sys.path.insert(0, ".")  # the root, where this is run

from asgi_ref.listen import listen, listen_fd
from asgi_ref.server import Server, Settings
from asgi_ref.workers import READY, RETIRES, Retire, Worker, Workers, tie

GATE = f"{tempfile.gettempdir()}/gate-{os.getpid()}"
GATE = os.environ.setdefault("LAB_GATE", GATE)
REPLACED = [
    ("parent", "new", "starts it, hands the socket down"),
    ("new", "parent", "+"),
    ("parent", "old", "end of the line: stop"),
    ("old", "client", "the answer that it owes"),
    ("old", "parent", "exit status 0"),
]

visits = 0


async def app(scope, receive, send):
    """Count visitors; do what the path says."""
    global visits
    visits += 1
    body = f"visitor {visits}".encode()
    if scope["path"] == "/die":
        os._exit(1)
    if scope["path"] == "/slow":
        await asyncio.to_thread(wait_for_gate)
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": body})
    if scope["path"] == "/busy":
        wait_for_gate()  # on the loop: this process does nothing else


def wait_for_gate():
    """Wait until the lab gives the file's lock back."""
    with open(GATE) as gate:
        fcntl.flock(gate, fcntl.LOCK_EX)


async def work(fd, parent_fd):
    """Be a worker: a server, and a line to the parent."""
    settings = Settings(
        lifespan="off", access_log=False, timeout_graceful_shutdown=60
    )
    server, loop = Server(app, settings), asyncio.get_running_loop()
    say = tie(parent_fd, lambda: loop.call_soon_threadsafe(server.stop))
    serving = asyncio.create_task(server.serve(listen_fd(fd)))
    await server.ready.wait()
    say(READY)
    await serving


class Client:
    """A connection, kept open."""

    def __init__(self, address):
        self.address, self.streams = address, None

    async def say(self, path):
        """Send a request."""
        if self.streams is None:
            self.streams = await asyncio.open_connection(*self.address)
        head = f"GET {path} HTTP/1.1\r\nHost: lab\r\nContent-Length: 0\r\n\r\n"
        self.streams[1].write(head.encode())

    async def hear(self):
        """Return the body of the answer."""
        head = await self.streams[0].readuntil(b"\r\n\r\n")
        size = re.search(rb"content-length: (\d+)", head)[1]
        return (await self.streams[0].readexactly(int(size))).decode()

    async def ask(self, path="/"):
        """Send a request, and return what is in the answer."""
        await self.say(path)
        try:
            return await self.hear()
        except (asyncio.IncompleteReadError, ConnectionError):
            return "no answer"

    def leave(self):
        """Close the connection."""
        self.streams[1].close()
        self.streams = None


@asynccontextmanager
async def running(count):
    """Run so many workers; the block is given them, and a way to clients."""
    sock = listen(port=0)
    workers = Workers([sys.executable, __file__], sock, count)
    task = asyncio.create_task(workers.run())
    yield workers, lambda: Client(sock.getsockname())
    workers.stop()
    await task
    sock.close()


async def fails():
    """Three visits to two workers. The first one is kept busy meanwhile."""
    with open(GATE, "w") as gate:
        fcntl.flock(gate, fcntl.LOCK_EX)
        async with running(2) as (_, client):
            ann, bob = client(), client()
            print("ann:", await ann.ask("/busy"))
            print("bob:", await bob.ask())
            fcntl.flock(gate, fcntl.LOCK_UN)
            print("ann:", await ann.ask())
            ann.leave()
            bob.leave()


async def one_dies():
    """Let a worker die in the middle of a request."""
    async with running(1) as (_, client):
        ann = client()
        print("ann:", await ann.ask())
        print("ann:", await ann.ask("/die"))
        ann.leave()
        print("ann:", await ann.ask())
        ann.leave()


async def renewed():
    """Replace a worker that has something to finish."""
    with open(GATE, "w") as gate:
        fcntl.flock(gate, fcntl.LOCK_EX)
        async with running(1) as (workers, client):
            ann, bob = client(), client()
            print("ann:", await ann.ask())
            await ann.say("/slow")
            workers.renew()
            while (said := await bob.ask()) != "visitor 1":
                bob.leave()
            print("bob:", said, "of the new one")
            fcntl.flock(gate, fcntl.LOCK_UN)
            print("ann:", await ann.hear(), "of the old one")
            print("ann reads on:", await ann.streams[0].read())
            bob.leave()


async def visit(scope, receive, send):
    """Be an application of which only the calls are counted."""


# A socket's number and the time are others each time.
VARYING = {"fd", "line", "began"}


async def walk(wire=print):
    """Play both sides of the line between a worker and its parent."""
    ours, theirs = socketpair()
    ours.setblocking(False)
    worker = Worker(None, ours)
    hearing = asyncio.create_task(worker.hear())
    told, loop = asyncio.Event(), asyncio.get_running_loop()
    say = tie(theirs.detach(), lambda: loop.call_soon_threadsafe(told.set))
    wire("worker", READY)
    say(READY)
    await worker.ready.wait()
    app = Retire(visit, 2, lambda: say(RETIRES))
    await app({"type": "http"}, None, None)
    wire("worker", RETIRES)
    await app({"type": "http"}, None, None)
    await worker.due.wait()
    wire("parent", b"")
    worker.stop()
    await told.wait()
    hearing.cancel()
    await asyncio.wait([hearing])
    ours.close()


class Numbered(logging.Filter):
    """Process ids are others each time: 1 is the first that is named."""

    pids = ()

    def filter(self, record):
        """Write the number in place of the id."""
        if "pid" in record.msg:
            pid = record.args[0]
            self.pids += () if pid in self.pids else (pid,)
            number = self.pids.index(pid) + 1
            record.args = (number, *record.args[1:])
        return True


def main():
    """Run all of it; or, with the arguments of a worker, be one."""
    if len(sys.argv) > 1:
        _, fd, _, parent_fd = sys.argv[1:]
        return asyncio.run(work(int(fd), int(parent_fd)))
    logging.basicConfig(
        stream=sys.stdout, format="log: %(message)s", level=logging.INFO
    )
    logging.getLogger("asgi_ref").addFilter(Numbered())
    for part in fails, one_dies, renewed:
        print(f"== {part.__name__.replace('_', ' ')} ==")
        asyncio.run(part())
    os.unlink(GATE)


if __name__ == "__main__":
    main()
