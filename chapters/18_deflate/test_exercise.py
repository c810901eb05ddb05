"""The check: what is said, and whether it is kept."""

import random
import zlib

import pytest

TAIL = b"\x00\x00\xff\xff"
SERVER_BITS = b"server_max_window_bits"
CLIENT_BITS = b"client_max_window_bits"
FLAGS = b"server_no_context_takeover", b"client_no_context_takeover"
NOISE = random.Random(18).randbytes(1000)  # nothing in it occurs twice


def agreed_with(answer, offer):
    """Return the answer to an offer that can be accepted."""
    agreed = answer.answer(offer)
    assert agreed is not None, f"This offer can be accepted: {offer}"
    return agreed


def said_by(compressor, message):
    """Return a client's message, compressed."""
    data = compressor.compress(message)
    return (data + compressor.flush(zlib.Z_SYNC_FLUSH)).removesuffix(TAIL)


@pytest.mark.parametrize("flag", FLAGS)
def test_who_asks_for_a_flag_is_told_yes(answer, flag):
    agreed = agreed_with(answer, {flag: b""})
    assert flag in agreed, (
        f"The client asked for {flag.decode()} and was not told yes: it "
        "cannot rely on it."
    )
    agreed = agreed_with(answer, {})
    assert flag not in agreed, (
        f"Nobody asked for {flag.decode()}. Both sides would forget, and "
        "small messages gain nothing any more."
    )


@pytest.mark.parametrize(
    ("asked", "said"), [(None, b"12"), (b"15", b"12"), (b"9", b"9")]
)
def test_the_window_of_the_server(answer, asked, said):
    offer = {} if asked is None else {SERVER_BITS: asked}
    told = agreed_with(answer, offer).get(SERVER_BITS)
    assert told == said, (
        f"Asked for {asked}, the server's window has {said} bits: the "
        "smaller of what the client asks and WINDOW_BITS."
    )


@pytest.mark.parametrize("name", [SERVER_BITS, CLIENT_BITS])
def test_eight_is_declined(answer, name):
    agreed = answer.answer({name: b"8"})
    assert agreed is None, (
        f"{name.decode()}=8 was accepted: nine is the least that zlib can do."
    )


def test_a_client_that_cannot_be_told(answer):
    agreed = agreed_with(answer, {})
    assert CLIENT_BITS not in agreed, (
        "client_max_window_bits was answered to a client that has not named "
        "it. Such a client cannot be told; it must fail the connection."
    )


@pytest.mark.parametrize(
    ("asked", "said"), [(b"", b"12"), (b"15", b"12"), (b"10", b"10")]
)
def test_the_window_of_the_client(answer, asked, said):
    told = agreed_with(answer, {CLIENT_BITS: asked}).get(CLIENT_BITS)
    assert told == said, (
        f"The client offered {asked} for itself, so it is told {said}."
    )


def test_the_window_is_used(answer):
    agreed = agreed_with(answer, {SERVER_BITS: b"9"})
    talk, client = answer.Talk(agreed), zlib.decompressobj(wbits=-9)
    try:
        for _ in range(2):
            client.decompress(talk.compress(NOISE) + TAIL)
    except zlib.error:
        pytest.fail(
            "The answer says nine bits, and the compressor looks back "
            "farther: 1000 bytes. The client has forgotten them."
        )


def test_the_server_forgets(answer):
    agreed = agreed_with(answer, {FLAGS[0]: b""})
    talk = answer.Talk(agreed)
    try:
        for _ in range(2):
            client = zlib.decompressobj(wbits=-15)  # it remembers nothing
            client.decompress(talk.compress(b"Hello") + TAIL)
    except zlib.error:
        pytest.fail(
            "server_no_context_takeover speaks of the server's compressor: "
            "the second message refers to the first, which the client has "
            "thrown away."
        )


def test_the_server_remembers(answer):
    talk = answer.Talk(agreed_with(answer, {FLAGS[1]: b""}))
    talk.compress(NOISE)
    size = len(talk.compress(NOISE))
    assert size < 100, (
        "The server may remember and says everything anew: "
        "client_no_context_takeover is the client's affair."
    )


def test_the_client_remembers(answer):
    talk = answer.Talk(agreed_with(answer, {FLAGS[0]: b""}))
    client = zlib.compressobj(wbits=-15)
    try:
        for _ in range(2):
            assert talk.inflate(said_by(client, b"Hello")) == b"Hello"
    except zlib.error:
        pytest.fail(
            "The client's second message refers to its first, and you have "
            "thrown that away: server_no_context_takeover speaks of the "
            "server's compressor, not of the client's."
        )


def test_the_client_forgets(answer):
    talk = answer.Talk(agreed_with(answer, {FLAGS[1]: b""}))
    for word in b"Hello", b"again":
        payload = said_by(zlib.compressobj(wbits=-15), word)
        assert talk.inflate(payload) == word


def test_a_client_with_a_large_window(answer):
    talk = answer.Talk(agreed_with(answer, {}))
    client = zlib.compressobj(wbits=-15)
    try:
        for message in NOISE, bytes(20_000), NOISE:
            assert talk.inflate(said_by(client, message)) == message
    except zlib.error:
        pytest.fail(
            "This client was told no window, so it may look back 32 KiB. "
            "The window in your answer is the server's own."
        )
