"""The demo's two pages in a real browser, as in chapter 20."""

import asyncio
import threading
import time

import pytest
from test_browser import BROWSER, SECONDS, Chromium, errors, requests

import asgi_ref

pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium")
LINES = "document.querySelector('pre').textContent"


@pytest.fixture
def url():
    """Serve the demo in a thread; yield its address."""
    loop, found = asyncio.new_event_loop(), []
    there, over = threading.Event(), asyncio.Event()

    async def serve():
        running = asgi_ref.running("asgi_ref.demo:app", access_log=False)
        async with running as address:
            found.append(address)
            there.set()
            await over.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=[serve()])
    thread.start()
    assert there.wait(SECONDS)
    yield found[0]
    loop.call_soon_threadsafe(over.set)
    thread.join(SECONDS)


@pytest.fixture
def windows(tmp_path):
    both = [Chromium(tmp_path / name) for name in ("left", "right")]
    yield both
    for window in both:
        window.close()


def until(window, expression):
    """Wait until a JavaScript expression is true in the page."""
    ends = time.monotonic() + SECONDS
    while not window.evaluate(expression):
        assert time.monotonic() < ends, (expression, window.evaluate(LINES))
        time.sleep(0.05)


@pytest.mark.parametrize("path", ["/", "/chat"])
def test_a_page_asks_nobody_else_and_fits(url, windows, path):
    left, _ = windows
    for width in 360, 1400:
        left.resize(width)
        events = left.open(url + path)
        assert requests(events) == {url.removeprefix("http://")}
        assert not errors(events)
        assert left.evaluate("document.body.scrollWidth <= innerWidth")


def test_the_clock_runs_when_it_is_started(url, windows):
    left, _ = windows
    left.open(url)
    left.evaluate("document.querySelector('button').click()")
    button = "document.querySelector('button').textContent"
    until(left, rf"/^\d\d:\d\d:\d\d$/.test({button})")


def test_two_windows_talk_and_one_leaves(url, windows):
    left, right = windows
    left.open(f"{url}/chat")
    until(left, f"{LINES}.includes('1 here')")
    right.open(f"{url}/chat")
    until(left, f"{LINES}.includes('2 here')")
    right.evaluate("input.value = '<b>hello</b>'; form.requestSubmit(); 1")
    for window in windows:
        until(window, f"{LINES}.startsWith('<b>hello</b>')")
    right.open(f"{url}/hello")  # the browser keeps the chat for "back"
    until(left, f"{LINES}.startsWith('somebody left: 1 here')")
    right.evaluate("history.back()")
    until(left, f"{LINES}.startsWith('somebody came: 2 here')")
