"""The check: traces of one client and of several are made into rows."""

import pytest

from asgi_ref.trace import Event, json_line

SCOPE = {"type": "http", "method": "GET", "path": "/"}
START = {"type": "http.response.start", "status": 200}
BODY = {"type": "http.response.body"}


def scope(ms, connection, path="/"):
    return Event(ms, connection, "scope", {**SCOPE, "path": path})


def start(ms, connection, status=200):
    return Event(ms, connection, "send", {**START, "status": status})


def body(ms, connection, data, more=False):
    message = {**BODY, "body": data}
    return Event(ms, connection, "send", {**message, "more_body": more})


def rows(answer, *events):
    """Return the rows for a trace of these events."""
    lines = [json_line(event) for event in events]
    try:
        return answer.rows(lines)
    except (KeyError, IndexError, TypeError, UnicodeError) as error:
        pytest.fail(
            f"rows raised {error!r}. A trace has events of all kinds, and a "
            "key may be left out of a message: ask with get."
        )


def test_one_request(answer):
    events = scope(1, 1, "/a"), start(3, 1, 404), body(4.5, 1, b"no")
    (row,) = rows(answer, *events)
    assert (row["method"], row["path"]) == ("GET", "/a"), (
        "Method and path stand in the scope."
    )
    assert row["status"] == 404, "The status is in http.response.start."
    assert row["body"] == b"no", (
        f"The body that was sent is b'no', the row has {row['body']!r}: "
        "take it from http.response.body, as bytes."
    )
    assert row["ms"] == 3.5, (
        "From the scope at 1 ms to the last body at 4.5 ms it took 3.5 ms."
    )


def test_an_answer_in_pieces(answer):
    events = [scope(1, 1), start(2, 1), body(3, 1, b"one", more=True)]
    (row,) = rows(answer, *events, body(9, 1, b"two"))
    assert row["body"] == b"onetwo", (
        "A response may come in many pieces, and all of them are its body."
    )
    assert row["ms"] == 8, "The answer ends with the piece without more_body."


def test_bytes_that_are_no_text(answer):
    data = bytes(range(256))
    (row,) = rows(answer, scope(1, 1), start(2, 1), body(3, 1, data))
    assert row["body"] == data, (
        'Bytes became other bytes. In the trace "\\u00ff" is 255: latin-1, '
        "and no other encoding, turns each character back into its byte."
    )


def test_two_clients_at_a_time(answer):
    one, two = rows(
        answer,
        scope(1, 1, "/slow"),
        scope(1, 2, "/fast"),
        start(2, 2, 201),
        start(2, 1, 202),
        body(3, 2, b"fast"),
        body(8, 1, b"slow"),
    )
    assert (one["path"], two["path"]) == ("/slow", "/fast"), (
        "The rows stand in the order in which the requests came."
    )
    assert (one["status"], two["status"]) == (202, 201), (
        "An answer was given to another connection. The last request in the "
        "trace need not be the one that is answered: look at connection."
    )
    assert (one["body"], two["body"]) == (b"slow", b"fast"), (
        "A body was given to another connection: look at connection."
    )
    assert (one["ms"], two["ms"]) == (7, 2), "Each has a time of its own."


def test_two_requests_on_one_connection(answer):
    first = scope(1, 1, "/a"), start(2, 1), body(3, 1, b"a")
    second = scope(11, 1, "/b"), start(12, 1, 500), body(14, 1, b"b")
    found = rows(answer, *first, *second)
    assert len(found) == 2, (
        f"Two requests came on one connection, and there are {len(found)} "
        "rows: a connection is not a request."
    )
    one, two = found
    assert [one["status"], one["body"], one["ms"]] == [200, b"a", 2], (
        "The first of two requests on one connection got a wrong answer: a "
        "row is done when the next scope comes."
    )
    assert [two["status"], two["body"], two["ms"]] == [500, b"b", 3], (
        "The second of two requests on one connection got a wrong answer: "
        "from its scope on, all that is sent there belongs to it."
    )


def test_what_is_no_http(answer):
    found = rows(
        answer,
        Event(0, 0, "scope", {"type": "lifespan"}),
        Event(1, 0, "send", {"type": "lifespan.startup.complete"}),
        Event(0, 1, "open", "127.0.0.1:50000"),
        Event(1, 1, "scope", {"type": "websocket", "path": "/chat"}),
        Event(2, 1, "send", {"type": "websocket.send", "text": "hi"}),
        Event(2, 2, "read", b"GET / HTTP/1.1\r\n\r\n"),
        Event(3, 2, "send", "no message at all"),
    )
    assert found == [], (
        "Lifespan and WebSockets have scopes and messages, too: they are no "
        "rows."
    )


def test_a_request_that_nobody_answered(answer):
    (row,) = rows(answer, scope(1, 1), Event(2, 1, "raised", "KeyError: 1"))
    assert (row["status"], row["body"], row["ms"]) == (0, b"", 0), (
        "A request without an answer is a row all the same, with zeros."
    )
