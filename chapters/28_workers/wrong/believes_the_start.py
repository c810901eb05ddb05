"""It was started, but nobody has waited until it serves."""


async def renew(workers, start):
    """Replace each worker in the list by a new one."""
    for place, worker in enumerate(list(workers)):
        workers[place] = await start()
        await worker.stop()
    return True
