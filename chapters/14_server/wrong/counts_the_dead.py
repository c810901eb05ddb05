"""The first client was done, and still takes its place."""

import asyncio


class Server:
    """clients: the task of each client that is served, and the client."""

    def __init__(self, limit):
        self.limit = limit
        self.clients = {}

    def attend(self, client):
        """Serve a client in a task of its own, or refuse it."""
        if len(self.clients) >= self.limit:
            client.refuse()
            return
        task = asyncio.create_task(client.serve())
        self.clients[task] = client

    async def stop(self, patience):
        """End in good order; return how many clients had to be cancelled."""
        for client in self.clients.values():
            if client.idle:
                client.leave()
        if not self.clients:
            return 0
        _, late = await asyncio.wait(set(self.clients), timeout=patience)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late)
        return len(late)
