"""Lifespan: startup, shutdown, and applications that do not want either."""

import asyncio
import contextvars
import functools
import logging

import pytest

from asgi_ref.contract import ContractError
from asgi_ref.lifespan import Lifespan, StartupFailed

PATIENCE = 10  # seconds before something that never comes is an error

STARTED = {"type": "lifespan.startup.complete"}
STOPPED = {"type": "lifespan.shutdown.complete"}


def on_a_loop(test):
    """Run a coroutine function as a plain, bounded test."""

    @functools.wraps(test)
    def run(*arguments, **named):
        asyncio.run(asyncio.wait_for(test(*arguments, **named), PATIENCE))

    return run


@pytest.fixture
def logged(caplog):
    """What the server logs, whatever logging was set up before."""
    log = logging.getLogger("asgi_ref")
    before = log.level, log.propagate
    log.addHandler(caplog.handler)
    log.setLevel(logging.INFO)
    log.propagate = False
    yield caplog
    log.level, log.propagate = before
    log.removeHandler(caplog.handler)


def found(logged, level):
    return [r.getMessage() for r in logged.records if r.levelname == level]


async def polite(scope, receive, send):
    """Do everything right, and note it in the state."""
    said = scope["state"].setdefault("said", [])
    said.append((await receive())["type"])
    await send(STARTED)
    said.append((await receive())["type"])
    await send(STOPPED)


@on_a_loop
async def test_startup_and_shutdown(logged):
    lifespan = Lifespan(polite)
    await lifespan.startup()
    assert lifespan.state["said"] == ["lifespan.startup"]
    await lifespan.shutdown()
    assert lifespan.state["said"] == ["lifespan.startup", "lifespan.shutdown"]
    assert found(logged, "INFO")[0].startswith("startup   lifespan complete")
    assert not found(logged, "ERROR")


@on_a_loop
async def test_the_scope():
    scopes = []

    async def app(scope, receive, send):
        scopes.append(scope)
        await polite(scope, receive, send)

    lifespan = Lifespan(app)
    await lifespan.startup()
    (scope,) = scopes
    assert scope["type"] == "lifespan"
    assert scope["asgi"] == {"version": "3.0", "spec_version": "2.0"}
    assert scope["state"] is lifespan.state
    assert set(scope) == {"type", "asgi", "state"}
    await lifespan.shutdown()


@on_a_loop
async def test_startup_waits_for_the_application():
    open_now = asyncio.Event()

    async def app(scope, receive, send):
        await receive()
        await open_now.wait()
        await send(STARTED)
        await receive()

    lifespan = Lifespan(app)
    starting = asyncio.create_task(lifespan.startup())
    for _ in range(10):
        await asyncio.sleep(0)
    assert not starting.done()
    open_now.set()
    await starting


@on_a_loop
async def test_context_variables_do_not_leak_into_the_server():
    variable = contextvars.ContextVar("variable", default="outside")

    async def app(scope, receive, send):
        variable.set("inside")
        await polite(scope, receive, send)

    lifespan = Lifespan(app)
    await lifespan.startup()
    assert variable.get() == "outside"
    await lifespan.shutdown()


@on_a_loop
async def test_off_does_not_ask():
    async def app(scope, receive, send):
        raise AssertionError("it was asked")

    lifespan = Lifespan(app, "off")
    await lifespan.startup()
    await lifespan.shutdown()


@pytest.mark.parametrize("mode", ["auto", "on"])
@on_a_loop
async def test_startup_failed(mode):
    async def app(scope, receive, send):
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no db"})

    with pytest.raises(StartupFailed, match="no db"):
        await Lifespan(app, mode).startup()


@on_a_loop
async def test_startup_failed_without_a_message():
    async def app(scope, receive, send):
        await send({"type": "lifespan.startup.failed"})

    with pytest.raises(StartupFailed, match="application said so"):
        await Lifespan(app).startup()


@pytest.mark.parametrize(
    "message", ["", "Traceback (most recent call last):\n ...\nOSError: no"]
)
@on_a_loop
async def test_a_traceback_as_a_message_becomes_one_line(message):
    """So frameworks do it: they say "failed", and raise."""

    async def app(scope, receive, send):
        event = {"type": "lifespan.startup.failed", "message": message}
        await send(event)
        raise OSError("no db")

    with pytest.raises(StartupFailed, match=r"^OSError: no db \(test_life"):
        await Lifespan(app).startup()


@on_a_loop
async def test_failed_counts_even_if_the_application_raises_after_it():
    async def app(scope, receive, send):
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no db"})
        raise RuntimeError("and more")

    with pytest.raises(StartupFailed, match="no db"):
        await Lifespan(app).startup()


async def refuses(scope, receive, send):
    assert scope["type"] == "http", "only http here"


async def fails_to_start(scope, receive, send):
    await receive()
    raise OSError("db is down")


async def returns_early(scope, receive, send):
    pass


async def answers_as_if_it_were_http(scope, receive, send):
    await send({"type": "http.response.start", "status": 200})


UNSUPPORTED = [
    (refuses, "AssertionError: only http here"),
    (fails_to_start, "OSError: db is down (test_lifespan.py:"),
    (returns_early, "returned early"),
    (answers_as_if_it_were_http, "unknown message 'http.response.start'"),
]


@pytest.mark.parametrize(("app", "text"), UNSUPPORTED)
@on_a_loop
async def test_auto_goes_on_without_lifespan_and_says_why(app, text, logged):
    lifespan = Lifespan(app, "auto")
    await lifespan.startup()
    (warning,) = found(logged, "WARNING")
    assert text in warning
    await lifespan.shutdown()
    assert not found(logged, "ERROR")


@pytest.mark.parametrize(("app", "text"), UNSUPPORTED)
@on_a_loop
async def test_on_insists(app, text):
    with pytest.raises(StartupFailed) as raised:
        await Lifespan(app, "on").startup()
    assert text in str(raised.value)


@on_a_loop
async def test_an_application_that_is_cancelled_does_not_hang_the_server():
    async def app(scope, receive, send):
        await receive()
        raise asyncio.CancelledError

    lifespan = Lifespan(app)
    starting = asyncio.create_task(lifespan.startup())
    done, _ = await asyncio.wait([starting], timeout=1)
    assert done


@on_a_loop
async def test_an_application_that_ends_while_the_server_runs(logged):
    end = asyncio.Event()

    async def app(scope, receive, send):
        await receive()
        await send(STARTED)
        await end.wait()
        raise RuntimeError("lost the db")

    lifespan = Lifespan(app)
    await lifespan.startup()
    end.set()
    for _ in range(10):
        await asyncio.sleep(0)
    (error,) = found(logged, "ERROR")
    assert "lost the db" in error
    await lifespan.shutdown()


@on_a_loop
async def test_shutdown_failed(logged):
    async def app(scope, receive, send):
        await receive()
        await send(STARTED)
        await receive()
        await send({"type": "lifespan.shutdown.failed", "message": "stuck"})

    lifespan = Lifespan(app)
    await lifespan.startup()
    await lifespan.shutdown()
    (error,) = found(logged, "ERROR")
    assert "stuck" in error


@on_a_loop
async def test_raising_at_shutdown(logged):
    async def app(scope, receive, send):
        await receive()
        await send(STARTED)
        await receive()
        raise RuntimeError("stuck")

    lifespan = Lifespan(app)
    await lifespan.startup()
    await lifespan.shutdown()
    (error,) = found(logged, "ERROR")
    assert "RuntimeError: stuck (test_lifespan.py:" in error


@on_a_loop
async def test_returning_at_shutdown_without_a_word_ends_it():
    async def app(scope, receive, send):
        await receive()
        await send(STARTED)
        await receive()

    lifespan = Lifespan(app)
    await lifespan.startup()
    await lifespan.shutdown()


@pytest.mark.parametrize(
    "messages",
    [
        (STOPPED,),
        (STARTED, STARTED),
        (STARTED, STOPPED),
        ({"type": "lifespan.startup"},),
        ({"type": "lifespan.startup.failed", "message": 1},),
        (None,),
    ],
)
@on_a_loop
async def test_a_wrong_message_is_raised_where_it_was_sent(messages):
    caught = []

    async def app(scope, receive, send):
        await receive()
        try:
            for message in messages:
                await send(message)
        except ContractError as error:
            caught.append(error)
            raise

    await Lifespan(app).startup()
    for _ in range(10):
        await asyncio.sleep(0)
    assert len(caught) == 1


@on_a_loop
async def test_shutdown_without_startup_does_nothing():
    await Lifespan(polite).shutdown()


@on_a_loop
async def test_an_application_that_wants_to_exit_is_no_end_of_the_wait():
    class Strange(BaseException):
        pass

    for error in (SystemExit("no database"), Strange("odd")):

        async def app(scope, receive, send, error=error):
            await receive()
            raise error

        with pytest.raises(StartupFailed, match=str(error)):
            await Lifespan(app, "on").startup()

        async def late(scope, receive, send, error=error):
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            raise error

        lifespan = Lifespan(late)
        await lifespan.startup()
        await lifespan.shutdown()


@on_a_loop
async def test_a_startup_that_was_given_up_leaves_nothing_behind():
    async def app(scope, receive, send):
        await asyncio.Event().wait()

    before = asyncio.all_tasks()
    lifespan = Lifespan(app)
    starting = asyncio.create_task(lifespan.startup())
    await asyncio.sleep(0)
    starting.cancel()
    await asyncio.wait([starting])
    await lifespan.shutdown()
    if others := asyncio.all_tasks() - before:
        await asyncio.wait(others)
