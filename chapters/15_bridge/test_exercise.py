"""The check: who waits for whom, and in which thread."""

import asyncio
import threading

PATIENCE = 2  # seconds before an application gives up
GLANCE = 0.2  # seconds in which something forbidden may show itself


async def ignore(piece):
    """Send a piece to nobody."""


async def see(event):
    """Say whether an event is set within a glance; the loop goes on."""
    return await asyncio.to_thread(event.wait, GLANCE)


def test_pieces_arrive_in_order(answer):
    got = []

    async def send(piece):
        got.append(piece)

    bridge = answer.Bridge(lambda: iter([b"a", b"b", b"c"]), 1)
    asyncio.run(bridge(send))
    assert b"".join(got) == b"abc", (
        f"The application yielded a, b and c; the client got {got}."
    )


def test_the_loop_goes_on(answer):
    came = []

    async def main():
        loop, turn = asyncio.get_running_loop(), threading.Event()

        def app():
            loop.call_soon_threadsafe(turn.set)
            came.append(turn.wait(PATIENCE))
            return [b"done"]

        await answer.Bridge(app, 1)(ignore)

    asyncio.run(main())
    assert came == [True], (
        "While the application waited, nothing else had a turn on the loop: "
        "no second client, no timer. Call it in a thread."
    )


def test_a_piece_is_sent_before_the_next_is_made(answer):
    events = []

    def app():
        events.append("made 1")
        yield b"1"
        events.append("made 2")
        yield b"2"

    async def send(piece):
        events.append(f"sent {piece.decode()}")

    asyncio.run(answer.Bridge(app, 1)(send))
    wanted = ["made 1", "sent 1", "made 2", "sent 2"]
    assert events == wanted, (
        "The second piece was made before the first was sent. Whoever looks "
        "at a stream would see nothing until it has ended."
    )


def test_a_slow_client_slows_the_application(answer):
    made_another = threading.Event()
    seen = []

    def app():
        yield b"1"
        made_another.set()
        yield b"2"

    async def send(piece):
        if not seen:
            seen.append(await see(made_another))

    asyncio.run(answer.Bridge(app, 1)(send))
    assert seen == [False], (
        "Nobody waited for the client: while it was taking the first piece, "
        "the application made another. A client that reads nothing would "
        "have the whole stream in your memory."
    )


def test_one_application_keeps_its_thread(answer):
    """Of one thread: who asks in the middle waits for the end."""
    calls, events, tasks = [], [], []

    def app():
        calls.append(1)
        name = "first" if len(calls) == 1 else "second"
        events.append(f"{name} begins")
        yield b"1"
        yield b"2"
        events.append(f"{name} ends")

    async def main():
        bridge = answer.Bridge(app, 1)

        async def send(piece):
            if not tasks:
                tasks.append(asyncio.create_task(bridge(ignore)))
                await asyncio.sleep(0)  # it is asked for now

        await bridge(send)
        await asyncio.gather(*tasks)

    asyncio.run(main())
    assert events[:2] == ["first begins", "first ends"], (
        "A second application began in the middle of the first, in a pool of "
        "one thread. Between two pieces the thread was given away, and with "
        "it what belongs to a thread, such as a connection to SQLite."
    )


def test_the_threads_are_bounded(answer):
    both, too_many = threading.Semaphore(0), threading.Event()
    gate, inside = threading.Event(), []

    def app():
        inside.append(1)
        if len(inside) > 2:
            too_many.set()
        both.release()
        gate.wait(PATIENCE)
        inside.pop()
        return [b"done"]

    async def main():
        bridge = answer.Bridge(app, 2)
        tasks = [asyncio.create_task(bridge(ignore)) for _ in range(3)]
        for _ in range(2):
            await asyncio.to_thread(both.acquire, timeout=PATIENCE)
        found = await see(too_many)
        gate.set()
        await asyncio.gather(*tasks)
        return found

    assert asyncio.run(main()) is False, (
        "Three applications ran at a time; `threads` was 2. Use the pool: a "
        "thread for each client is what a bound is there to prevent."
    )


def test_who_waits_is_served_in_order(answer):
    count = iter(range(1, 4))
    got = []

    def app():
        yield b"%d" % next(count)

    async def main():
        bridge = answer.Bridge(app, 1)

        async def ask(name):
            async def send(piece):
                got.append((name, piece))

            await bridge(send)

        await asyncio.gather(*[ask(name) for name in "abc"])

    asyncio.run(main())
    assert got == [("a", b"1"), ("b", b"2"), ("c", b"3")], (
        "Three clients asked one after the other, and were not served in "
        f"that order: {got}."
    )


def test_an_error_comes_out(answer):
    def app():
        yield b"1"
        raise OSError("the disk is full")

    said = "nothing"
    try:
        asyncio.run(answer.Bridge(app, 1)(ignore))
    except OSError as error:
        said = str(error)
    assert said == "the disk is full", (
        "The application raised, and the call returned as if all was sent: "
        "the server would tell the client that this is the whole body."
    )
