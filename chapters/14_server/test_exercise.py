"""The check: a limit that counts the living, and an end in good order."""

import asyncio

LONG = 3600  # seconds: nobody here waits so long


class Client:
    """A client whose request takes some turns of the event loop."""

    def __init__(self, turns=0, idle=False):
        self.turns, self.idle = turns, idle
        self.end = "not served"
        self._left = asyncio.Event()

    async def serve(self):
        self.end = "under way"
        try:
            if self.idle:
                await self._left.wait()
            for _ in range(self.turns):
                await asyncio.sleep(0)
        except asyncio.CancelledError:
            self.end = "cancelled"
            raise
        self.end = "left" if self.idle else "finished"

    def leave(self):
        assert self.idle, (
            "leave() was called for a client in the middle of its answer; it "
            "is for those who are idle."
        )
        self._left.set()

    def refuse(self):
        self.end = "refused"


class Loop(asyncio.SelectorEventLoop):
    """Where nothing can happen any more, the clock jumps ahead."""

    ahead = 0

    def time(self):
        return super().time() + self.ahead

    def _run_once(self):
        if not self._ready and self._scheduled:
            self.ahead += max(0, self._scheduled[0].when() - self.time())
        super()._run_once()


def run(scene):
    """Run a scene on a loop where long waits take no time."""
    with asyncio.Runner(loop_factory=Loop) as runner:
        return runner.run(scene())


async def turn(times=3):
    for _ in range(times):
        await asyncio.sleep(0)


def test_one_too_many(answer):
    async def scene():
        server = answer.Server(limit=2)
        clients = [Client(idle=True) for _ in range(3)]
        for client in clients:
            server.attend(client)
        await turn()
        return [client.end for client in clients]

    assert run(scene) == ["under way", "under way", "refused"], (
        "The limit is 2 and three came: two are served, the third is refused."
    )


def test_the_limit_counts_the_living(answer):
    async def scene():
        server = answer.Server(limit=1)
        first, second = Client(turns=1), Client(turns=1)
        server.attend(first)
        await turn(9)
        server.attend(second)
        await turn(9)
        return second.end

    assert run(scene) == "finished", (
        "The second client was refused. The first client was done, and still "
        "takes its place: after a day this server refuses everybody."
    )


def ended(answer, *clients_of, patience=LONG):
    """Return the ends of clients that are there when a server stops."""

    async def scene():
        server = answer.Server(limit=9)
        clients = [make() for make in clients_of]
        for client in clients:
            server.attend(client)
        await turn()
        asked = asyncio.get_running_loop().time()
        count = await server.stop(patience)
        took = asyncio.get_running_loop().time() - asked
        ends = [client.end for client in clients]
        return ends, count, took > patience / 2

    return run(scene)


def test_idle_clients_are_closed_at_once(answer):
    ends, count, late = ended(answer, lambda: Client(idle=True))
    assert ends == ["left"], (
        f"The idle client was {ends[0]} when stop returned. It has nothing "
        "to finish: call leave(), then wait until its task has ended."
    )
    assert not late, (
        "Only an idle client was there, and stop used up its patience: an "
        "idle client holds the exit."
    )
    assert count == 0, "Nobody was cancelled, and stop counted somebody."


def test_a_request_under_way_is_finished(answer):
    ends, count, _ = ended(answer, lambda: Client(turns=50))
    assert ends == ["finished"], (
        f"A client in the middle of its answer was {ends[0]} when stop "
        "returned: it got half a page. It would have finished in time."
    )
    assert count == 0, "Nobody was cancelled, and stop counted somebody."


def test_patience_has_an_end(answer):
    class Endless(Client):
        async def serve(self):
            try:
                await asyncio.sleep(1000 * LONG)
            except asyncio.CancelledError:
                self.end = "cancelled"
                raise

    ends, count, _ = ended(
        answer, Endless, lambda: Client(turns=5), patience=2
    )
    assert ends == ["cancelled", "finished"], (
        f"One client never ends and one does; they were {' and '.join(ends)}. "
        "After its patience the server cancels who is left, and only those."
    )
    assert count == 1, (
        f"One client had to be cancelled, and stop returned {count}."
    )


def test_nobody_is_there(answer):
    async def scene():
        try:
            return await answer.Server(limit=9).stop(LONG)
        except ValueError as error:
            return error

    assert run(scene) == 0, (
        "Nobody is there, and stop raised or waited: asyncio.wait takes no "
        "empty set."
    )
