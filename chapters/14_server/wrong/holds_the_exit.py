"""Only an idle client was there, and stop used up its patience."""

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
        task.add_done_callback(self.clients.pop)

    async def stop(self, patience):
        """End in good order; return how many clients had to be cancelled."""
        if not self.clients:
            return 0
        _, late = await asyncio.wait(set(self.clients), timeout=patience)
        idle = {task for task in late if self.clients[task].idle}
        for task in idle:
            self.clients[task].leave()
        if idle:
            await asyncio.wait(idle)
        late -= idle
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late)
        return len(late)
