"""That is where the thread waits, and nobody can mend that line."""

import os
import sys
import threading


def ask(loop, thread, seconds, report, ours):
    """Ask a loop that another thread runs; return when it has answered."""
    heard = threading.Event()
    loop.call_soon_threadsafe(heard.set)
    if heard.wait(seconds):
        return
    frame = sys._current_frames()[thread]
    file = os.path.basename(frame.f_code.co_filename)
    report(f"{file}:{frame.f_lineno} in {frame.f_code.co_name}")
    heard.wait()
    report("went on")
