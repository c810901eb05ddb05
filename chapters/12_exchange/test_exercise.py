"""The check: what a client sees of an application that fails."""

import asyncio

import pytest

START = {"type": "http.response.start", "status": 200}
PART = {"type": "http.response.body", "body": b"half", "more_body": True}
REST = {"type": "http.response.body", "body": b" and half"}
REFUSED = b"HTTP/1.1 500\r\n\r\nsorry"
HALF = b"HTTP/1.1 200\r\n\r\nhalf"


def app_of(*messages, error=None):
    """Return an application that sends this, and then raises or returns."""

    async def app(send):
        for message in messages:
            await send(message)
        if error is not None:
            raise error

    return app


def exchange_after(answer, app):
    """Run an application; return its exchange."""
    exchange = answer.Exchange()
    try:
        asyncio.run(exchange.run(app))
    except RuntimeError:
        pytest.fail(
            "What the application raised came out of run: it would end the "
            "connection's task, and the client waits for an answer."
        )
    return exchange


def test_an_answer_is_left_alone(answer):
    exchange = exchange_after(answer, app_of(START, PART, REST))
    assert exchange.written == HALF + b" and half", (
        "This application answered in full, and its answer was changed."
    )
    assert (exchange.cut, exchange.log) == (False, []), (
        "Nothing was wrong with this application: nothing to cut, nothing "
        "to log."
    )


def test_a_silent_application(answer):
    exchange = exchange_after(answer, app_of())
    assert exchange.written == REFUSED, (
        "The application returned without an answer, and so does the "
        "server: the client waits for ever. Say 500."
    )
    assert exchange.log, "Who reads the log should learn that it returned."


def test_an_error_before_the_start(answer):
    exchange = exchange_after(answer, app_of(error=RuntimeError("gone")))
    assert exchange.written == REFUSED, (
        "The application raised before it sent anything: say 500."
    )
    assert "gone" in str(exchange.log), (
        "What the application raised is nowhere to be read: put it into log."
    )


@pytest.mark.parametrize("error", [RuntimeError("gone"), None])
def test_a_start_that_was_not_written(answer, error):
    exchange = exchange_after(answer, app_of(START, error=error))
    assert (exchange.written, exchange.cut) == (REFUSED, False), (
        "The start was sent by the application, and not written by us. The "
        "client has no byte yet, so this can still be a 500."
    )


@pytest.mark.parametrize("error", [RuntimeError("gone"), None])
def test_the_middle_of_an_answer(answer, error):
    exchange = exchange_after(answer, app_of(START, PART, error=error))
    assert exchange.written == HALF, (
        "The client has a 200 and half a body. What is written now it takes "
        "for the other half: a second head, in the middle of its page."
    )
    assert exchange.cut, (
        "The client has half a body and will never get the rest. Set cut: "
        "an end that looks orderly would make the half a whole."
    )
    assert exchange.log, "Who reads the log should learn what happened."


def test_an_error_after_the_answer(answer):
    app = app_of(START, PART, REST, error=RuntimeError("gone"))
    exchange = exchange_after(answer, app)
    assert (exchange.written, exchange.cut) == (HALF + b" and half", False), (
        "The client has all of it. What fails afterwards, as a background "
        "task may, is no business of its."
    )
    assert exchange.log, "The error after the answer is lost: log it."


def test_a_cancelled_task_ends(answer):
    """The server stops, and cancels what is still under way."""

    async def app(send):
        await asyncio.Event().wait()

    async def stop():
        task = asyncio.create_task(answer.Exchange().run(app))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        return task.cancelled()

    assert asyncio.run(stop()), (
        "The server cancelled this task. Run kept the CancelledError "
        "for itself: a server that stops would never get rid of it."
    )
