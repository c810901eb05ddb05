"""The tables of ASGI: what they hold, and what they refuse."""

import itertools
import re
import sys
from pathlib import Path
from types import MappingProxyType

import pytest

from asgi_ref import contract as module
from asgi_ref.contract import (
    HTTP,
    LIFESPAN,
    WEBSOCKET,
    ClientDisconnected,
    ContractError,
    check,
    defined,
    place,
)

CONTRACTS = {"http": HTTP, "websocket": WEBSOCKET, "lifespan": LIFESPAN}
FIRST = {"websocket": "connecting", "lifespan": "starting"}
NEEDED = {  # keys that a message cannot do without
    "http.response.start": {"status": 200},
    "websocket.http.response.start": {"status": 403},
    "http.response.early_hint": {"links": []},
    "http.response.pathsend": {"path": "/a"},
}


def message_of(event):
    """The message that an event of a table, "type + flag", stands for."""
    kind, _, flag = event.partition(" + ")
    message = {"type": kind, **NEEDED.get(kind, {})}
    return {**message, flag: True} if flag else message


def pairs(contract):
    """Every state with every event, whether the table has it or not."""
    states = {state for state, _ in contract.order}
    states |= set(contract.order.values())
    events = {event for _, event in contract.order}
    return itertools.product(sorted(states), sorted(events))


ALL_PAIRS = [
    (name, state, event)
    for name, contract in CONTRACTS.items()
    for state, event in pairs(contract)
]


@pytest.mark.parametrize(("name", "state", "event"), ALL_PAIRS)
def test_a_pair_is_in_the_table_or_refused(name, state, event):
    contract = CONTRACTS[name]
    after = contract.order.get((state, event))
    if after is not None:
        assert check(contract, state, message_of(event)) == after
        return
    with pytest.raises(ContractError) as raised:
        check(contract, state, message_of(event))
    text = str(raised.value)
    assert event in text
    assert f"state: {state}" in text
    for other, allowed in contract.order:
        assert other != state or allowed in text


@pytest.mark.parametrize("name", CONTRACTS)
def test_every_message_that_may_be_sent_is_in_the_order(name):
    contract = CONTRACTS[name]
    kinds = {message_of(event)["type"] for _, event in contract.order}
    assert kinds == set(contract.send)


# The same, written down by hand from the specification: if somebody edits
# the table, these sentences do not move with it.

START = {"type": "http.response.start", "status": 200}
PROMISE = {**START, "trailers": True}
MORE = {"type": "http.response.body", "body": b"x", "more_body": True}
LAST = {"type": "http.response.body", "body": b"x"}
HINT = {"type": "http.response.early_hint", "links": [b"</a.css>"]}
PATH = {"type": "http.response.pathsend", "path": "/a"}
TRAILER = {"type": "http.response.trailers", "headers": []}
MORE_TRAILERS = {**TRAILER, "more_trailers": True}


def tell(messages):
    """The state after an application sent these messages."""
    state = "nothing sent"
    for message in messages:
        state = check(HTTP, state, message)
    return state


@pytest.mark.parametrize(
    "messages",
    [
        (START, LAST),
        (START, MORE, MORE, LAST),
        (START, HINT, HINT, MORE, HINT, LAST),
        (START, PATH),
        (PROMISE, LAST, TRAILER),
        (PROMISE, MORE, LAST, MORE_TRAILERS, TRAILER),
    ],
)
def test_stories_that_are_complete(messages):
    assert tell(messages) == "complete"


@pytest.mark.parametrize(
    "messages",
    [
        (LAST,),
        (PATH,),
        (TRAILER,),
        (START, START),
        (START, MORE, START),
        (START, MORE, PATH),
        (START, LAST, LAST),
        (START, TRAILER),
        (START, LAST, TRAILER),
        (START, MORE, TRAILER),
        (PROMISE, TRAILER),
        (PROMISE, PATH),
        (PROMISE, LAST, LAST),
        (PROMISE, LAST, TRAILER, TRAILER),
    ],
)
def test_stories_that_break_a_rule(messages):
    *before, last = messages
    state = tell(before)
    with pytest.raises(ContractError):
        check(HTTP, state, last)


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (None, "takes a dict; got None"),
        ("http.response.start", "takes a dict; got 'http.response.start'"),
        ([("type", "http.response.start")], "takes a dict; got [("),
        (b"hello", "takes a dict; got b'hello'"),
        ({}, 'a message without "type": {}'),
        ({"status": 200}, "a message without \"type\": {'status': 200}"),
        ({"type": "http.response.begin"}, "'http.response.begin'; known: "),
        ({"type": "http.request"}, "unknown message 'http.request'"),
        ({"type": "websocket.send"}, "unknown message 'websocket.send'"),
        ({"type": []}, "unknown message []"),
        ({"type": None}, "unknown message None"),
        (
            {"type": "http.response.start"},
            'http.response.start without "status"',
        ),
        (
            {"type": "http.response.start", "status": "200"},
            "http.response.start: \"status\" must be int; got '200'",
        ),
        (
            {"type": "http.response.start", "status": None},
            '"status" must be int; got None',
        ),
        (
            {"type": "http.response.start", "status": 200, "trailers": 1},
            '"trailers" must be bool; got 1',
        ),
        (
            {"type": "http.response.body", "body": "hello"},
            "\"body\" must be bytes or bytearray or memoryview; got 'hello'",
        ),
        (
            {"type": "http.response.body", "body": None},
            '"body" must be bytes or bytearray or memoryview; got None',
        ),
        (
            {"type": "http.response.body", "more_body": "no"},
            "\"more_body\" must be bool; got 'no'",
        ),
        (
            {"type": "http.response.early_hint"},
            'http.response.early_hint without "links"',
        ),
        (
            {"type": "http.response.pathsend"},
            'http.response.pathsend without "path"',
        ),
        (
            {"type": "http.response.pathsend", "path": Path("a")},
            '"path" must be str; got ',
        ),
        (
            {"type": "http.response.start", "status": 200, "headers": None},
            '"headers" must be list or Iterable; got None',
        ),
    ],
)
def test_a_wrong_message_is_named(message, text):
    with pytest.raises(ContractError) as raised:
        check(HTTP, "nothing sent", message)
    assert text in str(raised.value)


@pytest.mark.parametrize(
    ("name", "message", "text"),
    [
        ("websocket", {"type": "websocket.send", "text": b"x"}, '"text" must'),
        ("websocket", {"type": "websocket.close", "code": "x"}, '"code" must'),
        ("websocket", {"type": "http.response.start"}, "unknown message"),
        (
            "lifespan",
            {"type": "lifespan.startup.failed", "message": None},
            '"message" must be str',
        ),
        ("lifespan", {"type": "lifespan.startup"}, "unknown message"),
    ],
)
def test_a_wrong_message_of_another_protocol_is_named(name, message, text):
    with pytest.raises(ContractError) as raised:
        check(CONTRACTS[name], FIRST[name], message)
    assert text in str(raised.value)


@pytest.mark.parametrize(
    "message",
    [
        {"type": "http.response.body"},
        {"type": "http.response.body", "a key of somebody's own": 1},
        {"type": "http.response.body", "": 1},
        {"type": "http.response.pathsend", "path": "/a", "": 1},
        {"type": "http.response.body", "body": bytearray(b"x")},
        {"type": "http.response.body", "body": memoryview(b"x")},
        {"type": "http.response.body", "more_body": False},
    ],
)
def test_a_right_message_passes(message):
    assert check(HTTP, "started", message) == "complete"


@pytest.mark.parametrize(
    "headers", [(), [], iter([]), ((b"a", b"b") for _ in range(1)), {}]
)
def test_headers_may_be_any_iterable(headers):
    assert check(HTTP, "nothing sent", {**START, "headers": headers})


@pytest.mark.parametrize("contract", CONTRACTS.values())
def test_a_missing_key_is_named_and_not_one_that_may_be_missing(contract):
    for kind, needed in NEEDED.items():
        if kind in contract.send:
            (key,) = needed
            with pytest.raises(ContractError) as raised:
                check(contract, "any", {"type": kind})
            assert str(raised.value) == f'{kind} without "{key}"'


def test_check_does_not_read_headers():
    headers = iter([(b"a", b"b")])
    check(HTTP, "nothing sent", {**START, "headers": headers})
    assert list(headers) == [(b"a", b"b")]


def test_a_websocket_message_may_hold_none_for_the_other_kind():
    message = {"type": "websocket.send", "text": "", "bytes": None}
    assert check(WEBSOCKET, "open", message) == "open"


def test_a_read_only_mapping_is_no_message():
    """Middleware changes messages, so they are mutable."""
    with pytest.raises(ContractError):
        check(HTTP, "started", MappingProxyType({"type": "nonsense"}))


def test_client_disconnected_is_an_os_error():
    assert issubclass(ClientDisconnected, OSError)
    assert not issubclass(ContractError, OSError)


def test_place_names_the_line_outside_the_package():
    line = 0
    try:
        line = sys._getframe().f_lineno + 1
        check(HTTP, "nothing sent", {"type": "nonsense"})
    except ContractError as error:
        shown = place(error)
    assert shown.startswith("ContractError: unknown message 'nonsense'")
    assert shown.endswith(f" (test_contract.py:{line})")


def test_place_of_an_error_that_was_never_raised():
    assert place(ValueError("no")) == "ValueError: no"


def test_where_an_application_begins():
    async def app(scope, receive, send): ...

    class Middleware:
        def __init__(self, app):
            self.__wrapped__ = app

    line = app.__code__.co_firstlineno
    assert defined(app) == f" (test_contract.py:{line})"
    assert defined(Middleware(Middleware(app))) == defined(app)
    assert defined(print) == ""


def test_what_the_module_speaks_of_is_there():
    named = re.findall(r"`(\w+)`", module.__doc__)
    assert named
    assert [name for name in named if not hasattr(module, name)] == []
