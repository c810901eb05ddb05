"""Lifespan: the application starts before the server, and stops after it.

    server                               application
    scope {"type": "lifespan"}      ─▶   opens the database
    {"type": "lifespan.startup"}    ─▶
                                    ◀─   {"type": "lifespan.startup.complete"}
    ... requests ...
    {"type": "lifespan.shutdown"}   ─▶   closes the database
                                    ◀─   {"type": "lifespan.shutdown.complete"}

The application runs once, in a task of its own, for as long as the server.
What it puts into scope["state"] is copied into the scope of each request.
Lifespan is optional: an application that raises when it is called with this
scope is served without it, but what it raised is shown.

It does not know about sockets, and it does not end the server.

Source: ASGI lifespan protocol 2.0.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

from .contract import LIFESPAN, App, Message, Scope, check, place

log = logging.getLogger("asgi_ref")


NOTICE = 1.0  # seconds after which a person wants to know what is going on


class StartupFailed(Exception):
    """The application said, or showed, that it cannot start."""


class Lifespan:
    """One application's startup and shutdown.

    mode: "auto" serves an application that does not support lifespan, "on"
    insists on it, "off" does not ask.
    """

    def __init__(self, app: App, mode: str = "auto") -> None:
        self.state: dict[str, Any] = {}
        self._app = app
        self._mode = mode
        self._stage = "starting"  # see contract.LIFESPAN.order
        self._message = ""
        self._moved = asyncio.Event()
        self._inbox: asyncio.Queue[Message] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    async def startup(self) -> None:
        """Start the application and wait until it is ready.

        Raises StartupFailed.
        """
        if self._mode == "off":
            return
        began = time.perf_counter()
        self._task = asyncio.create_task(self._run())
        await self._tell("lifespan.startup")
        if self._stage == "failed":
            # Frameworks raise after they have said so: that says where.
            await asyncio.wait([self._task], timeout=NOTICE)
            self._task.cancel()
            raise StartupFailed(last_line(self._message))
        if self._stage == "raised":
            if self._mode == "on":
                raise StartupFailed(self._message)
            log.warning(
                "startup   no lifespan: %s; served all the same"
                " (--lifespan on insists)",
                self._message,
            )
        else:
            took = 1000 * (time.perf_counter() - began)
            log.info("startup   lifespan complete, %.0f ms", took)

    async def shutdown(self) -> None:
        """Tell the application to stop and wait until it has."""
        if self._task is None:
            return
        if self._stage == "started":
            self._stage = "stopping"
            await self._tell("lifespan.shutdown")
            if self._stage in ("failed", "raised"):
                log.error("shutdown  failed: %s", last_line(self._message))
        elif self._stage == "starting":
            self._task.cancel()

    async def _tell(self, kind: str) -> None:
        self._moved.clear()
        self._inbox.put_nowait({"type": kind})
        note = asyncio.get_running_loop().call_later(
            NOTICE, log.info, "lifespan  waiting for the app, after %s", kind
        )
        try:
            await self._moved.wait()
        finally:
            note.cancel()

    async def _run(self) -> None:
        scope: Scope = {
            "type": "lifespan",
            "asgi": {"version": "3.0", "spec_version": "2.0"},
            "state": self.state,
        }
        try:
            await self._app(scope, self._inbox.get, self._send)
        except GeneratorExit:
            raise
        except BaseException as error:  # sys.exit() ends no server
            said = self._message.strip()
            if self._stage == "failed" and ("\n" in said or not said):
                self._message = place(error)  # it was a whole traceback
            self._ended("raised", place(error))
        else:
            self._ended("raised", "the application returned early")

    def _ended(self, stage: str, message: str) -> None:
        stopped = self._task is not None and self._task.cancelling()
        if self._stage == "started" and not stopped:
            log.error("lifespan  the app ended it: %s", message)
        if self._stage in ("starting", "started", "stopping"):
            self._stage, self._message = stage, message
        self._moved.set()

    async def _send(self, message: Message) -> None:
        self._stage = check(LIFESPAN, self._stage, message)
        self._message = message.get("message", "")
        self._moved.set()


def last_line(message: str) -> str:
    """Return what matters of a message that may be a whole traceback."""
    lines = message.strip().splitlines() or ["the application said so"]
    return lines[-1]
