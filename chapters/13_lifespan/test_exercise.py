"""The check: four applications start, and two requests share a state."""

import asyncio

import pytest

COMPLETE = {"type": "lifespan.startup.complete"}
FAILED = {"type": "lifespan.startup.failed", "message": "db is down"}


async def shop(scope, receive, send):
    await receive()
    scope["state"]["db"] = ["open"]
    await send(COMPLETE)


async def polite(scope, receive, send):
    await receive()
    await send(FAILED)


async def abrupt(scope, receive, send):
    """Say that it failed, and raise, as Starlette does."""
    await receive()
    await send(FAILED)
    raise ConnectionError("db is down")


async def plain(scope, receive, send):
    raise TypeError(f"what is {scope['type']}?")


async def returns(scope, receive, send):
    if scope["type"] == "lifespan":
        return


def started(answer, app):
    """Start an application; return the Lifespan, or what was raised."""

    async def start():
        lifespan = answer.Lifespan(app)
        try:
            await asyncio.wait_for(lifespan.startup(), 2)
        except TimeoutError:
            pytest.fail(
                f"startup waits for an application ({app.__name__}) that will "
                "say nothing more: the server never opens."
            )
        except answer.StartupFailed as error:
            return error
        except Exception as error:
            pytest.fail(
                f"startup raised {error!r}. An application that raises does "
                "without lifespan; the server must go on."
            )
        finally:
            lifespan.task.cancel()
            await asyncio.gather(lifespan.task, return_exceptions=True)
        return lifespan

    return asyncio.run(start())


def test_an_application_that_is_ready(answer):
    lifespan = started(answer, shop)
    assert lifespan.supported, (
        "The shop said startup.complete, so it does support lifespan."
    )
    assert lifespan.state == {"db": ["open"]}, (
        "What the shop put into the scope's state is what its requests need; "
        "it is lost."
    )


@pytest.mark.parametrize("app", [polite, abrupt])
def test_an_application_that_failed(answer, app):
    error = started(answer, app)
    assert isinstance(error, answer.StartupFailed), (
        "The application said startup.failed, and is served all the same: "
        "each of its requests will fail. Raise StartupFailed."
    )
    assert "db is down" in str(error), (
        "The application said why. Who starts the server wants to read it: "
        "give its message to StartupFailed."
    )


@pytest.mark.parametrize("app", [plain, returns])
def test_an_application_without_lifespan(answer, app):
    lifespan = started(answer, app)
    assert not isinstance(lifespan, answer.StartupFailed), (
        "This application does not know lifespan, and most small ones do "
        "not. It must be served: startup returns."
    )
    assert lifespan.supported is False, (
        "The application raised or returned without a word: supported must "
        "be False, or it will be sent a shutdown that it cannot hear."
    )


def test_a_state_for_each_request(answer):
    lifespan = started(answer, shop)
    first, second = lifespan.state_of_request(), lifespan.state_of_request()
    first["user"] = "ann"
    assert "user" not in second, (
        "The first request set its user, and the second one sees it: whose "
        "orders will it show? Each request needs a state of its own."
    )
    first["db"].append("busy")
    assert second.get("db") == ["open", "busy"], (
        "What startup made is there once and shared, as a pool of "
        "connections must be; here each request got another one."
    )
