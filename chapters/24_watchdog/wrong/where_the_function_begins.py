"""That is where the function begins, not the line that runs."""

import os
import sys
import threading


def ask(loop, thread, seconds, report, ours):
    """Ask a loop that another thread runs; return when it has answered."""
    heard = threading.Event()
    loop.call_soon_threadsafe(heard.set)
    if heard.wait(seconds):
        return
    report(name(sys._current_frames()[thread], ours))
    heard.wait()
    report("went on")


def name(innermost, ours):
    """Return "shop.py:12 in find" for the application's innermost frame."""
    frame = innermost
    while frame and not ours(frame.f_code.co_filename):
        frame = frame.f_back
    code = (frame or innermost).f_code
    file = os.path.basename(code.co_filename)
    return f"{file}:{code.co_firstlineno} in {code.co_name}"
