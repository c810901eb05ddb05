"""The check: six ways to end, each read as a client reads it."""

import pytest

from asgi_ref.body import ChunkedBody
from asgi_ref.buffer import Buffer
from asgi_ref.request import ProtocolError

CHUNKED = b"transfer-encoding: chunked\r\n"
FIVE = b"content-length: 5\r\n"


def read_chunks(data):
    """Return what chapter 04 reads of a chunked body, and what it leaves."""
    wire, body = Buffer(), ChunkedBody()
    wire.append(data)
    try:
        content = body.take(wire)
    except ProtocolError:
        return b"", False, b""
    return content, body.complete, wire.take(len(wire))


@pytest.mark.parametrize("version", ["1.1", "1.0"])
def test_a_length_that_is_known(answer, version):
    found = answer.answer("GET", 200, version, 5, [b"hel", b"", b"lo"])
    assert found == (FIVE, b"hello", False), (
        "A known length is told in Content-Length and the body goes out as "
        "it is: every version of HTTP reads that."
    )


def test_an_empty_body(answer):
    found = answer.answer("GET", 200, "1.1", 0, [b""])
    assert found == (b"content-length: 0\r\n", b"", False), (
        "0 is a length that somebody knows. Ask whether the length is None, "
        "not whether it is true."
    )


@pytest.mark.parametrize("length", [None, 5])
def test_no_content(answer, length):
    line, body, close = answer.answer("GET", 204, "1.1", length, [b"hello"])
    assert body == b"", (
        "A 204 ends with its head: what you send behind it is read as the "
        "beginning of the next answer."
    )
    assert line == b"", (
        "A 204 has no Content-Length, not even 0 (RFC 9110, section 8.6). "
        "Nor has it chunks: its end is known without a field."
    )
    assert not close, "The client knows where a 204 ends: keep the connection."


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 304)])
@pytest.mark.parametrize("version", ["1.1", "1.0"])
def test_a_body_that_is_only_told_of(answer, method, status, version):
    for length in None, 5:
        found = answer.answer(method, status, version, length, [b"hello"])
        line, body, close = found
        assert body == b"", (
            f"{method} with {status} has no body, and no last chunk either: "
            "the client does not look for one."
        )
        assert not close, (
            f"{method} with {status} ends with its head, so that nothing is "
            "left for the end of the connection to show."
        )
    assert line == FIVE or status == 304, (
        "HEAD asks what GET would answer: the length is known, so tell it, "
        "and send no body."
    )


@pytest.mark.parametrize(
    "pieces", [[b"hello"], [b"x" * 26, b"y"], [b"hel", b"", b"lo"], [b""]]
)
def test_a_stream(answer, pieces):
    line, body, close = answer.answer("GET", 200, "1.1", None, pieces)
    assert line == CHUNKED, (
        "Nobody knows the length: to measure the pieces you would have to "
        "hold all of them back. HTTP/1.1 has chunks for that."
    )
    content, complete, rest = read_chunks(body)
    assert not rest, (
        "A chunk of size 0 is the end of the body: an empty piece writes no "
        "chunk. Here bytes are left that the next answer would begin with."
    )
    assert complete, (
        "Each chunk is its size in hexadecimal, CRLF, its data, CRLF; the "
        "last is 0 CRLF CRLF. Here the client waits for more."
    )
    assert content == b"".join(pieces), (
        "The client must get the pieces, one after the other, and nothing "
        "else: compare size lines and data."
    )
    assert not close, "The last chunk shows the end: keep the connection."


def test_a_stream_for_an_old_client(answer):
    found = answer.answer("GET", 200, "1.0", None, [b"hello", b"", b"bye"])
    assert found == (b"", b"hellobye", True), (
        "HTTP/1.0 knows no chunks: there the end of the connection ends the "
        "body. An old client would show the sizes as text."
    )
