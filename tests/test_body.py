"""The body of a request: where it ends, and what it refuses."""

import pytest

from asgi_ref.body import (
    MAX_CHUNK_LINE,
    MAX_EXTENSIONS,
    MAX_TRAILERS,
    NEXT_PART,
    ChunkedBody,
    LengthBody,
    Part,
    body_of,
)
from asgi_ref.buffer import Buffer
from asgi_ref.request import MAX_FIELD_LINES, ProtocolError, parse_request


def body_for(*fields, version=b"1.1"):
    lines = [b"POST / HTTP/" + version, b"Host: a", *fields, b"", b""]
    return body_of(parse_request(b"\r\n".join(lines)))


def refusal_for(*fields, version=b"1.1"):
    with pytest.raises(ProtocolError) as caught:
        body_for(*fields, version=version)
    return caught.value.status


def cuts(sample):
    """Return the sample whole, byte by byte, and cut at every position."""
    yield [sample]
    yield [sample[at : at + 1] for at in range(len(sample))]
    for at in range(1, len(sample)):
        yield [sample[:at], sample[at:]]


def read(body, pieces):
    """Return the data that a body takes out of pieces, and what is left."""
    buffer, data = Buffer(), b""
    for piece in pieces:
        buffer.append(piece)
        data += body.take(buffer)
    return data, buffer.take(len(buffer))


# Who decides?


def test_no_body():
    assert body_for() is None
    assert body_for(b"Content-Length: 0") is None


@pytest.mark.parametrize(
    ("value", "length"),
    [(b"5", 5), (b"  5\t", 5), (b"005", 5), (b"9" * 18, 10**18 - 1)],
)
def test_content_length(value, length):
    body = body_for(b"Content-Length: " + value)
    assert isinstance(body, LengthBody)
    assert body.left == length


@pytest.mark.parametrize(
    "value",
    [
        b"", b"+5", b"-5", b"5.0", b"5, 5", b"5,5", b"5 5", b"0x5", b"5a",
        b"a", b"1e1", b"1_0", b"\xb2", b"\xd9\xa5", b"9" * 19, b"9" * 5000,
        b'"5"', b"5;", b",5", b"-0",
    ],
)  # fmt: skip
def test_content_length_that_is_refused(value):
    assert refusal_for(b"Content-Length: " + value) == 400


@pytest.mark.parametrize(("one", "other"), [(b"5", b"6"), (b"5", b"5")])
def test_two_lengths_are_refused(one, other):
    fields = b"Content-Length: " + one, b"Content-Length: " + other
    assert refusal_for(*fields) == 400


@pytest.mark.parametrize(
    "value", [b"chunked", b"Chunked", b"CHUNKED", b" chunked\t"]
)
def test_chunked(value):
    body = body_for(b"Transfer-Encoding: " + value)
    assert isinstance(body, ChunkedBody)
    assert not body.complete


@pytest.mark.parametrize(
    ("value", "status"),
    [
        (b"gzip, chunked", 501),
        (b"x-unknown,chunked", 501),
        (b"gzip", 400),
        (b"identity", 400),
        (b"", 400),
        (b"chunked, gzip", 400),
        (b"chunked, chunked", 400),
        (b"chunked, identity", 400),
        (b"chunked,", 400),
        (b"xchunked", 400),
        (b"chunked;q=1", 400),
        (b'"chunked"', 400),
        (b"chun ked", 400),
    ],
)
def test_transfer_encodings_that_are_refused(value, status):
    assert refusal_for(b"Transfer-Encoding: " + value) == status


def test_two_transfer_encoding_lines():
    chunked = b"Transfer-Encoding: chunked"
    assert refusal_for(chunked, chunked) == 400
    assert refusal_for(b"Transfer-Encoding: gzip", chunked) == 501
    assert refusal_for(chunked, b"Transfer-Encoding: gzip") == 400


def test_both_ways_are_refused():
    fields = b"Content-Length: 5", b"Transfer-Encoding: chunked"
    assert refusal_for(*fields) == 400
    assert refusal_for(*reversed(fields)) == 400


def test_chunked_in_http_1_0_is_refused():
    fields = [b"Transfer-Encoding: chunked"]
    assert refusal_for(*fields, version=b"1.0") == 400


# A length that is known.


@pytest.mark.parametrize("pieces", list(cuts(b"hello")))
@pytest.mark.parametrize("rest", [b"", b"GET /next"])
def test_length_body(pieces, rest):
    body = LengthBody(5)
    *early, last = pieces
    assert read(body, [*early, last + rest]) == (b"hello", rest)
    assert body.complete


def test_length_body_takes_what_is_there():
    body = LengthBody(5)
    buffer = Buffer()
    assert body.take(buffer) == b""
    buffer.append(b"hel")
    assert body.take(buffer) == b"hel"
    assert not body.complete
    assert body.left == 2


# Chunks.

CHUNKED = [
    (b"0\r\n\r\n", b"", []),
    (b"5\r\nhello\r\n0\r\n\r\n", b"hello", []),
    (b"5\r\nhello\r\n7\r\n, world\r\n0\r\n\r\n", b"hello, world", []),
    (
        b"a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n",
        b"0123456789" * 2,
        [],
    ),
    (b"0005\r\nhello\r\n0000\r\n\r\n", b"hello", []),
    (b"0000000000000005\r\nhello\r\n0\r\n\r\n", b"hello", []),
    (b"2\r\n\r\n\r\n0\r\n\r\n", b"\r\n", []),
    (b"5\r\n0\r\n\r\n\r\n0\r\n\r\n", b"0\r\n\r\n", []),
    (b"1;a\r\nx\r\n0;b\r\n\r\n", b"x", []),
    (b"1;a=b;c=d\r\nx\r\n0\r\n\r\n", b"x", []),
    (b"1 ;\ta = b\r\nx\r\n0\r\n\r\n", b"x", []),
    (b'1;a="b;\\"\xe9\t, "\r\nx\r\n0\r\n\r\n', b"x", []),
    (b'1;a=""\r\nx\r\n0\r\n\r\n', b"x", []),
    (b"0\r\nA: b\r\n\r\n", b"", [(b"a", b"b")]),
    (b"1\r\nx\r\n0\r\nA: b\r\nC:\r\n\r\n", b"x", [(b"a", b"b"), (b"c", b"")]),
]


@pytest.mark.parametrize(("sample", "data", "trailers"), CHUNKED)
@pytest.mark.parametrize("rest", [b"", b"GET /next", b"\r\n"])
def test_chunked_body(sample, data, trailers, rest):
    for *early, last in cuts(sample):
        body = ChunkedBody()
        assert read(body, [*early, last + rest]) == (data, rest)
        assert body.complete
        assert body.trailers == trailers


@pytest.mark.parametrize(("sample", "data", "trailers"), CHUNKED)
def test_chunked_body_is_not_complete_before_its_end(sample, data, trailers):
    for cut in range(len(sample)):
        body = ChunkedBody()
        taken, _ = read(body, [sample[:cut]])
        assert not body.complete
        assert data.startswith(taken)


REFUSED = [
    # sizes
    b"\r\n", b"g\r\n", b"-1\r\n", b"+1\r\n", b"0x5\r\nhello\r\n", b" 5\r\n",
    b"5 \r\n", b"5\t\r\n", b"1_0\r\n", b"\xd9\xa5\r\n", b"5\nhello",
    b"5\r\r\nhello", b"5\rhello\n", b"10000000000000000\r\n",
    b"00000000000000005\r\n", b"fffffffffffffffff\r\n", b"5,5\r\n",
    # extensions
    b"1;\r\nx", b"1;=a\r\n", b"1;a=\r\n", b"1;a b\r\n", b'1;a="b\r\n',
    b'1;a="b"c\r\n', b"1;a=b\x00\r\n", b'1;a="\x01"\r\n', b"1;a\n",
    b"1;a=b\rc\r\n", b"1 a\r\n", b"1;;a\r\n", b'1;a="b\nc"\r\n',
    b'1;a="\\\x7f"\r\n', b"1;a;\r\n",
    # after the data
    b"1\r\nxy\r\n", b"1\r\nx\n", b"1\r\nx\rx", b"1\r\nx0\r\n\r\n",
    b"1\r\nx\r\r\n", b"1\r\nx\n\r\n",
    # trailers
    b"0\r\nno colon\r\n\r\n", b"0\r\nA : b\r\n\r\n", b"0\r\n\n\r\n",
    b"0\r\nA: b\nC: d\r\n\r\n", b"0\r\nA: b\r\n folded\r\n\r\n",
    b"0\r\nA: \x00\r\n\r\n", b"0\r\nA: b\n\n", b"0\r\n A: b\r\n\r\n",
    b"0\r\nA: b\rc\r\n\r\n", b"0\r\n\r\r\n\r\n",
]  # fmt: skip


@pytest.mark.parametrize("sample", REFUSED)
def test_chunks_that_are_refused(sample):
    for pieces in cuts(sample):
        with pytest.raises(ProtocolError) as caught:
            read(ChunkedBody(), pieces)
        assert caught.value.status == 400


def refusal_of(sample):
    statuses = set()
    for pieces in ([sample], [sample[:100], sample[100:]]):
        with pytest.raises(ProtocolError) as caught:
            read(ChunkedBody(), pieces)
        statuses.add(caught.value.status)
    assert len(statuses) == 1
    return statuses.pop()


def test_a_chunk_of_nearly_any_size_may_be_announced():
    body = ChunkedBody()
    assert read(body, [b"ffffffffffffffff\r\nhello"]) == (b"hello", b"")
    assert body.left == 2**64 - 1 - 5


def test_the_line_of_a_chunk_is_limited():
    room = MAX_CHUNK_LINE - len(b"1;\r\n")
    sample = b"1;" + b"a" * room + b"\r\nx\r\n0\r\n\r\n"
    assert read(ChunkedBody(), [sample]) == (b"x", b"")
    assert refusal_of(b"1;" + b"a" * (room + 1) + b"\r\nx\r\n") == 400
    assert refusal_of(b"1;" + b"a" * MAX_CHUNK_LINE) == 400


def test_the_extensions_of_a_body_are_limited():
    chunk = b"1;" + b"a" * 1023 + b"\r\nx\r\n"
    fit = MAX_EXTENSIONS // 1024
    assert read(ChunkedBody(), [chunk * fit]) == (b"x" * fit, b"")
    assert refusal_of(chunk * (fit + 1)) == 400


def test_the_trailers_are_limited():
    line = b"A: " + b"b" * 995 + b"\r\n"
    fit = MAX_TRAILERS // len(line)
    body = ChunkedBody()
    read(body, [b"0\r\n" + line * fit + b"\r\n"])
    assert len(body.trailers) == fit
    assert refusal_of(b"0\r\n" + line * (fit + 1) + b"\r\n") == 431
    many = b"A: b\r\n" * (MAX_FIELD_LINES + 1)
    assert refusal_of(b"0\r\n" + many + b"\r\n") == 431


def test_every_row_of_the_table():
    body, buffer = ChunkedBody(), Buffer()
    assert body.part is Part.SIZE
    steps = [
        (b"1\r\n", Part.DATA),
        (b"x", Part.DATA_END),
        (b"\r\n", Part.SIZE),
        (b"0\r\n", Part.TRAILERS),
        (b"\r\n", Part.COMPLETE),
    ]
    for piece, part in steps:
        buffer.append(piece)
        body.take(buffer)
        assert body.part is part
    assert len(NEXT_PART) == len(steps)
    assert {after for _, after in steps} == set(NEXT_PART.values())


def test_a_complete_body_takes_no_more():
    body, buffer = ChunkedBody(), Buffer()
    buffer.append(b"0\r\n\r\n1\r\nx\r\n")
    assert body.take(buffer) == b""
    assert body.take(buffer) == b""
    assert len(buffer) == 6


class CountingBuffer(Buffer):
    """A buffer that counts how often something was asked of it."""

    __slots__ = ("asked", "copied")

    def __init__(self):
        super().__init__()
        self.asked = self.copied = 0

    def take(self, limit):
        taken = super().take(limit)
        self.asked += 1
        self.copied += len(taken)
        return taken

    def take_through(self, end, limit):
        self.asked += 1
        return super().take_through(end, limit)


@pytest.mark.parametrize("step", [1, 7, 60_000])
def test_one_byte_chunks_cost_linear_work(step):
    sample = b"1\r\nx\r\n" * 2000 + b"0\r\n\r\n"
    body, buffer, data = ChunkedBody(), CountingBuffer(), b""
    for at in range(0, len(sample), step):
        buffer.append(sample[at : at + step])
        data += body.take(buffer)
    assert data == b"x" * 2000
    assert buffer.copied == len(sample)  # each byte was taken once
    assert buffer.asked <= 2 * len(sample)


def test_dripping_trailers_are_searched_once():
    lines = b"name: value\r\n" * 90
    body, buffer = ChunkedBody(), Buffer()
    buffer.append(b"0\r\n")
    for byte in lines:
        buffer.append(bytes([byte]))
        body.take(buffer)
        assert buffer._searched >= len(buffer) - 2
    buffer.append(b"\r\n")
    body.take(buffer)
    assert len(body.trailers) == 90
