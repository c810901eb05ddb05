"""Lifespan: what an application does before the first request, and after."""

import asyncio
import logging
import sys
import textwrap
from contextlib import suppress

sys.path.insert(0, ".")  # the root, where this is run

from asgi_ref.lifespan import Lifespan, StartupFailed


async def plain(scope, receive, send):
    """Know nothing of lifespan, and say so as most would."""
    assert scope["type"] == "http", scope["type"]


async def shop(scope, receive, send):
    """Open a database, and close it."""
    await receive()
    scope["state"]["db"] = "open"
    await send({"type": "lifespan.startup.complete"})
    await receive()
    scope["state"]["db"] = "closed"
    await send({"type": "lifespan.shutdown.complete"})


async def broken(scope, receive, send):
    """Try to open a database."""
    await receive()
    raise ConnectionError("db is down")


async def polite(scope, receive, send):
    """Try, and tell the server what came of it."""
    try:
        await broken(scope, receive, send)
    except ConnectionError as error:
        message = {"type": "lifespan.startup.failed", "message": str(error)}
        await send(message)


async def obvious(app):
    """Start an application; one that raises does without lifespan."""
    ready, inbox = asyncio.Event(), asyncio.Queue()
    scope = {"type": "lifespan", "state": {}}
    inbox.put_nowait({"type": "lifespan.startup"})

    async def send(message):
        ready.set()

    async def run():
        with suppress(Exception):
            await app(scope, inbox.get, send)
        ready.set()

    task = asyncio.create_task(run())
    await ready.wait()
    task.cancel()
    return "served"


async def fails():
    """Start all four of them."""
    for app in plain, shop, broken, polite:
        print(f"{app.__name__}: {await obvious(app)}")


async def started(app, mode):
    """Start an application with our module; say how it went."""
    lifespan = Lifespan(app, mode)
    try:
        await lifespan.startup()
    except StartupFailed as error:
        return f"not served ({error})"
    await lifespan.shutdown()
    return f"served, state {lifespan.state}"


async def two_modes():
    """Start them again; what our log says is printed, too."""
    for mode in "auto", "on":
        print("mode", mode)
        for app in plain, shop, broken, polite:
            print(f"  {app.__name__}: {await started(app, mode)}")


def copies():
    """Change the state in one request, and look at it in the next."""
    state = {"db": "open", "visits": []}
    first, second = state.copy(), state.copy()
    first["user"] = "ann"
    first["visits"].append("ann")
    print("the second request sees", second)


VARYING = {"began", "took"}  # times


async def walk(wire=print):
    """Start the shop, and stop it."""
    lifespan = Lifespan(shop)
    wire("server", {"type": "lifespan.startup"})
    await lifespan.startup()
    wire("shop", {"type": "lifespan.startup.complete"})
    wire("server", {"type": "lifespan.shutdown"})
    await lifespan.shutdown()
    wire("shop", {"type": "lifespan.shutdown.complete"})


def main():
    """Run all of it."""
    logging.basicConfig(
        stream=sys.stdout, format="log: %(message)s", level=logging.WARNING
    )
    logging.getLogger("asgi_ref").addFilter(in_short_lines)
    print("== fails ==")
    asyncio.run(fails())
    print("== two modes ==")
    asyncio.run(two_modes())
    print("== copies ==")
    copies()


def in_short_lines(record):
    """Fold what a log record says."""
    said = record.getMessage()
    record.msg = textwrap.fill(said, 58, subsequent_indent=" " * 5)
    record.args = ()
    return True


if __name__ == "__main__":
    main()
