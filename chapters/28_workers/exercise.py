"""Renew the workers of a server: a rolling restart.

    renew(workers, start) is called when somebody has deployed new code.

workers: a list, one worker in each place. `await start()` starts another
worker and returns it. `await worker.ready()` returns True when it serves, and
False if it ended before it did. `await worker.stop()` tells it to finish what
it has begun, and returns when it has ended.

There must never be fewer workers that serve than there were before, and never
more than one too many. If a new one does not start, all stays as it is, but
for the places that have been renewed already; then return False, else True.
"""


async def renew(workers, start):
    """Replace each worker in the list by a new one."""
    for place, worker in enumerate(workers):
        await worker.stop()
        workers[place] = await start()
    return True
