"""The check: conversations about jobs, right ones and wrong ones."""

import pytest

from asgi_ref.contract import HTTP, Contract, ContractError, Order, check

ACCEPT = {"type": "job.accept", "seconds": 60}
REFUSE = {"type": "job.refuse"}
PROGRESS = {"type": "job.progress", "percent": 12.5}
PIECE = {"type": "job.result", "data": b"film", "more_data": True}
RESULT = {"type": "job.result", "data": b"film"}
FAILED = {"type": "job.failed", "message": "the disk is full"}


def told(messages):
    """Return a conversation in words."""
    flags = {True: " + more_data"}
    return ", then ".join(
        message["type"] + flags.get(message.get("more_data"), "")
        for message in messages
    )


def state_after(answer, messages):
    """Return the state after a right conversation."""
    state = "new"
    for number, message in enumerate(messages, 1):
        try:
            state = check(answer.JOB, state, message)
        except ContractError as error:
            pytest.fail(
                f"This conversation keeps to the rules: "
                f"{told(messages[:number])}. Your table refuses its last "
                f"message: {error}"
            )
    return state


def refusal(answer, messages):
    """Return why the last message is refused, or None if it is not."""
    *before, last = messages
    state = state_after(answer, before)
    try:
        check(answer.JOB, state, last)
    except ContractError as error:
        return str(error)
    return None


def test_a_key_that_may_be_left_out(answer):
    refused = refusal(answer, (REFUSE,))
    assert refused is None or "without" not in refused, (
        "Rule 2: a reason may be left out. A Key without a default is "
        "required, and so is one whose default is of none of its types."
    )


@pytest.mark.parametrize(
    "messages",
    [
        (REFUSE,),
        ({**REFUSE, "reason": "too long"},),
        (ACCEPT, RESULT),
        (ACCEPT, {"type": "job.result"}),
        (ACCEPT, {**RESULT, "more_data": False}),
        (ACCEPT, PROGRESS, {**PROGRESS, "percent": 99}, RESULT),
        (ACCEPT, PROGRESS, FAILED),
        (ACCEPT, FAILED),
        (ACCEPT, PIECE, RESULT),
        (ACCEPT, PROGRESS, PIECE, PIECE, {"type": "job.result"}),
        (ACCEPT, PIECE, FAILED),
    ],
)
def test_a_right_conversation(answer, messages):
    state = state_after(answer, messages)
    left = answer.due(answer.JOB, state)
    assert left == [], (
        f"After this the job is over, and nothing may be due: "
        f"{told(messages)}. Your state is {state!r}; no row may lead out of "
        "it."
    )


def test_a_piece_is_not_the_end(answer):
    piece = state_after(answer, (ACCEPT, PIECE))
    assert piece != state_after(answer, (ACCEPT, RESULT)), (
        "A piece with more_data True ends the job, as the last one does: name "
        "the key that changes the order, Keys(..., flag=...)."
    )


@pytest.mark.parametrize(
    ("messages", "rule"),
    [
        ((PROGRESS,), "Rule 1: before an acceptance there is no progress."),
        ((RESULT,), "Rule 1: before an acceptance there is no result."),
        ((FAILED,), "Rule 6: a job that was not accepted cannot fail."),
        ((ACCEPT, ACCEPT), "Rule 1: a job is accepted once."),
        ((ACCEPT, REFUSE), "Rule 1: what was accepted cannot be refused."),
        ((REFUSE, ACCEPT), "Rule 2: a refusal ends the job."),
        ((REFUSE, REFUSE), "Rule 2: a refusal ends the job."),
        ((ACCEPT, RESULT, RESULT), "Rule 4: the last piece ends the job."),
        ((ACCEPT, RESULT, FAILED), "Rule 6: what is over cannot fail."),
        (
            (ACCEPT, PIECE, PROGRESS),
            "Rule 5: after a piece of the result there is no progress.",
        ),
        ((ACCEPT, FAILED, RESULT), "Rule 6: a failure ends the job."),
    ],
)
def test_a_wrong_order(answer, messages, rule):
    sentence = refusal(answer, messages)
    assert sentence is not None, (
        f"{rule} Your table allows {told(messages)}; find the row that does."
    )
    assert "state: " in sentence, (
        "The last message is right in itself and comes at a wrong time, but "
        f"it is refused for something else: {sentence}"
    )


@pytest.mark.parametrize(
    ("before", "message", "wanted"),
    [
        ((), {"type": "job.accept"}, 'job.accept without "seconds"'),
        (
            (),
            {**ACCEPT, "seconds": "60"},
            "job.accept: \"seconds\" must be int; got '60'",
        ),
        (
            (),
            {**REFUSE, "reason": 5},
            'job.refuse: "reason" must be str; got 5',
        ),
        (
            (ACCEPT,),
            {"type": "job.progress"},
            'job.progress without "percent"',
        ),
        (
            (ACCEPT,),
            {**PROGRESS, "percent": "half"},
            "job.progress: \"percent\" must be int or float; got 'half'",
        ),
        (
            (ACCEPT,),
            {"type": "job.result", "data": "film"},
            'job.result: "data" must be bytes or bytearray or memoryview; '
            "got 'film'",
        ),
        (
            (ACCEPT,),
            {**RESULT, "more_data": "no"},
            "job.result: \"more_data\" must be bool; got 'no'",
        ),
        ((ACCEPT,), {"type": "job.failed"}, 'job.failed without "message"'),
    ],
)
def test_a_wrong_message(answer, before, message, wanted):
    sentence = refusal(answer, (*before, message))
    assert sentence == wanted, (
        f"{message} breaks a rule, and the sentence for it is {wanted!r}. "
        f"With your Keys it is {sentence!r}."
    )


@pytest.mark.parametrize(
    ("messages", "wanted"),
    [
        ((), {"job.accept", "job.refuse"}),
        (
            (ACCEPT,),
            {
                "job.progress",
                "job.result + more_data",
                "job.result",
                "job.failed",
            },
        ),
        (
            (ACCEPT, PIECE),
            {"job.result + more_data", "job.result", "job.failed"},
        ),
    ],
    ids=["new", "accepted", "a piece"],
)
def test_what_is_due(answer, messages, wanted):
    found = answer.due(answer.JOB, state_after(answer, messages))
    assert set(found) == wanted, (
        "An application that returns here has left the job undone: `due` "
        "has to list the events that a row allows from this state."
    )


def test_due_reads_the_table_that_it_is_given(answer):
    poll = Order({("asked", "poll.vote"): "voted"})
    found = [
        answer.due(Contract({}, {}, poll), state)
        for state in ("asked", "voted")
    ]
    assert found == [["poll.vote"], []], (
        "`due` was given the table of another protocol and spoke of jobs, or "
        "of nothing: read the rows of contract.order, do not write them down "
        "a second time."
    )
    assert answer.due(HTTP, "sending"), (
        'For HTTP in the state "sending" something is due: this is how '
        "`half` would have been noticed."
    )
