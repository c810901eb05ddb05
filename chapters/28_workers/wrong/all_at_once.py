"""Twice the processes, and twice the memory."""

import asyncio


async def renew(workers, start):
    """Replace each worker in the list by a new one."""
    followers = [await start() for _ in workers]
    ready = [await follower.ready() for follower in followers]
    if not all(ready):
        await asyncio.gather(*[follower.stop() for follower in followers])
        return False
    old, workers[:] = list(workers), followers
    await asyncio.gather(*[worker.stop() for worker in old])
    return True
