"""One good answer."""

import os
import sys
import threading


def ask(loop, thread, seconds, report, ours):
    """Ask a loop that another thread runs; return when it has answered.

    thread: that thread's ident. seconds: how long an answer may take.
    report: to be called with a text. ours(file): whether a file is the
    application's.
    """
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
    frame = frame or innermost
    file = os.path.basename(frame.f_code.co_filename)
    return f"{file}:{frame.f_lineno} in {frame.f_code.co_name}"
