"""It was reported when all was over."""

import os
import sys
import threading
import time


def ask(loop, thread, seconds, report, ours):
    """Ask a loop that another thread runs; return when it has answered."""
    heard = threading.Event()
    asked = time.monotonic()
    loop.call_soon_threadsafe(heard.set)
    heard.wait()
    if time.monotonic() - asked < seconds:
        return
    report(name(sys._current_frames()[thread], ours))
    report("went on")


def name(innermost, ours):
    """Return "shop.py:12 in find" for the application's innermost frame."""
    frame = innermost
    while frame and not ours(frame.f_code.co_filename):
        frame = frame.f_back
    frame = frame or innermost
    file = os.path.basename(frame.f_code.co_filename)
    return f"{file}:{frame.f_lineno} in {frame.f_code.co_name}"
