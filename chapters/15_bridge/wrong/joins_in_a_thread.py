"""The second piece was made before the first was sent."""

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

        def work():
            return b"".join(self.app())

        await send(await loop.run_in_executor(self.pool, work))
