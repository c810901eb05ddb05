"""Will say nothing more: the server never opens."""

import asyncio


class StartupFailed(Exception):
    """The application said that it cannot start."""


class Lifespan:
    """One application's startup. state: what it keeps for its requests."""

    def __init__(self, app):
        self.app = app
        self.state = {}
        self.supported = True
        self.failed = None
        self.ready = asyncio.Event()

    async def startup(self):
        """Call the application; wait until it is known what becomes of it."""
        self.task = asyncio.create_task(self.run())
        await self.ready.wait()
        if self.failed is not None:
            raise StartupFailed(self.failed)

    async def run(self):
        """Talk to the application."""
        scope = {"type": "lifespan", "state": self.state}
        try:
            await self.app(scope, self.receive, self.send)
        except Exception as error:
            print("no lifespan:", repr(error))
            self.supported = False

    async def receive(self):
        """Return the only message that there is."""
        return {"type": "lifespan.startup"}

    async def send(self, message):
        """Take in what the application says."""
        if message["type"] == "lifespan.startup.failed":
            self.failed = message.get("message", "")
        self.ready.set()

    def state_of_request(self):
        """Return the state for one request's scope."""
        return self.state.copy()
