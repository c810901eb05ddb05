"""The site in a real browser: no request leaves, no script fails.

Chromium is driven through two pipes (--remote-debugging-pipe), so that
nothing but the standard library is needed. Not part of the default run:

    python -m pytest --override-ini addopts=-q tests/course/browser
"""

import contextlib
import functools
import http.server
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest

ROOT = Path(__file__).resolve().parents[3]
BROWSERS = "chromium", "chromium-browser", "google-chrome"
BROWSER = next(filter(None, map(shutil.which, BROWSERS)), None)
# --no-sandbox: in a container there is only root. The rest keeps the browser
# itself from talking to its makers.
OPTIONS = """
    --headless --no-sandbox --disable-gpu --disable-quic --no-first-run
    --disable-background-networking --disable-component-update --disable-sync
    --disable-dev-shm-usage --remote-debugging-pipe
""".split()
WIDTHS = 360, 768, 1400
SECONDS = 30

pytestmark = [
    pytest.mark.skipif(BROWSER is None, reason="there is no Chromium"),
    pytest.mark.skipif(
        importlib.util.find_spec("mkdocs") is None,
        reason="mkdocs is not installed: pip install -e '.[dev]'",
    ),
]


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files without a line in the log for each."""

    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Build the site and serve it; yield its URL and its pages."""
    folder = tmp_path_factory.mktemp("site")
    subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "-q", "--site-dir", folder],
        check=True,
        cwd=ROOT,
        timeout=300,
    )
    handler = functools.partial(Quiet, directory=folder)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    pages = [
        file.parent.relative_to(folder).as_posix().removeprefix(".")
        for file in sorted(folder.rglob("index.html"))
    ]
    yield f"http://127.0.0.1:{server.server_port}/", pages
    server.shutdown()
    server.server_close()


class Chromium:
    """One tab of a browser: commands out, events in, ended by b"\\0"."""

    def __init__(self, profile):
        theirs_in, self.to = os.pipe()
        self.from_, theirs_out = os.pipe()
        # The protocol is spoken on the file descriptors 3 and 4.
        shell = f"exec 8<&{theirs_in} 9>&{theirs_out}; exec 3<&8 4>&9; "
        command = [BROWSER, *OPTIONS, f"--user-data-dir={profile}"]
        self.process = subprocess.Popen(
            ["bash", "-c", shell + 'exec "$@"', "bash", *command],
            pass_fds=[theirs_in, theirs_out],
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self.number, self.session, self.events = 0, None, []
        self.received = self.messages()
        target = self("Target.createTarget", url="about:blank")["targetId"]
        found = self("Target.attachToTarget", targetId=target, flatten=True)
        self.session = found["sessionId"]
        for domain in "Page", "Network", "Runtime", "Log":
            self(f"{domain}.enable")

    def messages(self):
        """Yield what the browser says, message by message."""
        rest = b""
        while data := os.read(self.from_, 65536):
            *whole, rest = (rest + data).split(b"\0")
            yield from map(json.loads, whole)
        raise EOFError("the browser has gone")

    def __call__(self, method, **params):
        """Send a command; return its result. Events are kept."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.to, json.dumps(message).encode() + b"\0")
        while (answer := next(self.received)).get("id") != self.number:
            self.events.append(answer)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']['message']}")
        return answer["result"]

    def evaluate(self, expression):
        """Return the value of a JavaScript expression in the page."""
        done = self(
            "Runtime.evaluate", expression=expression, returnByValue=True
        )
        return done["result"].get("value")

    def resize(self, width, height=900):
        """Make the window so wide."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1}
        self("Emulation.setDeviceMetricsOverride", mobile=False, **size)

    def open(self, url, settle=0.3):
        """Load a page; return the events until it has settled.

        settle: seconds for what scripts start when the page has loaded.
        """
        self.events = []
        self("Page.navigate", url=url)
        wanted, ends = "Page.loadEventFired", time.monotonic() + SECONDS
        while wanted not in [event["method"] for event in self.events]:
            assert time.monotonic() < ends, f"{url} does not load"
            self.evaluate("1")
            time.sleep(0.02)
        time.sleep(settle)
        self.evaluate("1")
        return self.events

    def close(self):
        """End the browser."""
        with contextlib.suppress(EOFError, BrokenPipeError):
            self("Browser.close")
        self.process.wait(SECONDS)
        os.close(self.to)
        os.close(self.from_)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    chromium = Chromium(tmp_path_factory.mktemp("profile"))
    yield chromium
    chromium.close()


def requests(events):
    """Return the hosts that a page asked."""
    asked = [
        event["params"]["request"]["url"]
        for event in events
        if event["method"] == "Network.requestWillBeSent"
    ]
    return {urlsplit(url).netloc for url in asked if url[:4] != "data"}


def errors(events):
    """Return what went wrong, in the browser's words."""
    return [text for event in events if (text := error(**event))]


def error(method, params, **_):
    """Return the text of an event that tells of an error, or None."""
    if method == "Runtime.exceptionThrown":
        details = params["exceptionDetails"]
        return details.get("exception", details).get("description", "thrown")
    if method == "Runtime.consoleAPICalled":
        wrong = params["type"] in {"error", "assert"}
        return str(params["args"]) if wrong else None
    if method == "Log.entryAdded":
        wrong = params["entry"]["level"] == "error"
        return str(params["entry"]) if wrong else None
    return None


def test_no_request_leaves_and_no_script_fails(browser, site):
    url, pages = site
    assert pages
    for page in pages:
        events = browser.open(url + page)
        assert requests(events) == {urlsplit(url).netloc}, page
        assert not errors(events), page


def fits(browser, width, seconds=1):
    """Say whether the page fits the window, as soon as nothing moves.

    The theme's drawer slides out of a window that becomes wider.
    """
    ends = time.monotonic() + seconds
    while browser.evaluate("document.documentElement.scrollWidth") > width:
        if time.monotonic() > ends:
            return False
        time.sleep(0.05)
    return True


def test_no_page_is_wider_than_the_window(browser, site):
    url, pages = site
    wide = []
    for page in pages:
        browser.open(url + page, settle=0)
        for width in WIDTHS:
            browser.resize(width)
            if not fits(browser, width):
                wide.append(f"{page} at {width}")
    assert not wide


def test_a_page_that_is_too_wide_is_seen(browser, site):
    url, _ = site
    browser.open(url, settle=0)
    browser.resize(WIDTHS[0])
    wide = "<pre style='width: 900px'>wide</pre>"
    browser.evaluate(
        f'document.querySelector("article").insertAdjacentHTML("beforeend",'
        f' "{wide}")'
    )
    assert not fits(browser, WIDTHS[0], seconds=0.2)


def test_errors_and_requests_are_seen(browser, site):
    """A browser that sees nothing would pass the tests above."""
    url, _ = site
    browser.open(url)
    browser.events = []
    browser.evaluate(
        "new Image().src = 'http://127.0.0.1:9/x.png';"
        "setTimeout(() => { throw new Error('seen') })"
    )
    time.sleep(0.3)
    browser.evaluate("1")
    assert "127.0.0.1:9" in requests(browser.events)
    assert any("seen" in error for error in errors(browser.events))


def test_a_line_in_a_table_of_rules_is_not_broken(browser, site):
    url, pages = site
    lines = (
        "[...document.querySelectorAll('.course-ledger td:nth-child(2) a')]"
        ".filter(a => a.textContent.includes('.py:'))"
    )
    broken, seen = [], 0
    for page in pages:
        browser.open(url + page, settle=0)
        seen += browser.evaluate(f"{lines}.length")
        for width in (*WIDTHS, 1200):
            browser.resize(width)
            more = f"{lines}.filter(a => a.getClientRects().length > 1)"
            names = browser.evaluate(f"{more}.map(a => a.textContent)")
            broken += [f"{page} at {width}: {name}" for name in names]
    assert seen
    assert not broken


WALK = "document.querySelector('asgi-walk')"


def key(browser, name, modifiers=0):
    """Press a key and let it go."""
    press = {"key": name, "code": name, "modifiers": modifiers}
    browser("Input.dispatchKeyEvent", type="keyDown", **press)
    browser("Input.dispatchKeyEvent", type="keyUp", **press)


def test_the_player_is_played_by_keys(browser, site):
    url, pages = site
    page = next(page for page in pages if page.endswith("_request"))
    browser.open(url + page)
    browser.resize(WIDTHS[-1])
    browser.evaluate(f"{WALK}.querySelector('button').focus()")

    def step():
        says = browser.evaluate(
            f"{WALK}.querySelector('[role=status]').textContent"
        )
        _, number, _, count, *_ = says.replace(":", "").split()
        return int(number), int(count)

    first, count = step()
    seen = [first]
    for name, shift in [
        ("ArrowRight", 0),
        ("ArrowLeft", 0),
        ("ArrowRight", 8),
        ("End", 0),
        ("Home", 0),
    ]:
        key(browser, name, shift)
        seen.append(step()[0])
    assert (seen[0], seen[1], seen[2], seen[5]) == (1, 2, 1, 1)
    assert 1 < seen[3] < count
    assert seen[4] == count


def test_a_walk_is_printed_if_the_reader_opened_it(browser, site):
    url, pages = site
    page = next(page for page in pages if page.endswith("_request"))
    browser.open(url + page)
    browser("Emulation.setEmulatedMedia", media="print")
    try:
        height = f"{WALK}.getBoundingClientRect().height"
        # The theme does this to all that is folded.
        browser.evaluate(f"{WALK}.querySelector('details').open = true")
        assert browser.evaluate(height) == 0
        browser.evaluate(f"{WALK}.querySelector('details').open = false")
        browser.evaluate(f"{WALK}.querySelector('summary').click()")
        assert browser.evaluate(height) > 0
    finally:
        browser("Emulation.setEmulatedMedia", media="")
