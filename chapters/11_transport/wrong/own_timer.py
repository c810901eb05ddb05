"""The sweeper came by after the deadline, and the read still waits."""

import asyncio
import math

HIGH_WATER = 8  # unsent bytes above which a writer waits


class TooSlow(TimeoutError):
    """The client sent nothing for too long."""


class Transport:
    """A transport in memory; the client takes what it has time for."""

    def __init__(self, clock):
        self.clock = clock  # call it to know the time
        self.deadline = math.inf  # when a read has taken too long
        self.arrived = b""  # from the client, not read yet
        self.unsent = b""  # for the client, not taken yet
        self.changed = asyncio.Event()  # set: look again

    # The client's side.

    def feed(self, data):
        """Let the client send."""
        self.arrived += data
        self.changed.set()

    def take(self, count):
        """Let the client read so many bytes."""
        taken, self.unsent = self.unsent[:count], self.unsent[count:]
        self.changed.set()
        return taken

    # The server's side.

    def allow(self, seconds):
        """Set the deadline for reading, so many seconds from now."""
        self.deadline = self.clock() + seconds

    def write(self, data):
        """Give the client something; never waits."""
        self.unsent += data

    async def read(self):
        """Return what arrived; wait if nothing did.

        Raises TooSlow: the sweeper came by after the deadline.
        """
        try:
            if self.deadline < math.inf:
                left = self.deadline - self.clock()
                await asyncio.wait_for(self.some(), left)
            else:
                await self.some()
        except TimeoutError:
            raise TooSlow from None
        data, self.arrived = self.arrived, b""
        return data

    async def some(self):
        """Wait until something has arrived."""
        while not self.arrived:
            self.changed.clear()
            await self.changed.wait()

    async def drain(self):
        """Return when at most HIGH_WATER bytes are unsent."""
        while len(self.unsent) > HIGH_WATER:
            self.changed.clear()
            await self.changed.wait()

    def check_time(self, now):
        """Notice a read that takes too long; called by the sweeper."""
