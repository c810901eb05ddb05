"""A watchdog: who blocked the loop, said while it is still blocked.

    the watchdog's thread                the loop's thread
      are you there?   ──── call ────▶   ... a route runs ...
      (waits)          ◀─── event ───    yes, I came round

An event loop can do nothing while a line of the application does not let go
of its thread, and so it cannot say which line that is. Another thread can:
it asks the loop, and when there is no answer it looks where the thread is.

It only looks: nothing is ended, nothing runs faster. It is silent while a
debugger is attached, and after the process was suspended. Code in C that
keeps the GIL stops this thread as well; that is told when it is over. It
knows asyncio's own loops.

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
from typing import Any

from .contract import is_learners

log = logging.getLogger("asgi_ref")

PARTS = 10  # of the time that may pass, one is the rest between questions
TURN = asyncio.Handle._run.__code__  # what the loop calls lies above this

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
        self._mark = 0.0, 0.0  # clock and cpu, when last looked at

    def run(self) -> None:
        """Ask again and again, until the end or until the loop is closed."""
        rest = self._seconds / PARTS
        while True:
            self._heard.clear()  # before we look for the end, which sets it
            self._mark = self._clock(), self._cpu()
            self._ended.wait(rest)
            self._was_kept(rest)
            if self._ended.is_set() or not self._ask():
                return
            self._was_kept(0)
            asked = self._mark[0]
            in_time = self._heard.wait(self._seconds)
            kept = self._was_kept(0 if in_time else self._seconds)
            if not in_time and not kept:
                self._look(asked)

    def end(self) -> None:
        """Let run() return, whatever it waits for."""
        self._ended.set()
        self._heard.set()

    def _ask(self) -> bool:
        """Have the loop set an event; False if it is closed."""
        try:
            self._loop.call_soon_threadsafe(self._heard.set)
        except RuntimeError:
            return False
        return True

    def _was_kept(self, expected: float) -> bool:
        """Say whether much more time than expected has passed since the mark.

        Then this thread could not run either. If the process has computed
        meanwhile, somebody kept the GIL. If not, it was suspended.
        """
        before, self._mark = self._mark, (self._clock(), self._cpu())
        late = self._mark[0] - before[0] - expected
        if late < self._seconds:
            return False
        if self._mark[1] - before[1] >= self._seconds:
            # Who kept it has just had to let us run, and is still there.
            where, line, request = seen(self._frames())
            note = f"{late:.1f} s{request}; over: it kept the GIL"
            self._report(f"blocked   {where}: {line}  ({note})")
        return True

    def _look(self, asked: float) -> None:
        """Say where the loop's thread is, and when the loop goes on."""
        frames = self._frames()
        if frames and not is_debugged(frames):
            where, line, request = seen(frames)
            if self._heard.is_set():
                return  # it has gone on while we looked
            note = f"{self._clock() - asked:.1f} s so far{request}"
            self._report(f"blocked   {where}: {line}  ({note})")
            self._heard.wait()
            took = self._clock() - asked
            self._report(f"blocked   {where} went on after {took:.1f} s")
        self._heard.wait()

    def _frames(self) -> list[FrameType]:
        """Return what the loop has called, innermost first; [] if nothing."""
        frames, frame = [], sys._current_frames().get(self._thread)
        while frame and frame.f_code is not TURN:
            frames.append(frame)
            frame = frame.f_back
        return frames if frame else []


def seen(frames: list[FrameType]) -> tuple[str, str, str]:
    """Return a place, the text of its line, and for which request it runs.

    The place is the innermost one in the application's own code: not
    `readinto` in socket.py, but the line that led there.
    """
    if not frames:
        return "another thread", "the loop was waiting", ""
    own = [f for f in frames if is_learners(f.f_code.co_filename)]
    frame = own[0] if own else frames[0]
    path, number = frame.f_code.co_filename, frame.f_lineno or 0
    line = linecache.getline(path, number).strip()
    function = frame.f_code.co_qualname.rpartition(".<locals>.")[2]
    where = f"{os.path.basename(path)}:{number} in {function}"
    return where, line, request_of(f.f_locals.get("scope") for f in frames)


def request_of(scopes: Iterable[object]) -> str:
    """Return ", GET /items/7" of the first scope that has a path, or "".

    As the client has sent it: decoded, it could forge a line of the log.
    """
    for scope in scopes:
        if isinstance(scope, dict) and scope.get("raw_path"):
            sent = scope["raw_path"].decode("latin-1")
            return f", {scope.get('method', scope['type'])} {sent}"
    return ""


def is_debugged(frames: list[FrameType]) -> bool:
    """Say whether a debugger follows these frames.

    sys.gettrace() would not do: it tells of the thread that asks, which is
    ours. Python 3.12 has another way, that is for all threads.
    """
    monitoring: Any = getattr(sys, "monitoring", None)
    tool = monitoring and monitoring.get_tool(monitoring.DEBUGGER_ID)
    return bool(tool) or any(frame.f_trace for frame in frames)
