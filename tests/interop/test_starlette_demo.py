"""The demo on Starlette, in chapter 20: the same routes, the same answers."""

import importlib.util

import pytest

import asgi_ref
from tests import test_demo as plain
from tests.test_demo import EXAMPLE

spec = importlib.util.spec_from_file_location(EXAMPLE.stem, EXAMPLE)
example = importlib.util.module_from_spec(spec)
spec.loader.exec_module(example)

SAME = """
    test_the_page test_the_page_counts_requests
    test_the_page_lists_all_routes_and_links_what_is_a_get
    test_hello test_head_is_answered_like_get
    test_echo_answers_each_piece_before_the_next_is_sent
    test_the_clock_sends_events
    test_nobody_waits test_a_long_poll_answers_when_somebody_wakes_it
    test_everybody_hears_what_anybody_says test_there_is_no_other_room
    test_a_member_who_vanishes_takes_nobody_along
""".split()


@pytest.mark.parametrize("name", SAME)
def test_it_answers_as_without_a_framework(name, monkeypatch):
    def running(app=example.app):
        return asgi_ref.running(
            app, access_log=False, timeout_graceful_shutdown=0.1
        )

    monkeypatch.setattr(plain.demo, "app", example.app)
    monkeypatch.setattr(plain, "running", running)
    getattr(plain, name)()
