"""The check: a read that ends in time, and a writer that waits."""

import asyncio
import functools

import pytest

TURN = asyncio.sleep  # kept: one check takes it away from the answer


def on_a_loop(test):
    """Run a coroutine function as a plain test."""

    @functools.wraps(test)
    def run(**named):
        asyncio.run(test(**named))

    return run


class Clock:
    """A clock that moves when it is told to."""

    now = 100.0

    def __call__(self):
        """Return the time."""
        return self.now


async def begin(coroutine):
    """Start a task, and let it run until it waits."""
    task = asyncio.create_task(coroutine)
    await others()
    return task


async def others():
    """Let all others run until they wait."""
    for _ in range(5):
        await TURN(0)


def sweep(transport, now):
    """Look at the time as a server's sweeper does."""
    transport.clock.now = now
    try:
        transport.check_time(now)
    except TimeoutError:
        pytest.fail(
            "TooSlow was raised in the sweeper, which ends it: from now on "
            "no client of this server has a time limit. It is the read that "
            "has to raise."
        )


def expect(condition, message):
    """Fail with this message, and none of pytest's about tasks."""
    if not condition:
        pytest.fail(message)


@on_a_loop
async def test_what_arrives_is_read(answer):
    transport = answer.Transport(Clock())
    transport.allow(5)
    reading = await begin(transport.read())
    sweep(transport, 104.0)
    await others()
    expect(
        not reading.done(),
        "A second is left until the deadline, and the read has ended.",
    )
    transport.feed(b"GET /")
    await others()
    expect(reading.done(), "Bytes have arrived, and the read still waits.")
    assert reading.result() == b"GET /", "These are not the client's bytes."


@on_a_loop
async def test_a_read_ends_after_its_deadline(answer):
    transport = answer.Transport(Clock())
    transport.allow(5)
    reading = await begin(transport.read())
    sweep(transport, 106.0)
    await others()
    expect(
        reading.done(),
        "The sweeper came by after the deadline, and the read still waits: "
        "nobody has told it. No clock but the sweeper's `now` moves here; "
        "check_time must wake the read, and the read must see why.",
    )
    expect(
        isinstance(reading.exception(), answer.TooSlow),
        "The deadline has passed and nothing has arrived: the read must "
        "raise TooSlow.",
    )
    again = await begin(transport.read())
    sweep(transport, 107.0)
    await others()
    expect(
        not again.done(),
        "One deadline has ended two reads. The first one uses it up; the "
        "next is set with `allow`.",
    )
    transport.feed(b"sorry")
    await others()
    expect(
        again.done(),
        "After a read that was too slow, what arrives must be read.",
    )
    assert again.result() == b"sorry", "These are not the client's bytes."


@on_a_loop
async def test_with_room_nobody_waits(answer):
    transport = answer.Transport(Clock())
    transport.write(b"x" * answer.HIGH_WATER)
    writing = await begin(transport.drain())
    expect(
        writing.done(),
        "There is room: HIGH_WATER bytes are unsent, and not more. Waiting "
        "until all is gone would leave the network idle between two writes.",
    )


@on_a_loop
async def test_a_slow_reader_holds_up_who_writes(answer, monkeypatch):
    async def sleep(*_):
        pytest.fail(
            "The route asks again and again, where it could be woken: a "
            "thousand slow clients would keep the thread busy with asking. "
            "`changed` is set when the client takes something; wait for that."
        )

    monkeypatch.setattr(asyncio, "sleep", sleep)
    transport = answer.Transport(Clock())
    transport.write(b"x" * 20)
    writing = await begin(transport.drain())
    if writing.done():
        writing.result()  # the reason, if it failed
    expect(
        not writing.done(),
        "20 bytes are unsent and drain has returned: the route writes on, "
        "and what this client does not read piles up in memory.",
    )
    transport.take(5)
    await others()
    expect(
        not writing.done(),
        "15 bytes are still unsent, more than HIGH_WATER, and drain has "
        "returned because the client took something.",
    )
    transport.take(7)
    await others()
    expect(
        writing.done(),
        "The client has read until 8 bytes are unsent. There is room, and "
        "drain still waits.",
    )


@on_a_loop
async def test_reading_and_writing_wait_together(answer):
    transport = answer.Transport(Clock())
    transport.write(b"x" * 20)
    reading = await begin(transport.read())
    writing = await begin(transport.drain())
    transport.feed(b"hi")
    await others()
    expect(reading.done(), "Bytes have arrived, and the read still waits.")
    expect(
        not writing.done(),
        "Bytes have arrived and none were taken, and drain has returned.",
    )
    transport.take(20)
    await others()
    expect(writing.done(), "All bytes were taken, and drain still waits.")
