"""The watchdog: whom it names, and when it is silent.

Nothing here depends on how fast the machine is. What blocks the loop is held
by an event, until the report has come; clocks are handed in where time counts.
"""

import asyncio
import functools
import inspect
import logging
import re
import sys
import threading
import urllib.request
from contextlib import contextmanager

import pytest

from asgi_ref import watchdog
from asgi_ref.__main__ import running
from asgi_ref.watchdog import Watchdog, is_debugged, seen, watching

PATIENCE = 30  # seconds before something that never comes is an error
SOON = 0.02  # seconds that the loop may be away


def on_a_loop(test):
    """Run a coroutine function as a plain, bounded test."""

    @functools.wraps(test)
    def run(*arguments, **named):
        asyncio.run(asyncio.wait_for(test(*arguments, **named), PATIENCE))

    return run


class Reports(list):
    """What was reported; each report lets go what blocks.

    wanted: heed only what has this in it. On a busy machine anything may be
    slow, and is reported, and rightly.
    """

    def __init__(self, wanted=""):
        super().__init__()
        self.wanted = wanted
        self.came = threading.Event()

    def __call__(self, line):
        if self.wanted in line:
            self.append(line)
            self.came.set()

    def block(self):
        """Stand for whatever does not let go of its thread."""
        assert self.came.wait(PATIENCE), "nothing was reported"


def line_of(function, text):
    """Return the number of the line of a function that has a text in it."""
    lines, first = inspect.getsourcelines(function)
    (number,) = [n for n, line in enumerate(lines, first) if text in line]
    return number


def without_times(lines):
    return [re.sub(r"\d+\.\d s", "N s", line) for line in lines]


# Whom it names.


@on_a_loop
async def test_the_line_is_named_while_it_blocks_and_when_it_goes_on():
    async def route():
        reports.block()

    reports = Reports("in Reports.block")
    with watching(SOON, reports):
        await route()
    where = f"test_watchdog.py:{line_of(Reports.block, 'assert')}"
    assert without_times(reports) == [
        f"blocked   {where} in Reports.block: assert self.came.wait(PATIENCE)"
        ', "nothing was reported"  (N s so far)',
        f"blocked   {where} in Reports.block went on after N s",
    ]


@on_a_loop
async def test_it_is_the_applications_line_and_not_the_librarys():
    async def route():
        reports.came.wait(PATIENCE)  # it blocks in threading.py

    reports = Reports("in route")
    with watching(SOON, reports):
        await route()
    number = line_of(route, "PATIENCE")
    assert f"test_watchdog.py:{number} in route" in reports[0]
    assert "in route: reports.came.wait(PATIENCE)" in reports[0]


@on_a_loop
async def test_the_library_is_named_when_no_line_is_the_applications():
    reports = Reports("in Condition.wait")
    with watching(SOON, reports):
        loop = asyncio.get_running_loop()
        loop.call_soon(reports.came.wait, PATIENCE)
        await asyncio.sleep(0)
    assert "threading.py:" in reports[0]
    assert "in Condition.wait" in reports[0]


@on_a_loop
async def test_each_block_is_reported():
    reports = Reports("in Reports.block")
    with watching(SOON, reports):
        for _ in range(3):
            reports.came.clear()
            reports.block()
            while not reports[-1].endswith("s"):
                await asyncio.sleep(0.001)
    assert ["so far" in line for line in reports] == 3 * [True, False]


@on_a_loop
async def test_a_loop_in_pure_python_is_named_too():
    def count():
        number = 0
        while not reports.came.is_set():
            number += 1

    reports = Reports("in count")
    with watching(SOON, reports):
        count()
    assert "so far" in reports[0]
    assert " in count: " in reports[0]


@on_a_loop
async def test_the_request_is_named_as_the_client_has_sent_it():
    async def app(scope, receive, send):
        if scope["type"] == "http":
            reports.block()
            await send({"type": "http.response.start", "status": 204})
            await send({"type": "http.response.body"})

    def get():
        urllib.request.urlopen(f"{url}/a%0Ablocked?q=1").close()

    reports = Reports("in Reports.block")
    async with running(app, lifespan="off", access_log=False) as url:
        with watching(SOON, reports):
            await asyncio.to_thread(get)
    assert reports[0].endswith("s so far, GET /a%0Ablocked)")


@on_a_loop
async def test_a_websocket_is_named():
    async def chat(scope):
        reports.block()

    reports = Reports("in Reports.block")
    with watching(SOON, reports):
        await chat({"type": "websocket", "raw_path": b"/chat"})
    assert reports[0].endswith("s so far, websocket /chat)")


@pytest.mark.parametrize("more", [{}, {"raw_path": None}])
@on_a_loop
async def test_a_scope_without_raw_path_is_passed_over(more):
    async def app(scope):
        reports.block()

    reports = Reports("in Reports.block")
    with watching(SOON, reports):
        await app({"type": "http", "method": "GET", "path": "/", **more})
    assert reports[0].endswith("s so far)")


@on_a_loop
async def test_code_that_keeps_the_gil_is_named_when_it_is_over():
    def total():
        return sum(range(10_000_000))

    reports = Reports("it kept the GIL")
    with watching(SOON, reports):
        total()
    (line,) = reports
    assert re.fullmatch(
        rf"blocked   test_watchdog\.py:{line_of(total, 'sum')} in total: "
        r"return sum\(range\(10_000_000\)\)  "
        r"\(\d+\.\d s; over: it kept the GIL\)",
        line,
    ), line


# When it is silent.


class Clock:
    """Says the times that it is given; after the last it ends a watchdog."""

    def __init__(self, *times):
        self.times = list(times)
        self.watchdog = None

    def __call__(self):
        if len(self.times) > 1:
            return self.times.pop(0)
        self.watchdog.end()
        return self.times[0]


@contextmanager
def a_blocked_loop(make, hold=threading.Event.wait):
    """Yield what make() makes in a loop that another thread runs.

    The loop is blocked by hold(over, seconds) until all is over.
    """

    async def main():
        made.append(make())
        ready.set()
        hold(over, PATIENCE)

    made, ready, over = [], threading.Event(), threading.Event()
    thread = threading.Thread(target=asyncio.run, args=[main()])
    thread.start()
    try:
        assert ready.wait(PATIENCE)
        yield made[0]
    finally:
        over.set()
        thread.join(PATIENCE)


@pytest.mark.parametrize(
    "times",
    [
        # It woke up too late from its rest between two questions, ...
        [0.0, 100.0],
        # ... while it asked, or while it waited for the answer.
        [0.0, 0.0, 100.0],
        [0.0, 0.0, 0.0, 100.0],
    ],
)
@pytest.mark.parametrize("computed", [0.0, 100.0])
def test_a_process_that_stood_still_was_suspended_or_computed(times, computed):
    reports = Reports()
    clock = Clock(*times, 100.0)

    def cpu():  # the time that it says is of the moment when it woke up
        return computed if clock.times == [100.0] else 0.0

    with a_blocked_loop(lambda: Watchdog(SOON, reports, clock, cpu)) as dog:
        clock.watchdog = dog
        dog.run()
    if computed:
        (line,) = reports
        assert line.endswith(" s; over: it kept the GIL)")
        assert "(100.0 s" in line or "(99." in line
    else:
        assert reports == []


def test_times_are_those_of_the_clock():
    # It rests, has rested, has asked, has waited, reports, is heard.
    clock = Clock(5.0, 5.0, 5.0, 5.0 + SOON, 6.2, 9.0, 9.0)
    said = []

    def report(line):
        said.append(line)
        dog.end()

    with a_blocked_loop(lambda: Watchdog(SOON, report, clock)) as dog:
        clock.watchdog = dog
        dog.run()
    assert said[0].endswith("(1.2 s so far)")
    assert said[1].endswith("went on after 4.0 s")


def test_what_goes_on_while_we_look_is_not_reported(monkeypatch):
    reports = Reports()

    def slow(frames):
        dog.end()
        return seen(frames)

    monkeypatch.setattr(watchdog, "seen", slow)
    with a_blocked_loop(lambda: Watchdog(SOON, reports)) as dog:
        dog.run()
    assert reports == []


def traced(frame, event, argument):
    return traced


def test_it_is_silent_while_a_debugger_holds_the_loop(monkeypatch):
    def look(frames):
        looked.append(is_debugged(frames))
        dog.end()
        return looked[0]

    def debug(over, seconds):
        sys.settrace(traced)
        hold(over, seconds)
        sys.settrace(None)

    def hold(over, seconds):
        over.wait(seconds)  # as at a breakpoint

    reports, looked = Reports(), []
    monkeypatch.setattr(watchdog, "is_debugged", look)
    with a_blocked_loop(lambda: Watchdog(SOON, reports), debug) as dog:
        dog.run()
    assert looked == [True]
    assert reports == []


def test_without_a_debugger_no_thread_is_debugged():
    with a_blocked_loop(lambda: Watchdog(SOON, print)) as dog:
        frames = dog._frames()
        assert frames
        assert not is_debugged(frames)


@on_a_loop
async def test_a_loop_that_comes_round_is_not_reported(monkeypatch):
    def clock():
        calls.append(1)
        return 0.0

    monkeypatch.setattr(watchdog, "PARTS", 1_000_000)  # ask at once again
    calls, reports = [], Reports()
    dog = Watchdog(PATIENCE, reports, clock)
    thread = threading.Thread(target=dog.run, daemon=True)
    thread.start()
    while len(calls) < 100:
        await asyncio.sleep(0.001)
    dog.end()
    thread.join(PATIENCE)
    assert reports == []


@on_a_loop
async def test_a_loop_that_waits_for_events_blocks_nobody():
    """If nothing moves all the same, it is another thread that keeps us."""

    def look():
        frames = dog._frames()
        while frames:  # the loop has not begun to wait
            frames = dog._frames()
        return seen(frames)

    dog = Watchdog(SOON, print)
    where, _, request = await asyncio.to_thread(look)
    assert (where, request) == ("another thread", "")


@on_a_loop
async def test_a_loop_that_waits_is_not_accused_though_the_answer_is_late():
    def look():
        while dog._frames():
            pass
        dog._look(0.0)  # the question was never asked

    reports = Reports()
    dog = Watchdog(SOON, reports)
    asyncio.get_running_loop().call_later(10 * SOON, dog.end)
    await asyncio.to_thread(look)
    assert reports == []


# The end.


@on_a_loop
async def test_the_thread_ends_at_once():
    before = threading.active_count()
    with watching(1000 * PATIENCE):
        assert threading.active_count() == before + 1
    assert threading.active_count() == before


@on_a_loop
async def test_the_thread_ends_when_the_body_raises():
    before = threading.active_count()
    with pytest.raises(LookupError), watching(SOON):
        raise LookupError
    assert threading.active_count() == before


@pytest.mark.parametrize("done", range(4))
@on_a_loop
async def test_the_thread_ends_wherever_it_is(done):

    def clock():
        calls.append(1)
        if len(calls) == 1 + done:
            dog.end()
        return 0.0

    calls, reports = [], Reports()
    dog = Watchdog(SOON, reports, clock)
    thread = threading.Thread(target=dog.run, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    assert not thread.is_alive()
    assert reports == []


def test_a_closed_loop_is_left_alone():
    async def make():
        return Watchdog(SOON, reports)

    reports = Reports()
    dog = asyncio.run(make())
    dog.run()
    assert reports == []


@on_a_loop
async def test_it_is_logged_as_a_warning():
    def emit(record):
        said.append((record.levelname, record.getMessage()))
        came.set()

    said, came, handler = [], threading.Event(), logging.Handler()
    handler.emit = emit
    log = logging.getLogger("asgi_ref")
    log.addHandler(handler)
    try:
        with watching(SOON):
            assert came.wait(PATIENCE), "100%"
    finally:
        log.removeHandler(handler)
    assert said[0][0] == "WARNING"
    assert '"100%"' in said[0][1]
