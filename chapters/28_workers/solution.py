"""One good answer."""


async def renew(workers, start):
    """Replace each worker in the list by a new one."""
    for place, worker in enumerate(list(workers)):
        follower = await start()
        if not await follower.ready():
            return False
        workers[place] = follower
        await worker.stop()
    return True
