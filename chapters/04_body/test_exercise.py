"""The check: a limit that both kinds of body keep, and nothing is held."""

import pytest

from asgi_ref.body import ChunkedBody, LengthBody
from asgi_ref.buffer import Buffer
from asgi_ref.request import ProtocolError

LIMIT = 10


def feed(body, *pieces):
    """Return (the data taken for each piece, status of a refusal or None)."""
    buffer, taken = Buffer(), []
    for piece in pieces:
        buffer.append(piece)
        try:
            taken.append(body.take(buffer))
        except ProtocolError as error:
            return taken, error.status
    return taken, None


def refusal(answer, body):
    """Return the status with which a body is refused at once, or None."""
    try:
        answer.Limited(body, LIMIT)
    except ProtocolError as error:
        return error.status
    return None


def test_content_length_is_believed_at_once(answer):
    assert refusal(answer, LengthBody(11)) == 413, (
        "Content-Length announces 11 bytes and 10 are allowed: that is known "
        "before a byte of the body is read, so Limited(...) itself says 413."
    )
    assert refusal(answer, LengthBody(10)) is None, (
        "Exactly the limit is allowed, and Content-Length: 10 was refused."
    )


def test_chunks_are_counted(answer):
    body = answer.Limited(ChunkedBody(), LIMIT)
    _, status = feed(body, b"6\r\nhello \r\n", b"5\r\nworld\r\n")
    assert status == 413, (
        "Only Content-Length is limited, and a chunked body has none: 11 "
        "bytes came in two chunks and nobody said 413."
    )


def test_it_is_said_while_the_body_still_comes(answer):
    body = answer.Limited(ChunkedBody(), LIMIT)
    taken, status = feed(body, b"ffff\r\nhello", b"world", b"!")
    assert (len(taken) < 3, status) == (True, 413), (
        "The eleventh byte was there and 413 was not said. A client that "
        "never ends its body must hear it while the body still comes."
    )


@pytest.mark.parametrize("kind", ["a length", "chunks"])
def test_what_comes_is_handed_on(answer, kind):
    chunked = kind == "chunks"
    inner = ChunkedBody() if chunked else LengthBody(10)
    body = answer.Limited(inner, LIMIT)
    taken, status = feed(body, b"a\r\nhello" if chunked else b"hello")
    assert (taken, status) == ([b"hello"], None), (
        "The body is collected before its size is looked at: five bytes came "
        "and the application did not get them."
    )
    assert not body.complete, (
        "Five of ten bytes were taken, and the body says that it is complete."
    )
    taken, status = feed(body, b"world\r\n0\r\n\r\n" if chunked else b"world")
    assert (taken, status, body.complete) == ([b"world"], None, True), (
        "A body of exactly ten bytes, the limit, must go through to its end."
    )


def test_only_data_counts(answer):
    body = answer.Limited(ChunkedBody(), LIMIT)
    chunks = [b"1;sig=abcdef\r\nx\r\n"] * 10
    taken, status = feed(body, *chunks, b"0\r\nDigest: 0123456789\r\n\r\n")
    assert (b"".join(taken), status) == (b"x" * 10, None), (
        "Bytes on the wire are counted, and sizes and extensions are not "
        "data: a body of ten bytes was refused because of its packing."
    )


def test_the_next_request_is_left_alone(answer):
    body, buffer = answer.Limited(LengthBody(5), LIMIT), Buffer()
    buffer.append(b"hello" + b"GET / HTTP/1.1\r\n\r\n")
    assert body.take(buffer) == b"hello", (
        "What stands behind the body is the next request and was taken too."
    )
    assert buffer.startswith(b"GET "), (
        "The next request must still be in the buffer, from its first byte."
    )
