"""Frames: every sample whole, byte by byte, and cut at every position."""

import itertools
import random
import tracemalloc

import pytest

from asgi_ref import frames
from asgi_ref.frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    FIN,
    PING,
    PONG,
    RSV1,
    TEXT,
    Close,
    Expects,
    FrameError,
    Frames,
    Ping,
    Pong,
    encode,
    encode_close,
    xor,
)

MASK = b"\x37\xfa\x21\x3d"
KIB = 1024


def length(size, form=None):
    """The second byte and the bytes of length after it."""
    form = form or (1 if size < 126 else 2 if size < 1 << 16 else 8)
    if form == 1:
        return bytes([0x80 | size])
    return bytes([0xFE if form == 2 else 0xFF]) + size.to_bytes(form, "big")


def frame(first, payload=b"", mask=MASK, form=None):
    """A frame of a client."""
    masked = bytes(b ^ mask[i % 4] for i, b in enumerate(payload))
    return bytes([first]) + length(len(payload), form) + mask + masked


def read(pieces, **settings):
    """Feed pieces to a fresh reader; return all events, and the error."""
    reader, events = Frames(**settings), []
    try:
        for piece in pieces:
            reader.receive_data(piece)
            while (event := reader.next_event()) is not None:
                events.append(event)
    except FrameError as error:
        reader.receive_data(HELLO)
        assert reader.next_event() is None  # nothing is read after it
        return events, error.code
    return events, None


def ways_to_cut(data):
    """The bytes whole, one by one, and in two at every position."""
    yield [data]
    yield [data[at : at + 1] for at in range(len(data))]
    for at in range(1, len(data)):
        yield [data[:at], data[at:]]


def check(data, expected, code=None, **settings):
    for pieces in ways_to_cut(data):
        assert read(pieces, **settings) == (expected, code)


HELLO = frame(FIN | TEXT, b"Hello")
SAMPLES = {
    "text": (HELLO, ["Hello"]),
    "the RFC's own bytes (5.7)": (
        bytes.fromhex("818537fa213d7f9f4d5158"),
        ["Hello"],
    ),
    "binary": (frame(FIN | BINARY, b"\x00\xff"), [b"\x00\xff"]),
    "empty text": (frame(FIN | TEXT), [""]),
    "empty binary": (frame(FIN | BINARY), [b""]),
    "two messages": (HELLO + frame(FIN | BINARY, b"x"), ["Hello", b"x"]),
    "fragments": (
        frame(TEXT, b"Hel") + frame(FIN | CONTINUATION, b"lo"),
        ["Hello"],
    ),
    "empty fragments": (
        frame(BINARY) + frame(CONTINUATION) + frame(FIN | CONTINUATION),
        [b""],
    ),
    "ping between fragments": (
        frame(TEXT, b"a")
        + frame(FIN | PING, b"!")
        + frame(CONTINUATION, b"b")
        + frame(FIN | PONG)
        + frame(FIN | CONTINUATION, b"c"),
        [Ping(b"!"), Pong(b""), "abc"],
    ),
    "a character cut by fragments": (
        frame(TEXT, "é".encode()[:1])
        + frame(CONTINUATION)
        + frame(FIN | CONTINUATION, "é".encode()[1:]),
        ["é"],
    ),
    "every width of character": (
        frame(FIN | TEXT, "aé€😀".encode()),
        ["aé€😀"],
    ),
    "126 bytes": (frame(FIN | TEXT, b"x" * 126), ["x" * 126]),
    "close": (
        frame(FIN | CLOSE, b"\x03\xe8bye"),
        [Close(1000, "bye")],
    ),
    "close without a code": (frame(FIN | CLOSE), [Close(1005, "")]),
    "close between fragments": (
        frame(TEXT, b"a") + frame(FIN | CLOSE, b"\x0f\xa0"),
        [Close(4000, "")],
    ),
    "nothing after close": (
        frame(FIN | CLOSE, b"\x03\xe8") + HELLO + b"\xff\xff",
        [Close(1000, "")],
    ),
    "a mask of zeros": (
        frame(FIN | TEXT, b"Hello", mask=bytes(4)),
        ["Hello"],
    ),
}


@pytest.mark.parametrize(("data", "expected"), SAMPLES.values(), ids=SAMPLES)
def test_what_is_read(data, expected):
    check(data, expected)


BROKEN = {
    "no mask": (b"\x81\x05Hello", 1002),
    "no mask, empty": (b"\x81\x00", 1002),
    "no mask, 16 bits": (b"\x82\x7e\x00\x80", 1002),
    "RSV1": (frame(FIN | RSV1 | TEXT), 1002),
    "RSV2": (frame(FIN | 0x20 | TEXT), 1002),
    "RSV3": (frame(FIN | 0x10 | TEXT), 1002),
    "RSV1 in a ping": (frame(FIN | RSV1 | PING), 1002),
    **{
        f"opcode {opcode}": (frame(FIN | opcode), 1002)
        for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)
    },
    "ping in pieces": (frame(PING, b"a"), 1002),
    "close in pieces": (frame(CLOSE), 1002),
    "long ping": (frame(FIN | PING, b"x" * 126)[:4], 1002),
    "long ping, 64 bits": (b"\x89\xff", 1002),
    "continuation of nothing": (frame(FIN | CONTINUATION, b"a"), 1002),
    "first of nothing": (frame(CONTINUATION, b"a"), 1002),
    "length 5 in 16 bits": (frame(FIN | TEXT, b"Hello", form=2), 1002),
    "length 5 in 64 bits": (frame(FIN | TEXT, b"Hello", form=8), 1002),
    "length 125 in 16 bits": (frame(2, b"x" * 125, form=2), 1002),
    "length 65535 in 64 bits": (
        b"\x82\xff" + (65535).to_bytes(8, "big") + MASK,
        1002,
    ),
    "length with the highest bit": (b"\x82\xff\x80" + bytes(7) + MASK, 1002),
    "close with one byte": (frame(FIN | CLOSE, b"\x03"), 1002),
    "reason not UTF-8": (frame(FIN | CLOSE, b"\x03\xe8\xff"), 1007),
    "over the limit": (b"\x82\xff" + (1 << 40).to_bytes(8, "big"), None),
}


@pytest.mark.parametrize(("data", "code"), BROKEN.values(), ids=BROKEN)
def test_what_is_refused(data, code):
    if code is None:  # the mask is still missing, and then it is refused
        check(data, [])
        data, code = data + MASK, 1009
    check(data, [], code)


def test_what_came_before_an_error_is_still_delivered():
    check(HELLO + frame(FIN | PING, b"1") + b"\x83", ["Hello", Ping(b"1")])
    check(HELLO + frame(FIN | PING, b"1") + b"\x83\x80", [
        "Hello", Ping(b"1"),
    ], 1002)  # fmt: skip


def test_a_new_message_inside_a_message():
    for opcode in TEXT, BINARY:
        check(frame(TEXT, b"a") + frame(FIN | opcode, b"b"), [], 1002)


def test_close_codes():
    allowed = {*range(1000, 1004), *range(1007, 1015), *range(3000, 5000)}
    for code in range(5100):
        data = frame(FIN | CLOSE, code.to_bytes(2, "big"))
        good = code in allowed
        expected = ([Close(code, "")], None) if good else ([], 1002)
        assert read([data]) == expected


# UTF-8: the first byte that cannot be right is the last one that is read.

ILL_FORMED = [
    b"\x80", b"\xbf", b"\xc0\x80", b"\xc1\xbf", b"\xe0\x80\x80",
    b"\xe0\x9f\xbf", b"\xed\xa0\x80", b"\xed\xbf\xbf", b"\xf0\x80\x80\x80",
    b"\xf0\x8f\xbf\xbf", b"\xf4\x90\x80\x80", b"\xf5\x80\x80\x80", b"\xff",
    b"\xc3a", b"\xe2\x82a", b"\xf0\x9f\x98a", b"a\xc3\xc3\xa9",
]  # fmt: skip


@pytest.mark.parametrize("text", ILL_FORMED)
def test_text_that_is_not_utf_8(text):
    data = frame(FIN | TEXT, b"ok" + text)
    for pieces in ways_to_cut(data):
        assert read(pieces) == ([], 1007)
    for at in range(len(text)):
        data = frame(TEXT, text[:at]) + frame(FIN | CONTINUATION, text[at:])
        assert read([data]) == ([], 1007)


@pytest.mark.parametrize("text", ILL_FORMED)
def test_bad_text_is_noticed_in_the_middle_of_a_frame(text):
    """No byte more is read than is needed to know."""
    needed = next(
        end
        for end in range(1, len(text) + 1)
        if not any(well_formed(text[:end] + tail) for tail in TAILS)
    )
    whole = frame(FIN | TEXT, b"ok" + text + b" and a lot that never comes")
    start = 6 + 2
    assert read([whole[: start + needed - 1]]) == ([], None)
    assert read([whole[: start + needed]]) == ([], 1007)


TAILS = [b"\x80" * n for n in range(4)] + [b"\xbf" * n for n in range(4)]


def well_formed(data):
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


@pytest.mark.parametrize("text", ["é", "€", "😀"])
def test_text_that_ends_inside_a_character(text):
    for end in range(1, len(text.encode())):
        half = text.encode()[:end]
        check(frame(FIN | TEXT, half), [], 1007)
        check(frame(TEXT, half) + frame(FIN | CONTINUATION), [], 1007)
        assert read([frame(TEXT, half)]) == ([], None)  # more may come


def test_binary_is_not_looked_at():
    check(frame(FIN | BINARY, b"\xff\xfe"), [b"\xff\xfe"])


# Limits


def test_the_limit_counts_bytes_of_a_message():
    settings = {"limit": 10}
    check(frame(FIN | TEXT, b"x" * 10), ["x" * 10], **settings)
    assert read([frame(FIN | TEXT, b"x" * 11)[:6]], **settings)[1] == 1009
    parts = frame(TEXT, b"x" * 5) + frame(CONTINUATION, b"x" * 5)
    end = frame(FIN | CONTINUATION)
    check(parts + end, ["x" * 10], **settings)
    check(parts + frame(FIN | CONTINUATION, b"x"), [], 1009, **settings)
    again = frame(FIN | BINARY, b"y" * 10)  # each message has the whole limit
    check(parts + end + again, ["x" * 10, b"y" * 10], **settings)
    check(frame(FIN | TEXT, "ééééé".encode()), ["ééééé"], **settings)
    check(frame(FIN | TEXT, "éééééé".encode()), [], 1009, **settings)


def test_many_fragments_are_fine():
    part = frame(CONTINUATION, b"x")
    data = frame(BINARY, b"x") + part * 65_535 + frame(FIN | CONTINUATION)
    assert read([data]) == ([b"x" * 65_536], None)


def test_fragments_take_no_more_memory_than_their_bytes():
    """Two bytes each, or none: a list of them would be 50 times as big."""
    reader = Frames()
    two = frame(CONTINUATION, b"xy")
    none = frame(CONTINUATION)
    reader.receive_data(frame(BINARY))
    assert reader.next_event() is None
    tracemalloc.start()
    for _ in range(50):
        reader.receive_data((two + none) * 400)
        assert reader.next_event() is None
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 40_000 * 2 + 64 * KIB


def test_sixteen_megabytes_by_default():
    size = 16 * KIB * KIB
    head = bytes([FIN | BINARY]) + length(size) + MASK
    piece = xor(bytes(256 * KIB), MASK)
    events, code = read([head, *[piece] * 64])
    assert (len(events[0]), code) == (size, None)
    assert events[0].count(0) == size
    head = bytes([FIN | BINARY]) + length(size + 1) + MASK
    assert read([head]) == ([], 1009)


def test_the_end_of_a_frame_that_looks_like_the_beginning_of_one():
    """Bytes that were used already are not looked at again."""
    end = b"\x81\x84"
    first = frame(FIN | BINARY, b"..." + end, mask=bytes(4))
    second = frame(FIN | TEXT, b"hi", mask=bytes(4))
    assert read([first[:-2], end + second]) == ([b"..." + end, "hi"], None)


def test_an_idle_reader_holds_nothing():
    for data in HELLO, HELLO * 2, frame(FIN | BINARY, bytes(70_000)):
        reader = Frames()
        reader.receive_data(data)
        while reader.next_event() is not None:
            pass
        assert reader.unread == b""


def test_what_a_compressed_message_is_told_to_be():
    """The frames know only the bit; what it means is handed in."""
    seen = []

    def inflate(piece, room, last):
        seen.append((bytes(piece), room, last))
        return piece.upper() * 2

    data = (
        frame(RSV1 | TEXT, b"ab")
        + frame(FIN | PING)
        + frame(FIN | CONTINUATION, b"c")
        + frame(FIN | TEXT, b"plain")
        + frame(FIN | RSV1 | BINARY, b"d")
    )
    events = [Ping(b""), "ABABCC", "plain", b"DD"]
    assert read([data], inflate=inflate, limit=100) == (events, None)
    assert seen == [
        (b"ab", 100, False),
        (b"c", 96, True),
        (b"d", 100, True),
    ]
    events = [Ping(b""), "ABC", "plain", b"D"]
    check(data, events, inflate=lambda piece, room, last: piece.upper())


@pytest.mark.parametrize(
    "data",
    [
        frame(TEXT) + frame(FIN | RSV1 | CONTINUATION),
        frame(FIN | RSV1 | PING),
        frame(FIN | RSV1 | CLOSE),
        frame(FIN | RSV1 | 0x20 | TEXT),
        frame(FIN | 0x20 | TEXT),
        frame(FIN | RSV1 | 3),
    ],
)
def test_the_bit_is_allowed_only_in_the_first_frame_of_a_message(data):
    check(data, [], 1002, inflate=lambda piece, room, last: piece)


# The table


def test_every_first_byte_in_every_state():
    before = {
        Expects.MESSAGE: b"",
        Expects.MORE: frame(TEXT),
        Expects.NOTHING: frame(FIN | CLOSE),
    }
    for expects, first in itertools.product(Expects, range(256)):
        reader = Frames()
        reader.receive_data(before[expects])
        reader.next_event()
        assert reader.expects is expects
        reader.receive_data(frame(first))
        after = frames.ORDER.get((expects, first))
        if expects is Expects.NOTHING:
            assert reader.next_event() is None
        elif after is None:
            with pytest.raises(FrameError) as caught:
                reader.next_event()
            assert caught.value.code == 1002
            assert reader.expects is Expects.NOTHING
        else:
            reader.next_event()
            assert reader.expects is after


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (frame(FIN | RSV1 | TEXT), "reserved bits"),
        (frame(PING), "control frame in pieces"),
        (frame(FIN | 11), "opcode 11 means nothing"),
        (frame(FIN | 3), "opcode 3 means nothing"),
        (frame(CONTINUATION), "the first frame of a message is due"),
        (frame(TEXT) + frame(TEXT), "the next frame of a message is due"),
        (b"\x81\x00", "without a mask"),
        (frame(FIN | PING, b"x" * 126), "more than 125"),
    ],
)
def test_errors_say_what_is_wrong(data, text):
    reader = Frames()
    reader.receive_data(data)
    with pytest.raises(FrameError, match=text):
        list(iter(reader.next_event, object()))


# Masks


@pytest.mark.parametrize(
    "size", [0, 1, 2, 3, 4, 5, 127, 1000, *range(16_381, 16_391), 70_001]
)
def test_the_fast_mask_is_the_plain_one(size):
    chance = random.Random(size)
    data, mask = chance.randbytes(size), chance.randbytes(4)
    expected = bytes(b ^ mask[i % 4] for i, b in enumerate(data))
    assert xor(data, mask) == expected
    assert type(xor(data, mask)) is bytes


def test_the_mask_goes_on_where_a_piece_ended():
    payload = bytes(range(256)) * 200
    data = frame(FIN | BINARY, payload)
    for size in 1, 3, 1021, 17_003, 40_002:
        pieces = [data[at : at + size] for at in range(0, len(data), size)]
        assert read(pieces) == ([payload], None)


# Writing


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65535, 65536, 70000])
def test_what_is_written_is_what_a_client_reads(size):
    data = encode(BINARY, bytes(size))
    first, second = data[0], data[1]
    assert first == FIN | BINARY
    if size < 126:
        assert (second, data[2:]) == (size, bytes(size))
    elif size < 1 << 16:
        assert (second, data[2:4]) == (126, size.to_bytes(2, "big"))
        assert data[4:] == bytes(size)
    else:
        assert (second, data[2:10]) == (127, size.to_bytes(8, "big"))
        assert data[10:] == bytes(size)


def test_the_rfcs_own_frames():
    """RFC 6455, section 5.7."""
    assert encode(TEXT, b"Hello") == bytes.fromhex("810548656c6c6f")
    assert encode(PING, b"Hello") == bytes.fromhex("890548656c6c6f")
    assert encode(BINARY, bytes(256))[:4] == bytes.fromhex("827e0100")
    assert encode(BINARY, bytes(65536))[:10].hex() == "827f0000000000010000"


def test_closes_that_are_written():
    assert encode_close(1000) == b"\x88\x02\x03\xe8"
    assert encode_close(4000, "é") == b"\x88\x04\x0f\xa0\xc3\xa9"
    assert encode_close(1005) == b"\x88\x00"
    assert len(encode_close(1000, "x" * 123)) == 127


@pytest.mark.parametrize(
    "code", [-1, 0, 999, 1004, 1006, 1015, 2999, 5000, 70_000, 1 << 70]
)
def test_codes_that_may_not_be_sent(code):
    with pytest.raises(ValueError, match="may be sent"):
        encode_close(code)


def test_a_reason_that_does_not_fit():
    with pytest.raises(ValueError, match="123 bytes"):
        encode_close(1000, "é" * 62)
