"""permessage-deflate: what is agreed upon, what is inflated, and bombs."""

import os
import random
import tracemalloc
import zlib

import pytest

from asgi_ref.deflate import MOST_STREAMS, TAIL, Agreement, Deflate, agree
from asgi_ref.frames import BINARY, FIN, RSV1, FrameError, Frames, xor

PMD = b"permessage-deflate"
MIB = 1024 * 1024
DEFAULT = Agreement()


def offer(*parameters):
    """An offer from words such as "client_max_window_bits=10"."""
    pairs = [word.encode().partition(b"=") for word in parameters]
    return PMD, [(name, value) for name, _, value in pairs]


# The agreement


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ([], Agreement()),
        (["client_max_window_bits"], Agreement(client_bits=12)),
        (["client_max_window_bits=15"], Agreement(client_bits=12)),
        (["client_max_window_bits=9"], Agreement(client_bits=9)),
        (["server_max_window_bits=15"], Agreement()),
        (["server_max_window_bits=9"], Agreement(server_bits=9)),
        (["server_no_context_takeover"], Agreement(server_forgets=True)),
        (["client_no_context_takeover"], Agreement(client_forgets=True)),
        (
            [
                "server_no_context_takeover",
                "client_max_window_bits=10",
                "server_max_window_bits=11",
                "client_no_context_takeover",
            ],
            Agreement(11, 10, True, True),
        ),
        # What cannot be accepted.
        (["server_max_window_bits"], None),
        (["server_max_window_bits=8"], None),
        (["client_max_window_bits=8"], None),
        (["server_max_window_bits=16"], None),
        (["client_max_window_bits=7"], None),
        (["server_max_window_bits=09"], None),
        (["client_max_window_bits=x"], None),
        (["server_no_context_takeover=1"], None),
        (["client_no_context_takeover=true"], None),
        (["unknown"], None),
        (["client_no_context_takeover"] * 2, None),
        (["client_max_window_bits", "client_max_window_bits=9"], None),
    ],
)
def test_offers(parameters, expected):
    assert agree([offer(*parameters)]) == expected


def test_the_first_acceptable_offer_counts():
    offers = [
        (b"x-webkit-deflate-frame", []),
        offer("server_max_window_bits=8"),
        offer("server_max_window_bits=10"),
        offer(),
    ]
    assert agree(offers) == Agreement(server_bits=10)
    assert agree(offers[:2]) is None
    assert agree([]) is None


def test_the_line_says_what_was_agreed():
    assert DEFAULT.line == b"permessage-deflate; server_max_window_bits=12"
    assert Agreement(9, 10, True, True).line == (
        b"permessage-deflate; server_max_window_bits=9;"
        b" client_max_window_bits=10; server_no_context_takeover;"
        b" client_no_context_takeover"
    )


# Messages


def client_compress(compressor, data):
    data = compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH)
    return data.removesuffix(TAIL)


def raw(bits=15):
    return zlib.compressobj(wbits=-bits)


def test_the_examples_of_the_rfc():
    """RFC 7692, section 7.2.3."""
    hello, again = bytes.fromhex("f248cdc9c90700"), bytes.fromhex("f200110000")
    deflate = Deflate(DEFAULT)
    assert deflate.inflate(hello, 100, True) == b"Hello"
    assert deflate.inflate(again, 100, True) == b"Hello"
    stored = bytes.fromhex("000500faff48656c6c6f00")
    assert Deflate(DEFAULT).inflate(stored, 100, True) == b"Hello"
    two_blocks = bytes.fromhex("f248050000 00ffff cac9c90700")
    assert Deflate(DEFAULT).inflate(two_blocks, 100, True) == b"Hello"


def test_an_empty_message_is_one_byte():
    """RFC 7692, section 7.2.3.6; the next message is not disturbed."""
    hello = bytes.fromhex("f248cdc9c90700")
    deflate = Deflate(DEFAULT)
    for _ in range(2):
        assert deflate.inflate(b"\x00", 100, True) == b""
        assert deflate.inflate(hello, 100, True) == b"Hello"


def test_a_final_block_ends_a_message_and_not_the_stream():
    """RFC 7692, section 7.2.3.4."""
    final = bytes.fromhex("f348cdc9c9070000")
    deflate = Deflate(DEFAULT)
    for _ in range(3):
        assert deflate.inflate(final, 100, True) == b"Hello"
    for at in range(len(final)):
        deflate = Deflate(DEFAULT)
        first = deflate.inflate(final[:at], 100, False)
        assert first + deflate.inflate(final[at:], 100, True) == b"Hello"


def test_many_streams_in_one_piece_are_refused():
    final = bytes.fromhex("0300")
    with pytest.raises(FrameError, match="many streams"):
        Deflate(DEFAULT).inflate(final * 1000, 100, True)


def ways_to_cut(data):
    """The bytes whole, one by one, and in two at every position."""
    yield [data]
    yield [data[at : at + 1] for at in range(len(data))]
    for at in range(1, len(data)):
        yield [data[:at], data[at:]]


def inflate_all(pieces, deflate=None):
    deflate, room = deflate or Deflate(DEFAULT), 1000
    *before, last = pieces
    data = b"".join(deflate.inflate(piece, room, False) for piece in before)
    return data + deflate.inflate(last, room, True)


def final(words):
    """Words in a block that says it is the last one."""
    compressor = raw()
    return compressor.compress(words) + compressor.flush()


@pytest.mark.parametrize("count", [2, 3, 10])
def test_many_final_blocks_in_one_message(count):
    """However the network has cut it."""
    words = [b"Hello ", b"to ", b"", b"you "] * 3
    data = b"".join(map(final, words[:count])) + b"\x00"
    for pieces in ways_to_cut(data):
        deflate = Deflate(DEFAULT)
        for _ in range(2):
            assert inflate_all(pieces, deflate) == b"".join(words[:count])


def test_how_many_final_blocks_a_message_may_have():
    """However the network has cut it; and each message may have as many."""
    most = final(b"") * MOST_STREAMS + b"\x00"
    for size in 1, 2, 3, len(most) + 2:
        deflate = Deflate(DEFAULT)
        for data in most, most, final(b"") + most:
            cuts = range(0, len(data), size)
            pieces = [data[at : at + size] for at in cuts]
            if data is most:
                assert inflate_all(pieces, deflate) == b""
            else:
                with pytest.raises(FrameError, match="many streams"):
                    inflate_all(pieces, deflate)


@pytest.mark.parametrize("forgets", [False, True])
@pytest.mark.parametrize("bits", range(9, 16))
def test_both_ways_with_every_window(bits, forgets):
    agreement = Agreement(bits, bits, forgets, forgets)
    chance = random.Random(bits)
    server, client = Deflate(agreement), raw(bits)
    inflater = zlib.decompressobj(-bits)
    for size in 1, 10, 1000, 100_000, 5:
        words = [b"%d " % chance.randrange(100) for _ in range(size)]
        message = b"".join(words)
        if forgets:
            client, inflater = raw(bits), zlib.decompressobj(-bits)
        sent = client_compress(client, message)
        assert server.inflate(sent, MIB, True) == message
        got = server.compress(message)
        assert inflater.decompress(got + TAIL) == message


def test_what_was_said_once_need_not_be_said_again():
    message = os.urandom(1000)
    remembers = Deflate(DEFAULT)
    forgets = Deflate(Agreement(server_forgets=True))
    assert len(remembers.compress(message)) >= 1000
    assert len(remembers.compress(message)) < 50
    forgets.compress(message)
    assert len(forgets.compress(message)) >= 1000


def test_what_was_said_long_ago():
    """A client that was told nothing remembers 32 KiB."""
    first, second = os.urandom(20_000), os.urandom(10_000)
    compressor, deflate = raw(), Deflate(DEFAULT)
    for message in first, second, first:
        data = client_compress(compressor, message)
        assert deflate.inflate(data, MIB, True) == message
    assert len(data) < 1000


def test_a_client_that_forgets():
    deflate = Deflate(Agreement(client_forgets=True))
    for _ in range(3):
        data = client_compress(raw(), b"the same again")
        assert deflate.inflate(data, 100, True) == b"the same again"


def test_a_message_cut_at_every_position():
    message = b"a message, a message, and one more message"
    data = client_compress(raw(), message)
    for at in range(len(data) + 1):
        deflate = Deflate(DEFAULT)
        first = deflate.inflate(data[:at], 100, False)
        assert first + deflate.inflate(data[at:], 100, True) == message


def test_a_stored_block_that_is_cut_short():
    """What the server appends is never taken for the client's words."""
    for missing in range(1, 12):
        size = 5 + missing
        block = b"\x00%c\x00%c\xffhello" % (size, 255 - size)
        for pieces in ways_to_cut(block):
            with pytest.raises(FrameError) as caught:
                inflate_all(pieces)
            assert caught.value.code == 1007


@pytest.mark.parametrize("end", [b"", b"\x00"])
@pytest.mark.parametrize("level", [0, 1, 6, 9])
@pytest.mark.parametrize("strategy", [zlib.Z_DEFAULT_STRATEGY, zlib.Z_FIXED])
def test_a_message_that_is_cut_short(level, strategy, end):
    chance = random.Random(level)
    words = bytes(chance.choice(b"abcdefgh ") for _ in range(300))
    compressor = zlib.compressobj(level, zlib.DEFLATED, -15, 9, strategy)
    data = compressor.compress(words)
    if end:  # a final block, and then an empty one
        data += compressor.flush() + end
    else:
        data += compressor.flush(zlib.Z_SYNC_FLUSH)
        data = data.removesuffix(TAIL)
    assert Deflate(DEFAULT).inflate(data, 1000, True) == words
    for at in range(len(data) - 1):
        if data[:at] in (b"\x00", b"\x01"):
            continue  # that is a whole message, an empty one
        with pytest.raises(FrameError) as caught:
            Deflate(DEFAULT).inflate(data[:at], 1000, True)
        assert caught.value.code == 1007


def test_the_tail_that_the_client_did_not_cut_off():
    data = client_compress(raw(), b"hello") + TAIL
    with pytest.raises(FrameError) as caught:
        Deflate(DEFAULT).inflate(data, 1000, True)
    assert caught.value.code == 1007


# Bombs


def test_the_room_is_exact():
    data = client_compress(raw(), bytes(1000))
    assert Deflate(DEFAULT).inflate(data, 1000, True) == bytes(1000)
    with pytest.raises(FrameError) as caught:
        Deflate(DEFAULT).inflate(data, 999, True)
    assert caught.value.code == 1009


def test_the_limit_is_what_is_told():
    """And not what earlier frames have left of it."""
    data = client_compress(raw(), bytes(1000))
    with pytest.raises(FrameError, match="more than 1200 bytes"):
        Deflate(DEFAULT, 1200).inflate(data, 200, True)


def test_a_bomb_takes_no_more_memory_than_is_allowed():
    """A megabyte of zeros' zeros: it would be a gigabyte."""
    bomb = client_compress(raw(), bytes(64 * MIB)) * 16
    tracemalloc.start()
    with pytest.raises(FrameError) as caught:
        Deflate(DEFAULT).inflate(bomb, MIB, True)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert caught.value.code == 1009
    assert peak < 2 * len(bomb) + 3 * MIB


def test_a_bomb_behind_a_final_block():
    data = bytes.fromhex("f348cdc9c90700")
    data += client_compress(raw(), bytes(MIB))
    with pytest.raises(FrameError) as caught:
        Deflate(DEFAULT).inflate(data, 1000, True)
    assert caught.value.code == 1009


def test_a_bomb_in_frames():
    """In many small frames, none of which is too big by itself."""
    data = client_compress(raw(), bytes(64 * MIB))
    reader = Frames(MIB, Deflate(DEFAULT).inflate)
    reader.receive_data(frame(RSV1 | BINARY, b""))
    pieces = [data[at : at + 100] for at in range(0, len(data), 100)]

    def feed():
        for count, piece in enumerate(pieces):
            reader.receive_data(frame(0, piece))
            try:
                assert reader.next_event() is None
            except FrameError as error:
                return count, error.code
        return len(pieces), None

    count, code = feed()
    assert code == 1009
    assert count < len(pieces) / 50


def frame(first, payload):
    assert len(payload) < 126
    masked = xor(payload, b"abcd")
    return bytes([first, 0x80 | len(payload)]) + b"abcd" + masked


def test_what_is_not_deflate():
    for data in b"\xff\xff\xff", b"\x07", b"\x00\x05\x00\x00\x00hello":
        with pytest.raises(FrameError) as caught:
            Deflate(DEFAULT).inflate(data, 100, True)
        assert caught.value.code == 1007


def test_frames_and_deflate_together():
    compressor = raw()
    text = client_compress(compressor, "héllo".encode())
    deflate = Deflate(DEFAULT)
    for at in range(len(text)):
        reader = Frames(100, Deflate(DEFAULT).inflate)
        reader.receive_data(frame(RSV1 | 1, text[:at]))
        reader.receive_data(frame(FIN, text[at:]))
        assert reader.next_event() == "héllo"
    reader = Frames(100, deflate.inflate)
    bad = client_compress(raw(), b"\xff\xff")
    reader.receive_data(frame(FIN | RSV1 | 1, bad))
    with pytest.raises(FrameError) as caught:
        reader.next_event()
    assert caught.value.code == 1007


def test_nothing_is_made_before_it_is_needed():
    tracemalloc.start()
    many = [Deflate(DEFAULT) for _ in range(100)]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100 * 500
    assert len(many) == 100
