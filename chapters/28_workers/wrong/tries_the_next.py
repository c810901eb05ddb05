"""The same mistake is started again and again."""


async def renew(workers, start):
    """Replace each worker in the list by a new one."""
    good = True
    for place, worker in enumerate(list(workers)):
        follower = await start()
        if await follower.ready():
            workers[place] = follower
            await worker.stop()
        else:
            good = False
    return good
