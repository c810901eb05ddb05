"""The table of requests: the verdict never depends on the pieces."""

import pytest
from request_table import BAD, GOOD, TABLE, verdict

ids = [entry.name for entry in TABLE]

# Long samples are cut at fewer places: near both ends, and now and then.
NEAR = 200


def positions(size):
    if size <= 2 * NEAR:
        return range(1, size)
    step = size // NEAR
    middle = range(NEAR, size - NEAR, step)
    return [*range(1, NEAR), *middle, *range(size - NEAR, size)]


def test_the_table_is_large_and_its_names_are_unique():
    assert len(TABLE) >= 150
    assert len(set(ids)) == len(ids)
    assert len(GOOD) + len(BAD) == len(TABLE)
    assert all(entry.rule for entry in TABLE)


@pytest.mark.parametrize("entry", TABLE, ids=ids)
def test_whole(entry):
    requests, end = verdict([entry.data] if entry.data else [])
    if isinstance(entry.expected, int):
        assert end == entry.expected
        return
    assert end in ("closed", "last")
    assert len(requests) == len(entry.expected)
    for found, wanted in zip(requests, entry.expected, strict=True):
        if wanted.fields is None:
            found.fields = None
        assert found == wanted


@pytest.mark.parametrize("entry", TABLE, ids=ids)
def test_byte_by_byte(entry):
    data = entry.data
    if not data:
        return
    bytes_ = [data[at : at + 1] for at in range(len(data))]
    assert verdict(bytes_) == verdict([data])


@pytest.mark.parametrize("entry", TABLE, ids=ids)
def test_cut_at_every_position(entry):
    data = entry.data
    if not data:
        return
    whole = verdict([data])
    for at in positions(len(data)):
        assert verdict([data[:at], data[at:]]) == whole


@pytest.mark.parametrize("entry", GOOD, ids=[entry.name for entry in GOOD])
def test_what_follows_is_left_alone(entry):
    following = b"GET /next HTTP/1.1\r\nHost: z\r\n\r\n"
    requests, end = verdict([entry.data + following])
    alone, alone_end = verdict([entry.data] if entry.data else [])
    assert end == alone_end
    if end == "last":
        assert requests == alone
    else:
        assert requests[:-1] == alone
        assert requests[-1].target == b"/next"
