"""Name the file and the line that blocks the loop.

    it answers in time        nothing is reported
    it does not               "shop.py:12 in find", while it is still blocked
    it answers at last        "went on"

The first report names the application's innermost frame: the line that runs
at that moment, not where its function begins. If no frame is the
application's, it is the innermost of all.

    sys._current_frames()[thread]     where a thread is: its innermost frame
    frame.f_back                      the frame that has called it, or None
    frame.f_lineno                    the line that runs
    frame.f_code.co_filename          the file, with its folder
    frame.f_code.co_name              the function
"""

import threading
import time


def ask(loop, thread, seconds, report, ours):
    """Ask a loop that another thread runs; return when it has answered.

    thread: that thread's ident. seconds: how long an answer may take.
    report: to be called with a text. ours(file): whether a file is the
    application's.
    """
    heard = threading.Event()
    asked = time.monotonic()
    loop.call_soon_threadsafe(heard.set)
    heard.wait()
    if time.monotonic() - asked > seconds:
        report("somebody has blocked the loop")
