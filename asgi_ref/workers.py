"""Workers: several processes that accept from one listening socket.

    parent            opens the socket, starts the workers, accepts nothing
    workers           each a whole server; who is free takes the next client

Python runs the code of one thread at a time, so one process uses one core.
More processes use more of them. Each imports the application for itself:
what one keeps in a variable, the others do not see.

The socket is opened once and handed down, so that it outlives any worker. A
worker is replaced in this order: the new one is ready, the old one is told to
stop, it finishes what it has begun. Nobody is refused meanwhile.

    a worker died                   another takes its place
    it has served its requests      the same, see `Retire`
    SIGHUP                          the same for each, one after the other
    SIGINT, SIGTERM                 all stop in good order; twice forces

It does not share anything between workers and does not say which of them gets
a client: the kernel does. It needs a system where a process can leave open
files to its children: not Windows.

Source: POSIX.1-2017, fork(), exec(), accept(); Python's subprocess, pass_fds.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
import time
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Callable, Sequence
from contextlib import suppress
from socket import SHUT_WR, socket, socketpair

from .contract import App, Receive, Scope, Send

log = logging.getLogger("asgi_ref")

READY = b"+"  # what a worker says to its parent, one byte each
RETIRES = b"-"
PAUSE = 1.0  # seconds before another try, when a worker died at once
FORCED = 3.0  # seconds after the second signal, until a worker is killed
PATIENCE = 10.0  # seconds for a worker that was replaced to finish


class Worker:
    """A process, and our end of the socket between it and us.

    ready: it serves. due: it is time for another one in its place. told: we
    have said so.
    """

    def __init__(self, process: Process, line: socket) -> None:
        self.process = process
        self.line = line
        self.began = time.monotonic()
        self.ready = asyncio.Event()
        self.due = asyncio.Event()
        self.told = False

    async def hear(self) -> None:
        """Take what the worker says."""
        hear = asyncio.get_running_loop().sock_recv
        with suppress(OSError):
            while said := await hear(self.line, 1):
                (self.ready if said == READY else self.due).set()

    def stop(self) -> None:
        """Let it finish, see `tie`; the second time: no more patience."""
        if self.told:
            asyncio.get_running_loop().call_later(FORCED, self.kill)
        if self.told or not self.ready.is_set():  # it may not listen yet
            with suppress(ProcessLookupError):
                self.process.terminate()
        else:
            with suppress(OSError):
                self.line.shutdown(SHUT_WR)
        self.told = True
        self.due.set()

    def kill(self) -> None:
        """End it, if it is still there: blocked, or suspended."""
        with suppress(ProcessLookupError):
            self.process.kill()
            log.warning("workers   pid %d killed", self.process.pid)


class Workers:
    """Keeps a number of places taken by workers.

    command: starts a worker. It is also given `--fd N`, the socket to accept
    from, and `--parent-fd N`, the number for `tie`. first: what only the
    first one is given; the others start when it is ready. patience: seconds
    for a worker that was replaced.
    """

    def __init__(
        self,
        command: Sequence[str],
        sock: socket,
        count: int,
        first: Sequence[str] = (),
        patience: float = PATIENCE,
    ) -> None:
        self._command, self._first = command, first
        self._patience = patience
        self._sock, self._count = sock, count
        self._alive: dict[Worker, asyncio.Task[None]] = {}
        self._turn = asyncio.Lock()
        self._stopping = asyncio.Event()
        self.status = 0

    async def run(self) -> int:
        """Keep all places taken until a signal comes.

        Returns the exit status: 0, or that of a first worker that was never
        ready.
        """
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGINT, self.stop)
        loop.add_signal_handler(signal.SIGTERM, self.stop)
        loop.add_signal_handler(signal.SIGHUP, self.renew)
        first = await self._start(*self._first)
        if first is not None:
            others = [self._keep(None) for _ in range(self._count - 1)]
            await asyncio.gather(self._keep(first), *others)
        elif not self._stopping.is_set():
            return self.status if self.status >= 0 else 1
        while self._alive:
            await asyncio.wait(self._alive.values())
        return 0

    def stop(self) -> None:
        """Stop all workers in good order; the second time: now."""
        self._stopping.set()
        for worker in self._alive:
            worker.stop()

    def renew(self) -> None:
        """Replace all workers, one after the other."""
        log.info("workers   renewing %d", self._count)
        for worker in self._alive:
            worker.due.set()

    async def _keep(self, worker: Worker | None) -> None:
        """Keep one place taken, by this worker or one that follows it."""
        while not self._stopping.is_set():
            if worker is not None:
                await worker.due.wait()
                young = time.monotonic() - worker.began < PAUSE
                if young and worker not in self._alive:
                    await self._pause()
            async with self._turn:  # the others go on serving
                follower = await self._start()
            if self._stopping.is_set():
                return
            if follower is not None:
                if worker is not None and not worker.told:
                    worker.stop()
                    loop = asyncio.get_running_loop()
                    loop.call_later(self._patience, worker.kill)
                worker = follower
            elif worker is not None and worker in self._alive:
                log.error("workers   pid %d stays", worker.process.pid)
                worker.due.clear()
            else:
                await self._pause()

    async def _pause(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(PAUSE):
                await self._stopping.wait()

    async def _start(self, *more: str) -> Worker | None:
        """Start a worker, return it when it is ready.

        None: it ended before it was, or nobody shall start any more.
        """
        if self._stopping.is_set():
            return None
        try:
            worker = await self._spawn(*more)
        except OSError as error:  # no memory, no files, no program any more
            log.error("workers   none could be started: %s", error)
            self.status = 1
            return None
        if self._stopping.is_set():  # meanwhile
            worker.stop()
        watching = asyncio.create_task(self._watch(worker))
        self._alive[worker] = watching
        begins = asyncio.create_task(worker.ready.wait())
        await asyncio.wait({watching, begins}, return_when="FIRST_COMPLETED")
        begins.cancel()
        return worker if worker.ready.is_set() else None

    async def _spawn(self, *more: str) -> Worker:
        """Start a process, and hand our socket down to it."""
        ours, theirs = socketpair()
        ours.setblocking(False)
        fds = self._sock.fileno(), theirs.fileno()
        try:
            process = await asyncio.create_subprocess_exec(
                *(*self._command, *more),
                *("--fd", str(fds[0]), "--parent-fd", str(fds[1])),
                pass_fds=fds,
                # Who is in the background and reads there is suspended.
                stdin=DEVNULL,
                # A terminal's Ctrl+C goes to us, and from us to them: once.
                process_group=0,
            )
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
        return Worker(process, ours)

    async def _watch(self, worker: Worker) -> None:
        """Wait for the end of a worker; say so if it was not asked to."""
        # The end of the socket would not do: a child of the worker's may
        # still hold the other one.
        hearing = asyncio.create_task(worker.hear())
        status = self.status = await worker.process.wait()
        hearing.cancel()
        await asyncio.wait([hearing])
        worker.line.close()
        del self._alive[worker]
        if not worker.told and (worker.ready.is_set() or status < 0):
            pid, how = worker.process.pid, described(status)
            log.error("workers   pid %d ended by itself, %s", pid, how)
        worker.due.set()


def described(status: int) -> str:
    """Return an exit status in words; below 0 it is a signal."""
    if status < 0:
        return f"killed by {signal.Signals(-status).name}"
    return f"exit status {status}"


# In a worker.


def tie(fd: int, stop: Callable[[], object]) -> Callable[[bytes], object]:
    """Bind this process to its parent; return what says something to it.

    stop: called, in another thread, when the parent says so or is no more.
    """
    line = socket(fileno=fd)
    line.set_inheritable(False)

    def listen() -> None:
        with suppress(OSError):
            line.recv(1)
        stop()

    def say(what: bytes) -> None:
        with suppress(OSError):  # it is no more
            line.send(what)

    threading.Thread(target=listen, daemon=True).start()
    return say


class Retire:
    """An application that lets its server end after some requests.

    For one that holds more memory with each of them. retire: called once;
    requests that come while a follower starts are served.
    """

    def __init__(
        self, app: App, limit: int, retire: Callable[[], object]
    ) -> None:
        self._app = self.__wrapped__ = app
        self._left, self._retire = limit, retire

    async def __call__(
        self, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Count, and do as the application does."""
        if scope["type"] != "lifespan":
            self._left -= 1
            if self._left == 0:
                self._retire()
        await self._app(scope, receive, send)
