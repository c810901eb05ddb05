"""The check: "100 Continue" once, in time, and by the table."""

import pytest

from asgi_ref.buffer import Buffer
from asgi_ref.request import parse_request

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
HEAD = b"PUT /film HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n"
EXPECT = b"Expect: 100-continue\r\n"
ROW = ("head", "100 Continue")


def writer(answer, field=EXPECT, body=b""):
    """Return an Answer to a client of which this much has arrived."""
    buffer = Buffer()
    buffer.append(body)
    return answer.Answer(parse_request(HEAD + field + b"\r\n"), buffer)


def test_the_table_has_the_row(answer):
    assert ROW in answer.TURNS, (
        'TURNS has no row ("head", "100 Continue"): what is not in the table '
        "cannot happen."
    )
    assert answer.TURNS[ROW] == "head", (
        "100 Continue is no answer yet: after it the head of the answer is "
        "due, as it was before."
    )


def test_a_client_that_waits_is_told_once(answer):
    talk = writer(answer)
    assert talk.send_continue() == CONTINUE, (
        "The client waits, nothing of its body is here, the answer is due: "
        "it must be told to go on."
    )
    assert talk.send_continue() == b"", (
        "The client was told already, and is told again: one permission is "
        "enough, and its wait is over."
    )


def test_who_does_not_wait_is_not_told(answer):
    assert writer(answer, field=b"").send_continue() == b"", (
        "This client sent no Expect: it does not wait, and is told to go on."
    )
    assert writer(answer, body=b"he").send_continue() == b"", (
        "Two bytes of the body have arrived: this client has gone on by "
        "itself and need not be told."
    )


def test_not_after_the_answer(answer):
    talk = writer(answer)
    talk.send_response()
    try:
        said = talk.send_continue()
    except KeyError:
        pytest.fail(
            "After the answer there is nothing to say, and nothing is wrong "
            'either: return b"" and do not let the table refuse.'
        )
    assert said == b"", (
        "100 Continue came behind the answer: the client reads it as the "
        "beginning of its next answer."
    )
    assert talk.state == "done", (
        "The answer was sent, so nothing is due; send_continue changed that."
    )


def test_the_table_is_obeyed(answer, monkeypatch):
    monkeypatch.delitem(answer.TURNS, ROW, raising=False)
    talk = writer(answer)
    try:
        said = talk.send_continue()
    except KeyError:
        said = b""
    assert said == b"", (
        "The row was taken out of TURNS, and 100 Continue is sent all the "
        "same: the method does not look into the table."
    )


def test_a_client_that_was_not_told_cannot_be_kept(answer):
    sent = writer(answer).send_response()
    assert b"connection: close" in sent, (
        "Nobody told this client to go on. It may send its body or not, so "
        "nobody knows where its next request begins: close."
    )


@pytest.mark.parametrize("field", [EXPECT, b""])
def test_all_others_are_kept(answer, field):
    talk = writer(answer, field)
    talk.send_continue()
    assert b"connection: close" not in talk.send_response(), (
        "This client was told to go on, or never asked: its body will come, "
        "and the connection can be kept."
    )
