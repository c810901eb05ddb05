"""A second application began in the middle of the first."""

import asyncio
from concurrent.futures import ThreadPoolExecutor


class Bridge:
    """Calls an application and sends what it yields."""

    def __init__(self, app, threads):
        self.app = app
        self.pool = ThreadPoolExecutor(threads)

    async def __call__(self, send):
        """Serve one client; return when the last piece is sent."""
        loop = asyncio.get_running_loop()
        result = await loop.run_in_executor(self.pool, self.app)
        pieces = iter(result)
        while True:
            work = self.pool, next, pieces, None
            piece = await loop.run_in_executor(*work)
            if piece is None:
                break
            await send(piece)
