"""The check: three workers are renewed, and somebody always serves."""

import asyncio

import pytest


class House:
    """Workers that are no processes: who serves, and who ever did."""

    def __init__(self, broken=()):
        self.broken = broken
        self.alive, self.serving = set(), set()
        self.started = 0
        self.fewest = self.most = None
        self.early = False

    async def start(self):
        self.started += 1
        worker = Worker(self, self.started)
        self.alive.add(worker)
        self.look()
        return worker

    def look(self):
        """Remember the fewest that serve and the most that live."""
        if self.fewest is not None:
            self.fewest = min(self.fewest, len(self.serving))
            self.most = max(self.most, len(self.alive))


class Worker:
    """One of them. number: the how-manieth that was started."""

    def __init__(self, house, number):
        self.house, self.number = house, number

    async def ready(self):
        for _ in range(3):
            await asyncio.sleep(0)  # it imports the application
        if self.number in self.house.broken:
            self.house.alive.discard(self)
            return False
        if self in self.house.alive:
            self.house.serving.add(self)
        return True

    async def stop(self):
        self.house.serving.discard(self)
        self.house.look()
        for _ in range(3):
            await asyncio.sleep(0)  # it finishes what it has begun
        self.house.alive.discard(self)


def renewed(answer, broken=()):
    """Renew three workers; return the house, and what came of it."""

    async def run():
        house = House(broken)
        workers = [await house.start() for _ in range(3)]
        for worker in workers:
            await worker.ready()
        house.fewest = house.most = 3
        before = list(workers)
        try:
            renewing = answer.renew(workers, house.start)
            said = await asyncio.wait_for(renewing, 2)
        except TimeoutError:
            pytest.fail("renew does not come to an end.")
        return house, before, workers, said

    return asyncio.run(run())


def test_all_are_renewed(answer):
    house, before, workers, said = renewed(answer)
    assert not set(before) & set(workers), (
        "Some of the old workers are still in the list: they serve the old "
        "code."
    )
    assert not house.alive & set(before), (
        "An old worker was replaced and never told to stop: its process "
        "stays for ever."
    )
    assert len(workers) == 3, f"There were 3 places; now {len(workers)}."
    assert said is True, f"All went well, and renew returned {said!r}."


def test_somebody_always_serves(answer):
    house, _, workers, _ = renewed(answer)
    assert house.serving >= set(workers), (
        "A worker stands in the list that does not serve. It was started, "
        "but nobody has waited until it serves: ask `await ready()`."
    )
    assert house.fewest == 3, (
        f"At one time only {house.fewest} of 3 workers served. Requests that "
        "came then had to wait. Start the follower first, stop the old one "
        "when it is ready."
    )


def test_never_more_than_one_too_many(answer):
    house, *_ = renewed(answer)
    assert house.most <= 4, (
        f"At one time {house.most} processes were there for 3 places. Twice "
        "the processes, and twice the memory: renew one place after the "
        "other."
    )


@pytest.mark.parametrize("broken", [(4, 5, 6, 7), (5, 6, 7)])
def test_a_follower_that_does_not_start(answer, broken):
    house, before, workers, said = renewed(answer, broken)
    kept = before[broken[0] - 4 :]
    assert said is False, (
        f"A follower did not start, and renew returned {said!r}. Whoever "
        "deployed the new code must learn that it does not run."
    )
    assert workers[broken[0] - 4 :] == kept, (
        "A follower did not start, and the old worker lost its place to it. "
        "It should go on serving."
    )
    assert set(kept) <= house.serving, (
        "An old worker was stopped although its follower did not start: "
        "nobody serves in its place."
    )
    assert house.started == broken[0], (
        f"{house.started - broken[0] + 1} followers were started although the "
        "first of them ended at once. The same mistake is started again and "
        "again: stop at the first one."
    )
