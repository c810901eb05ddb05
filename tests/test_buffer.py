"""A buffer: nothing is lost, nothing is searched twice."""

import doctest

import pytest

from asgi_ref import buffer as module
from asgi_ref.buffer import EMPTY_LINE, NEWLINE, Buffer, TooLong


def filled(data):
    buffer = Buffer()
    buffer.append(data)
    return buffer


def rest(buffer):
    return buffer.take(len(buffer))


class Counting:
    """A pattern that counts the bytes it was asked to look at."""

    def __init__(self, pattern):
        self.pattern = pattern
        self.looked_at = 0

    def search(self, data, start, end):
        self.looked_at += max(0, min(len(data), end) - start)
        return self.pattern.search(data, start, end)


def test_the_example_in_the_docstring():
    failed, tried = doctest.testmod(module)
    assert tried > 0
    assert failed == 0


def test_take():
    buffer = filled(b"abcdef")
    assert len(buffer) == 6
    assert buffer.take(2) == b"ab"
    assert buffer.take(0) == b""
    assert buffer.take(100) == b"cdef"
    assert buffer.take(100) == b""
    assert len(buffer) == 0
    assert not buffer


def test_append_adds_at_the_back():
    buffer = filled(b"abc")
    assert buffer.take(1) == b"a"
    buffer.append(b"")
    buffer.append(b"d")
    assert rest(buffer) == b"bcd"


def test_startswith_and_peek_take_nothing():
    buffer = filled(b"abc")
    assert buffer.startswith(b"ab")
    assert buffer.startswith(b"")
    assert not buffer.startswith(b"b")
    assert not buffer.startswith(b"abcd")
    assert buffer.peek(2) == b"ab"
    assert buffer.peek(10) == b"abc"
    assert Buffer().peek(1) == b""
    assert rest(buffer) == b"abc"


LINES = [b"\n", b"\r\n", b"a\n", b"a\r\n", b"GET / HTTP/1.1\r\n"]
HEADS = [b"\n\n", b"\n\r\n", b"a\r\n\r\n", b"a\r\nb\n\n", b"a\r\nb\r\n\r\n"]
SAMPLES = [(NEWLINE, line) for line in LINES]
SAMPLES += [(EMPTY_LINE, head) for head in HEADS]


@pytest.mark.parametrize(("end", "sample"), SAMPLES)
def test_take_through_in_any_pieces(end, sample):
    for cut in range(len(sample)):
        buffer = filled(sample[:cut])
        assert buffer.take_through(end, 100) is None
        assert len(buffer) == cut  # nothing is lost
        buffer.append(sample[cut:] + b"next")
        assert buffer.take_through(end, 100) == sample
        assert rest(buffer) == b"next"


@pytest.mark.parametrize(("end", "sample"), SAMPLES)
def test_take_through_byte_by_byte(end, sample):
    buffer = Buffer()
    for byte in sample:
        assert buffer.take_through(end, 100) is None
        buffer.append(bytes([byte]))
    assert buffer.take_through(end, 100) == sample
    assert not buffer


def test_take_through_takes_the_first_end():
    buffer = filled(b"one\ntwo\nthree")
    assert buffer.take_through(NEWLINE, 100) == b"one\n"
    assert buffer.take_through(NEWLINE, 100) == b"two\n"
    assert buffer.take_through(NEWLINE, 100) is None
    assert rest(buffer) == b"three"


@pytest.mark.parametrize(("end", "sample"), SAMPLES)
def test_the_limit_includes_the_end(end, sample):
    size = len(sample)
    assert filled(sample).take_through(end, size) == sample
    with pytest.raises(TooLong):
        filled(sample).take_through(end, size - 1)
    with pytest.raises(TooLong):
        filled(b"x" + sample).take_through(end, size)


@pytest.mark.parametrize("pieces", [[b"x" * 10], [b"x"] * 10])
def test_too_long_as_soon_as_the_limit_is_full(pieces):
    buffer = Buffer()
    for piece in pieces[:-1]:
        buffer.append(piece)
        assert buffer.take_through(NEWLINE, 10) is None
    buffer.append(pieces[-1])
    with pytest.raises(TooLong):
        buffer.take_through(NEWLINE, 10)
    assert rest(buffer) == b"x" * 10


def test_has_through():
    buffer = filled(b"ab\ncd\r\n\r\n")
    assert buffer.has_through(NEWLINE, 3)
    assert not buffer.has_through(NEWLINE, 2)
    assert buffer.has_through(EMPTY_LINE, 9)
    assert not buffer.has_through(EMPTY_LINE, 8)
    assert len(buffer) == 9


def test_a_dripping_line_is_searched_once():
    size = 5000
    end = Counting(NEWLINE)
    buffer = Buffer()
    for _ in range(size):
        buffer.append(b"x")
        assert buffer.take_through(end, 2 * size) is None
    buffer.append(b"\n")
    assert len(buffer.take_through(end, 2 * size)) == size + 1
    assert end.looked_at <= 3 * (size + 1)


def test_a_dripping_head_is_searched_once():
    head = 200 * b"name: value\r\n" + b"\r\n"
    end = Counting(EMPTY_LINE)
    buffer = Buffer()
    for byte in head[:-1]:
        buffer.append(bytes([byte]))
        assert buffer.take_through(end, 10_000) is None
    buffer.append(head[-1:])
    assert buffer.take_through(end, 10_000) == head
    assert end.looked_at <= 3 * len(head)


def test_what_is_left_is_searched_from_its_start():
    buffer = filled(b"x" * 50)
    assert buffer.take_through(NEWLINE, 100) is None
    buffer.append(b"\ny\nz")
    assert buffer.take_through(NEWLINE, 100) == b"x" * 50 + b"\n"
    assert buffer.take_through(NEWLINE, 100) == b"y\n"
    assert buffer.take_through(NEWLINE, 100) is None
    buffer.take(1)
    buffer.append(b"\n")
    assert buffer.take_through(NEWLINE, 100) == b"\n"
