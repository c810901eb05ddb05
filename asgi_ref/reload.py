"""Reload: a server that starts itself anew when its code has changed.

    parent            opens the socket, looks at files, accepts nothing
    child             the server; a new one after each change

Python runs the code that it has imported, not the one that is in the file.
To take modules back is not possible: objects made by them are everywhere. So
the process is replaced. The parent holds the listening socket meanwhile:
clients wait in the kernel's queue, and nobody is refused.

    files changed     wait until no more do; old child ends, new one starts
    the child died    say so, wait for the next change
    SIGINT, SIGTERM   the child ends in good order; twice forces
    the parent died   the child sees the end of `--parent-fd` and stops

It compares times and sizes of files, it does not read them. Where a process
cannot leave open files to its children (Windows), each child must listen by
itself, is ended the hard way, and does not notice the death of its parent.

Source: POSIX.1-2017, fork(), exec(); Python's subprocess, pass_fds; PEP 552.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from fnmatch import fnmatch
from html import escape
from importlib.util import cache_from_source
from socket import socket, socketpair

from .contract import App, Receive, Scope, Send, place
from .lifespan import StartupFailed
from .server import on_signals

log = logging.getLogger("asgi_ref")

LEFT_OUT = ".*", "__pycache__", "node_modules"
GRACEFUL = "--timeout-graceful-shutdown", "1"  # nobody waits here for long
PATIENCE = 5.0  # seconds for a child that was told to end

Child = subprocess.Popen[bytes]
Stamp = tuple[int, int, int]


class Files:
    """The files below some folders, and how they were when last seen.

    include: patterns for names, as in a shell, besides *.py. exclude: for
    files and folders. With a slash they are for paths. Names that begin with
    a dot and virtual environments are left out.
    """

    def __init__(
        self,
        folders: Sequence[str] = (".",),
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
    ) -> None:
        self._folders = folders
        self._include = ("*.py", *include)
        self._asked = [name for name in include if "*" not in name]
        self._exclude = (*LEFT_OUT, *exclude)
        self._seen: dict[str, Stamp] = {}
        self.changed()

    def __len__(self) -> int:
        return len(self._seen)

    def changed(self) -> set[str]:
        """Return what has come, gone or changed since the last call."""
        before, self._seen = self._seen, {}
        for folder in self._folders:
            for path in self._walk(folder):
                with suppress(OSError):  # it has gone meanwhile
                    info = os.stat(path)
                    # Editors save into a new file, and rename: a new inode.
                    stamp = info.st_mtime_ns, info.st_size, info.st_ino
                    self._seen[path] = stamp
        return {path for path, _ in before.items() ^ self._seen.items()}

    def _walk(self, top: str) -> Iterator[str]:
        for folder, folders, names in os.walk(os.path.normpath(top)):
            for name in folders[:]:
                venv = os.path.exists(f"{folder}/{name}/pyvenv.cfg")
                if venv or matches(self._exclude, folder, name):
                    folders.remove(name)  # os.walk goes on with the others
            for name in names:
                wanted = matches(self._include, folder, name) and not (
                    matches(self._exclude, folder, name)
                )
                if wanted or matches(self._asked, folder, name):  # as is .env
                    yield os.path.normpath(os.path.join(folder, name))


def matches(patterns: Sequence[str], folder: str, name: str) -> bool:
    """Say whether a pattern fits a name, or one with a slash its path."""
    path = os.path.normpath(os.path.join(folder, name))
    return any(fnmatch(path if "/" in p else name, p) for p in patterns)


class Supervisor:
    """Keeps a child running, and replaces it when files have changed.

    start: starts a child. delay: seconds between two looks. patience: for a
    child that was told to end. sleep: how to let time pass.
    """

    def __init__(
        self,
        start: Callable[[], Child],
        files: Files,
        delay: float = 0.25,
        patience: float = PATIENCE,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._start, self._files = start, files
        self._delay, self._patience, self._sleep = delay, patience, sleep
        self._child: Child | None = None
        self._first, self._status = True, 0
        self._stopping = False

    def run(self) -> int:
        """Keep a child running until a signal comes; return exit status 0.

        Or 2, if that was the first child's: the command line makes no sense,
        and no change of code would mend it.
        """
        with on_signals(self.stop):
            while not self._stopping:
                with ctrl_c_is_ours():
                    self._child = self._start()
                if self._stopping:  # the signal has missed this child
                    self._child.terminate()
                changed = self._until_changed(self._child)
                self._end(self._child)
                for path in changed:
                    forget_compiled(path)
                self._first = False
        return self._status

    def stop(self) -> None:
        """Tell the child to end in good order; called again: at once."""
        self._stopping = True
        if self._child is not None:
            self._child.terminate()

    def _until_changed(self, child: Child) -> list[str]:
        """Wait for changes, and then for one delay without any.

        Editors save several files at once, and not each in one piece.
        """
        alive = True
        changed: set[str] = set()
        while not self._stopping:
            more = self._files.changed()
            if changed and not more:
                log.info("reload    %s changed", in_short(sorted(changed)))
                break
            changed |= more
            if alive and (status := child.poll()) is not None:
                alive = False
                if status == 2 and self._first:
                    self._status, self._stopping = status, True
                    break
                what = "the server ended by itself, " + described(status)
                log.error("reload    %s; waiting for a change", what)
            self._sleep(self._delay)
        return sorted(changed)

    def _end(self, child: Child) -> None:
        """End a child in good order, but do not wait for ever."""
        if not self._stopping:  # otherwise it has been told
            child.terminate()
        try:
            child.wait(self._patience)
        except subprocess.TimeoutExpired:
            limit = self._patience
            log.warning("reload    killed: it did not end in %g s", limit)
            child.kill()
            child.wait()


def in_short(paths: list[str]) -> str:
    """Return the first three paths, and how many more there are."""
    more = f" and {len(paths) - 3} more" if len(paths) > 3 else ""
    return ", ".join(paths[:3]) + more


def described(status: int) -> str:
    """Return an exit status in words; below 0 it is a signal."""
    if status < 0:
        return f"killed by {signal.Signals(-status).name}"
    return f"exit status {status}"


def forget_compiled(path: str) -> None:
    """Remove what Python has kept of an earlier state of a source file.

    It would be taken for fresh if the file was changed in the same second
    and its size is the same: the old code still answers.
    """
    if path.endswith(".py"):
        with suppress(OSError):
            os.unlink(cache_from_source(os.path.abspath(path)))


@contextmanager
def ctrl_c_is_ours() -> Iterator[None]:
    """Let processes that are started meanwhile not hear Ctrl+C.

    A terminal tells it to all processes. A child that is importing would
    print a traceback; one that we tell, too, would take it for the second.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def starter(
    arguments: Sequence[str], sock: socket, first: Sequence[str] = ()
) -> Callable[[], Child]:
    """Return what starts a child, a server on our listening socket.

    arguments: the command line that we were started with. first: what
    children are given until one has served.
    """
    ours, theirs = socketpair()
    ours.setblocking(False)
    fds = sock.fileno(), theirs.detach()
    more = list(first)

    def start() -> Child:
        with suppress(BlockingIOError):
            if ours.recv(1024):  # a child says a byte when it serves
                more.clear()
        line = [*arguments, *more]
        if os.name != "posix":
            more.clear()
            return subprocess.Popen(command(line))
        return subprocess.Popen(command(line, *fds), pass_fds=fds)

    return start


def command(
    arguments: Sequence[str], fd: int = -1, parent_fd: int = -1
) -> list[str]:
    """Return the command line of a child: ours, and what it is given.

    fd: the socket to accept from. parent_fd: one that ends when we die.
    Below 0 there is none. What is said twice counts as it was said last.
    """
    more = ["--fd", str(fd)] if fd >= 0 else []
    more += ["--parent-fd", str(parent_fd)]
    return [sys.executable, "-m", "asgi_ref", *GRACEFUL, *arguments, *more]


# In a child.

PAGE = """<!doctype html>
<meta charset="utf-8"><title>503</title>
<style>:root { color-scheme: light dark } pre { overflow: auto }</style>
<h1>The application cannot be served</h1>
<pre>%s</pre>
<p>This page loads itself anew when the code has changed.</p>
<script>new EventSource(location).onerror = () => location.reload()</script>
"""


def broken(error: Exception) -> App:
    """Say what is wrong; return what answers until it is mended.

    error: TargetError or StartupFailed.
    """
    failed = isinstance(error, StartupFailed)
    text = headline(error) if failed else str(error)
    still = " " * 20 + "still listening; answering 503 with this error"
    log.error("reload    %s\n%s until it is fixed", headline(error), still)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            for stage in "startup", "shutdown":
                await receive()
                await send({"type": f"lifespan.{stage}.complete"})
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close"})
        else:
            await explain(text, scope, receive, send)

    return app


async def explain(
    text: str, scope: Scope, receive: Receive, send: Send
) -> None:
    """Answer 503 with a text.

    Browsers get a page that knows when to ask again: it also asks for a
    stream of events, in which none comes, and which ends with this process.
    """
    accept, status = dict(scope["headers"]).get(b"accept", b""), 503
    kind, body = b"text/plain", f"{text}\n"
    if b"text/html" in accept:
        kind, body = b"text/html", PAGE % escape(text)
    if stream := b"text/event-stream" in accept:
        status, kind, body = 200, b"text/event-stream", ":\n\n"
    headers = [(b"content-type", kind + b"; charset=utf-8")]
    headers += [(b"cache-control", b"no-store")]
    start = {"type": "http.response.start", "status": status}
    await send({**start, "headers": headers})
    data = body.encode(errors="replace")
    part = {"type": "http.response.body", "body": data, "more_body": stream}
    await send(part)
    while stream and (await receive())["type"] != "http.disconnect":
        pass


def headline(error: Exception) -> str:
    """Return an error in one line: what, and where."""
    cause = error.__context__
    if isinstance(error, StartupFailed):
        return f"Startup failed: {error}"
    if isinstance(cause, SyntaxError):
        file = os.path.basename(cause.filename or "")
        what = f"{type(cause).__name__}, {file} line {cause.lineno}"
        return f"{what}:  {(cause.text or cause.msg).strip()}"
    if cause is not None and "\n" in str(error):
        return place(cause)
    return str(error)
