"""A watchdog: who blocked the loop, said while it is still blocked.

    the watchdog's thread                the loop's thread
      are you there?   ──── call ────▶   ... a route runs ...
      (waits)          ◀─── event ───    yes, I came round

An event loop can do nothing while a line of the application does not let go
of its thread, and so it cannot say which line that is. Another thread can:
it asks the loop, and when there is no answer it looks where the thread is.

It only looks: nothing is ended, nothing runs faster. It is silent while a
debugger is attached, and after the process was suspended. Code in C that
keeps the GIL stops this thread as well; that is told when it is over.

Source: Python library reference, "Developing with asyncio", section Running
Blocking Code; `sys._current_frames`.
"""

from __future__ import annotations

import asyncio
import linecache
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FrameType

from .contract import is_learners
from .server import debugged

log = logging.getLogger("asgi_ref")

RESTS = 10  # pauses between two questions in the time that may pass
TURN = asyncio.Handle._run.__code__  # below it there is only the loop

Report = Callable[[str], object]
Clock = Callable[[], float]


@contextmanager
def watching(seconds: float, report: Report = log.warning) -> Iterator[None]:
    """Watch the running loop; report when it does not come round in time.

    seconds: more than 0. report: is called in another thread, and must not
    wait for the loop.
    """
    watchdog = Watchdog(seconds, report)
    thread = threading.Thread(target=watchdog.run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        watchdog.end()
        thread.join()


class Watchdog:
    """Asks the loop in which it is made, from the thread that runs it.

    clock, cpu: seconds that have passed, and that this process has computed.
    """

    def __init__(
        self,
        seconds: float,
        report: Report,
        clock: Clock = time.monotonic,
        cpu: Clock = time.process_time,
    ) -> None:
        self._seconds, self._report = seconds, report
        self._clock, self._cpu = clock, cpu
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._heard = threading.Event()
        self._ended = threading.Event()

    def run(self) -> None:
        """Ask again and again, until the end or until the loop is closed."""
        while True:
            self._heard.clear()
            self._wait(self._ended, self._seconds / RESTS)
            if self._ended.is_set() or not self._ask():
                return
            asked = self._clock()
            in_time = self._wait(self._heard, self._seconds)
            if in_time and not self._heard.is_set():
                self._look(asked)

    def end(self) -> None:
        """Let run() return. What is called last is waited for last."""
        self._ended.set()
        self._heard.set()

    def _ask(self) -> bool:
        """Have the loop set an event; False if it is closed."""
        try:
            self._loop.call_soon_threadsafe(self._heard.set)
        except RuntimeError:
            return False
        return True

    def _wait(self, event: threading.Event, seconds: float) -> bool:
        """Wait for an event, or so long; False if we woke up far too late.

        Then this thread could not run either. If the process has computed
        meanwhile, somebody kept the GIL; if not, it was suspended.
        """
        began, computed = self._clock(), self._cpu()
        event.wait(seconds)
        late = self._clock() - began - seconds
        if late < self._seconds:
            return True
        frame = sys._current_frames().get(self._thread)
        if frame and self._cpu() - computed >= self._seconds:
            # It had to let us run at the end of its call, so it is there now.
            where, line, request = seen(frame)
            note = f"{late:.1f} s{request}; over: it kept the GIL"
            self._report(f"blocked   {where}: {line}  ({note})")
        return False

    def _look(self, asked: float) -> None:
        """Say where the loop's thread is, and when the loop goes on."""
        frame = sys._current_frames().get(self._thread)
        if frame and not is_debugged(frame):
            where, line, request = seen(frame)
            if self._heard.is_set():
                return  # it has gone on while we looked
            note = f"{self._clock() - asked:.1f} s so far{request}"
            self._report(f"blocked   {where}: {line}  ({note})")
            self._heard.wait()
            took = self._clock() - asked
            self._report(f"blocked   {where} went on after {took:.1f} s")
        self._heard.wait()


def seen(frame: FrameType) -> tuple[str, str, str]:
    """Return where a thread is, the line's text, and for which request.

    The place is the innermost one in the application's own code: not
    `readinto` in socket.py, but the line that led there.
    """
    frames = stack(frame)
    codes = [f.f_code for f in frames]
    if TURN not in codes:
        return "another thread", "the loop was waiting", ""
    frames = frames[: codes.index(TURN)]
    own = [f for f in frames if is_learners(f.f_code.co_filename)]
    chosen = own[0] if own else frame
    path, number = chosen.f_code.co_filename, chosen.f_lineno or 0
    function = chosen.f_code.co_qualname
    where = f"{os.path.basename(path)}:{number} in {function}"
    line = linecache.getline(path, number).strip()
    return where, line, request(f.f_locals.get("scope") for f in frames)


def stack(frame: FrameType | None) -> list[FrameType]:
    """Return the frames of a thread, the innermost one first."""
    frames = []
    while frame:
        frames.append(frame)
        frame = frame.f_back
    return frames


def request(scopes: Iterable[object]) -> str:
    """Return ", GET /items/7" of the first scope that has a path, or "".

    As the client has sent it: decoded, it could forge a line of the log.
    """
    for scope in scopes:
        if isinstance(scope, dict) and scope.get("raw_path"):
            path = scope["raw_path"].decode("latin-1")
            return f", {scope.get('method', scope['type'])} {path}"
    return ""


def is_debugged(frame: FrameType) -> bool:
    """Say whether a debugger holds the thread that a frame runs in.

    `debugged()` alone would ask about ours: sys.settrace() is for the thread
    that calls it. But the frames that a debugger follows are marked.
    """
    return debugged() or any(f.f_trace for f in stack(frame))
