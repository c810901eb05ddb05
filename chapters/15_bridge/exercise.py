"""A plain function that yields pieces, for a coroutine that sends them.

`app` is smaller than a WSGI application: it takes nothing and returns an
iterable of bytes. It may block, in its call and before each piece. `send` is
a coroutine function that takes one piece.

The bridge below works if only one client asks. Make it keep four promises:

    the loop goes on while an application blocks
    a piece is sent before the application makes the next one
    at most `threads` applications run at a time; others wait, in order
    one application stays in one thread from its call to its last piece

What the application raises comes out of the call.
"""

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
        del loop  # you will need it
        await send(b"".join(self.app()))
