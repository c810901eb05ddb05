"""The check: a loop of another thread is blocked until it is reported."""

import asyncio
import inspect
import threading

HOLDS = 1.0  # seconds that it blocks if nobody reports it
SOON = 0.05
FILE = "test_exercise.py"


class Blocked:
    """Keeps a loop blocked until there is a report, or for HOLDS seconds."""

    def __init__(self):
        self.reports = []
        self.reported = threading.Event()
        self.ready = threading.Event()
        self.in_time = None

    def report(self, text):
        self.reports.append(text)
        self.reported.set()

    def find(self):
        self.ready.set()
        self.in_time = self.reported.wait(HOLDS)

    async def route(self):
        self.loop = asyncio.get_running_loop()
        self.find()
        await asyncio.sleep(0.01)

    def start(self):
        asyncio.run(self.route())

    def ask(self, answer, ours):
        """Ask the loop while it is blocked; return what was reported."""
        thread = threading.Thread(target=self.start)
        thread.start()
        self.ready.wait()
        try:
            answer.ask(self.loop, thread.ident, SOON, self.report, ours)
        finally:
            self.reported.set()
            thread.join()
        return self.reports


def ours(file):
    return file.endswith(FILE)


def first_line(function, text=""):
    """Return the number of the first line with a text in a function."""
    lines, first = inspect.getsourcelines(function)
    return next(n for n, line in enumerate(lines, first) if text in line)


def named(answer, ours):
    """Return what the first report says of the blocked loop."""
    blocked = Blocked()
    reports = blocked.ask(answer, ours)
    assert blocked.in_time, (
        "It was reported when all was over. Wait for the answer no longer "
        "than `seconds`; if there is none, look at the thread then."
    )
    return reports[0]


def test_it_is_reported_while_it_lasts(answer):
    named(answer, ours)


def test_the_file_and_the_line(answer):
    said = named(answer, ours)
    assert "threading.py" not in said, (
        f"{said!r}: that is where the thread waits, and nobody can mend that "
        "line. Go outwards, with f_back, to a file that is ours."
    )
    assert f":{first_line(Blocked.find)} " not in said, (
        f"{said!r}: that is where the function begins, not the line that "
        "runs. A frame knows it: f_lineno."
    )
    line = first_line(Blocked.find, "reported.wait")
    assert said == f"{FILE}:{line} in find", (
        f"The line that blocks is {FILE}:{line} in find. You named {said!r}; "
        "the innermost frame of ours is wanted, and its file without folder."
    )


def test_a_library_that_blocks_without_us(answer):
    said = named(answer, lambda file: False)
    assert said.startswith("threading.py:"), (
        f"No file was ours, and you named {said!r}. Better the innermost "
        "frame, threading.py here, than nothing."
    )


def test_it_goes_on(answer):
    blocked = Blocked()
    reports = blocked.ask(answer, ours)
    assert "went on" in reports[1:], (
        f"The loop has answered at last, and the reports are {reports}: who "
        'reads them believes that it is still blocked. Report "went on".'
    )
    assert len(reports) == 2, f"Two reports are wanted, and no more: {reports}"


def test_a_loop_that_answers(answer):
    reports = []

    async def main():
        loop, thread = asyncio.get_running_loop(), threading.get_ident()
        args = loop, thread, 5.0, reports.append, ours
        await asyncio.to_thread(answer.ask, *args)

    asyncio.run(main())
    assert reports == [], (
        f"The loop answered at once, and was reported: {reports}."
    )
