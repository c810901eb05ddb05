"""The check of chapter 02: complete, bounded, searched once."""

import pytest

from asgi_ref.buffer import TooLong

END = b"\r\n\r\n"
HEAD = b"GET / HTTP/1.1\r\nHost: example.org" + END
NEXT = b"GET /2 HTTP/1.0" + END


class Tally:
    """Finds as bytearray does, and counts the bytes that it looked at."""

    def __init__(self):
        self.bytes = 0

    def __call__(self, data, end, start=0, stop=None):
        stop = len(data) if stop is None else min(stop, len(data))
        at = data.find(end, start, stop)
        seen = stop if at < 0 else at + len(end)
        self.bytes += max(0, seen - max(0, start))
        return at


def taken(heads, *pieces):
    """Feed pieces, asking after each; return what came, or TooLong."""
    found = []
    for piece in pieces:
        heads.feed(piece)
        try:
            while (head := heads.next_head()) is not None:
                found.append(head)
        except TooLong:
            return [*found, TooLong]
    return found


def test_cut_anywhere(answer):
    for cut in range(1, len(HEAD)):
        before, after = HEAD[:cut], HEAD[cut:]
        got = taken(answer.Heads(limit=100), before, after)
        lesson = "An END that is cut in two is not found."
        if len(after) >= len(END):
            lesson = (
                "The whole END was in the second piece, and was not found. Is"
                " the start below 0? Then find() counts from the back."
            )
        assert got == [HEAD], (
            f"{lesson} This head came as ...{before[-4:]} and {after[:4]}...,"
            " and waits for ever."
        )


def test_more_than_a_head(answer):
    got = taken(answer.Heads(limit=100), HEAD + NEXT + b"GET /3", b" HTTP")
    assert got == [HEAD, NEXT], (
        "One piece held two heads and the beginning of a third: recv() knows"
        " nothing of heads. Take one at a time, and leave the rest."
    )


def test_after_a_head_that_dripped_in(answer):
    got = taken(answer.Heads(limit=100), HEAD[:-1], HEAD[-1:] + NEXT)
    assert got == [HEAD, NEXT], (
        "The second head is shorter than what was searched for the first."
        " A position means nothing once the bytes before it are gone."
    )


def test_searched_once(answer):
    tally = Tally()
    heads = answer.Heads(limit=10_000, find=tally)
    size = 4000
    got = taken(heads, *[b"x"] * size, END)
    looked_at = tally.bytes
    assert looked_at, "The check counts what self.find looks at: use it."
    assert looked_at <= 20 * size, (
        "Bytes that were searched in vain are searched again:"
        f" {looked_at:,} bytes looked at for {size:,} that came one by one."
    )
    assert got == [b"x" * size + END], (
        "A head of 4,000 bytes came byte by byte and was not returned."
    )


def test_two_short_heads_are_not_a_long_one(answer):
    limit = len(HEAD)
    got = taken(answer.Heads(limit), HEAD + HEAD)
    assert got == [HEAD, HEAD], (
        "The limit is for one head, not for all that has arrived: two heads"
        f" of {limit} bytes in one piece, and {limit} bytes are allowed."
    )


@pytest.mark.parametrize("size", [1, 10, 1000])
def test_too_long(answer, size):
    sent = b"x" * 96 + END
    pieces = [sent[at : at + size] for at in range(0, len(sent), size)]
    got = taken(answer.Heads(limit=64), *pieces)
    assert got == [TooLong], (
        "A head of 100 bytes must be too long for a limit of 64 however TCP"
        f" cut it; here the pieces were of {size}."
    )


def test_too_long_as_soon_as_the_limit_is_full(answer):
    got = taken(answer.Heads(limit=64), *[b"x"] * 64)
    assert got == [TooLong], (
        "64 bytes have come, none of them an END, and 64 are allowed: no"
        " head can be complete in time. Waiting for more is only memory."
    )
