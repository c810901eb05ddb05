"""A server that knows how many it can serve, and how to leave.

The clients come from the check. A client has

    client.idle      True while it waits for a next request
    client.leave()   ends an idle client; `serve` returns soon after
    client.refuse()  tells a client that there are too many
    client.serve()   a coroutine: serve this client to its end

Give `attend` a limit, and write `stop`.
"""

import asyncio


class Server:
    """clients: the task of each client that is served, and the client."""

    def __init__(self, limit):
        self.limit = limit  # clients that may be served at a time
        self.clients = {}

    def attend(self, client):
        """Serve a client in a task of its own, or refuse it."""
        task = asyncio.create_task(client.serve())
        self.clients[task] = client

    async def stop(self, patience):
        """End in good order; return how many clients had to be cancelled.

        Who is idle is closed at once. The others have `patience` seconds to
        finish; then they are cancelled.
        """
        return 0
