"""Nobody waited for the client."""

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
        pieces = asyncio.Queue()

        def work():
            try:
                for piece in self.app():
                    loop.call_soon_threadsafe(pieces.put_nowait, piece)
            finally:
                loop.call_soon_threadsafe(pieces.put_nowait, None)

        working = loop.run_in_executor(self.pool, work)
        while (piece := await pieces.get()) is not None:
            await send(piece)
        await working
