"""Start an application, and hear what it has to say.

    it sends lifespan.startup.complete    startup returns
    it sends lifespan.startup.failed      StartupFailed, with its message
    it raises, or returns                 no lifespan: startup returns, and
                                          `supported` is False

And each request gets a state of its own: what it sets is not seen by the next
one, what startup has made is seen by all.
"""

import asyncio


class StartupFailed(Exception):
    """The application said that it cannot start."""


class Lifespan:
    """One application's startup. state: what it keeps for its requests."""

    def __init__(self, app):
        self.app = app
        self.state = {}
        self.supported = True
        self.ready = asyncio.Event()

    async def startup(self):
        """Call the application; wait until it is known what becomes of it."""
        self.task = asyncio.create_task(self.run())
        await self.ready.wait()

    async def run(self):
        """Talk to the application."""
        scope = {"type": "lifespan", "state": self.state}
        await self.app(scope, self.receive, self.send)

    async def receive(self):
        """Return the only message that there is."""
        return {"type": "lifespan.startup"}

    async def send(self, message):
        """Take in what the application says."""
        self.ready.set()

    def state_of_request(self):
        """Return the state for one request's scope."""
        return self.state
