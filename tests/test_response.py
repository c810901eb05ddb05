"""The response: bytes that are safe to send, and where they end."""

import calendar
import doctest
import http

import pytest

from asgi_ref import response as module
from asgi_ref.request import Request
from asgi_ref.response import (
    BadResponse,
    OwnLines,
    Response,
    field_lines,
    http_date,
    status_line,
)


def request(method="GET", version="1.1"):
    return Request(method, b"/", version, [(b"host", b"a")])


def body(status=200, *headers, method="GET", version="1.1", whole=None):
    """Return a response, and the field line that announces its end."""
    response = Response(status, headers)
    return response, response.frame(request(method, version), whole)


def test_docstrings():
    assert doctest.testmod(module).failed == 0


# The head.


def test_field_lines():
    pairs = [(b"a", b"b"), [b"X-Case", b""], (b"c", b"caf\xe9\t")]
    lines = b"a: b\r\nX-Case: \r\nc: caf\xe9\t\r\n"
    assert field_lines(pairs) == lines
    assert field_lines(iter(pairs)) == lines
    assert field_lines([]) == b""


BAD_HEADERS = [
    (b"a", b"b\r\nset-cookie: c"),
    (b"a", b"b\nc"),
    (b"a", b"b\rc"),
    (b"a", b"b\r\n"),
    (b"a", b"\r\n\r\n<html>"),
    (b"a", b"\x00"),
    (b"a", b"\x7f"),
    (b"a", b"\x1b[31m"),
    (b"a\r\nb", b"c"),
    (b"a:", b"b"),
    (b"a b", b"c"),
    (b" a", b"b"),
    (b"", b"b"),
    (b"\xe9", b"b"),
    ("a", b"b"),
    (b"a", "b"),
    ("a", "b"),
    (b"a", 1),
    (b"a", None),
    (None, b"b"),
    (b"a",),
    (b"a", b"b", b"c"),
    b"ab",
    "ab",
    5,
    None,
]


@pytest.mark.parametrize("bad", BAD_HEADERS)
@pytest.mark.parametrize("before", [[], [(b"good", b"1")]])
def test_headers_that_are_refused(bad, before):
    with pytest.raises(BadResponse) as caught:
        Response(200, [*before, bad, (b"after", b"1")])
    assert str(caught.value)
    with pytest.raises(BadResponse):
        field_lines([*before, bad])


def test_an_error_names_the_header():
    with pytest.raises(BadResponse, match=r"bytes, bytes.*'x-str', 'v'"):
        field_lines([(b"a", b"b"), ("x-str", "v")])
    with pytest.raises(BadResponse, match=r"^c: a control character"):
        field_lines([(b"a", b"b"), (b"c", b"evil\r\nd: e")])
    with pytest.raises(BadResponse, match="not a name"):
        field_lines([(b"a", b"b"), (b"not a name", b"d")])


@pytest.mark.parametrize("code", [*range(32), 127])
def test_only_one_control_character_is_sent(code):
    pair = (b"a", b"x%by" % bytes([code]))
    if code == 9:
        assert field_lines([pair]) == b"a: x\ty\r\n"
    else:
        with pytest.raises(BadResponse):
            field_lines([pair])


@pytest.mark.parametrize("status", [-1, 0, 100, 101, 103, 199, 1000])
def test_no_final_status(status):
    with pytest.raises(BadResponse):
        Response(status)


@pytest.mark.parametrize("status", [200, 204, 299, 404, 599, 999])
def test_final_status(status):
    assert Response(status).status == status


def test_what_the_server_writes_itself_is_left_out():
    response = Response(
        200,
        [
            (b"Transfer-Encoding", b"chunked"),
            (b"Connection", b"keep-alive"),
            (b"Keep-Alive", b"timeout=5"),
            (b"a", b"b"),
        ],
    )
    assert response.block == b"a: b\r\n"
    assert not response.close


def test_what_the_server_would_add_is_noted():
    response = Response(200, [(b"Date", b"now"), (b"Server", b"mine")])
    assert response.block == b"Date: now\r\nServer: mine\r\n"
    assert set(response.given) == {b"date", b"server"}
    assert Response(200, [(b"a", b"b")]).given == ()


def test_given_is_not_shared():
    Response(200, [(b"date", b"now"), (b"connection", b"close")])
    assert Response(200).given == ()
    assert not Response(200).close


@pytest.mark.parametrize(
    ("values", "close"),
    [
        ([b"close"], True),
        ([b"Close"], True),
        ([b"x, close"], True),
        ([b"keep-alive"], False),
        ([b"close", b"keep-alive"], True),
        ([b"close", b"upgrade"], True),
        ([b"keep-alive", b"close"], True),
    ],
)
def test_connection_close(values, close):
    headers = [(b"connection", value) for value in values]
    assert Response(200, headers).close is close


def test_connection_upgrade_is_sent():
    headers = [(b"connection", b"Upgrade"), (b"upgrade", b"h2c")]
    block = Response(426, headers).block
    assert block == b"connection: Upgrade\r\nupgrade: h2c\r\n"


@pytest.mark.parametrize(
    "value",
    [
        b"", b"-1", b"+1", b"1.0", b"a", b"0x1", b"1, 1", b" 1", b"1_0",
        b"\xb2", b"9" * 5000,
    ],
)  # fmt: skip
def test_content_length_that_is_refused(value):
    with pytest.raises(BadResponse):
        Response(200, [(b"Content-Length", value)])


def test_a_content_length_of_too_many_digits_is_blamed_itself():
    headers = [(b"content-length", b"9" * 5000), (b"x", b"y")]
    with pytest.raises(BadResponse, match=r"content-length: .* digits"):
        Response(200, headers)


@pytest.mark.parametrize("values", [(b"1", b"2"), (b"1", b"1"), (b"0", b"0")])
def test_content_length_twice_is_refused(values):
    with pytest.raises(BadResponse):
        Response(200, [(b"content-length", value) for value in values])


# Where the body ends.


@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_content_length_by_the_application(version, method):
    length = (b"content-length", b"5")
    found, line = body(200, length, method=method, version=version)
    assert found.length == 5
    assert (found.chunked, found.close) == (False, False)
    assert line == b""  # it is in the block already
    assert found.encode(b"hel", more=True) == b"hel"
    assert found.encode(b"lo", more=True) == b"lo"
    assert found.encode(b"", more=False) == b""


@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize("size", [0, 5])
def test_the_whole_body_is_known(version, size):
    found, line = body(version=version, whole=size)
    assert line == b"content-length: %d\r\n" % size
    assert (found.chunked, found.close) == (False, False)
    assert found.encode(b"x" * size, more=False) == b"x" * size


def test_the_application_knows_better_than_whole():
    found, line = body(200, (b"content-length", b"5"), whole=3)
    assert line == b""
    with pytest.raises(BadResponse, match="less"):
        found.encode(b"abc", more=False)


def test_chunked():
    found, line = body()
    assert found.chunked
    assert line == b"transfer-encoding: chunked\r\n"
    assert found.encode(b"hello", more=True) == b"5\r\nhello\r\n"
    assert found.encode(b"", more=True) == b""  # a zero would be the end
    assert found.encode(b"x" * 26, more=True).startswith(b"1a\r\nx")
    assert found.encode(b"bye", more=False) == b"3\r\nbye\r\n0\r\n\r\n"
    assert body()[0].encode(b"", more=False) == b"0\r\n\r\n"


def test_until_close():
    found, line = body(version="1.0")
    assert found.close
    assert not found.chunked
    assert line == b""
    assert found.encode(b"hello", more=True) == b"hello"
    assert found.encode(b"", more=False) == b""


@pytest.mark.parametrize(
    "pieces", [[b"123456"], [b"123", b"456"], [b"12345", b"6"]]
)
@pytest.mark.parametrize("more", [True, False])
def test_more_than_was_said(pieces, more):
    found, _ = body(200, (b"content-length", b"5"))
    *early, last = pieces
    for piece in early:
        found.encode(piece, more=True)
    with pytest.raises(BadResponse, match=r"more .*6 > 5"):
        found.encode(last, more=more)


@pytest.mark.parametrize("pieces", [[b""], [b"1234"], [b"12", b"34"]])
def test_less_than_was_said(pieces):
    found, _ = body(200, (b"content-length", b"5"))
    *early, last = pieces
    for piece in early:
        found.encode(piece, more=True)
    with pytest.raises(BadResponse, match=r"less .* < 5"):
        found.encode(last, more=False)


SILENT = [
    ("HEAD", 200), ("HEAD", 404), ("GET", 204), ("GET", 304), ("GET", 205),
    ("POST", 204), ("HEAD", 204), ("HEAD", 205), ("HEAD", 304),
]  # fmt: skip


@pytest.mark.parametrize(("method", "status"), SILENT)
@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize("length", [[], [(b"content-length", b"9")]])
@pytest.mark.parametrize("whole", [None, 5])
def test_no_body_whatever_the_application_sends(
    method, status, version, length, whole
):
    found, line = body(
        status, *length, method=method, version=version, whole=whole
    )
    assert found.silent
    assert (found.chunked, found.close) == (False, False)
    assert b"transfer-encoding" not in line
    assert found.encode(b"hello", more=True) == b""
    assert found.encode(b"x" * 99, more=True) == b""
    assert found.encode(b"", more=False) == b""
    found.count(100, more=False)


def test_204_has_no_length():
    length = (b"content-length", b"5")
    assert Response(204, [length]).block == b""
    assert body(204, length, whole=5)[1] == b""


def test_205_says_that_it_is_empty():
    length = (b"content-length", b"5")
    assert Response(205, [length]).block == b""
    assert body(205, length)[1] == b"content-length: 0\r\n"
    assert body(205)[1] == b"content-length: 0\r\n"
    assert body(205, version="1.0")[1] == b"content-length: 0\r\n"


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 304)])
def test_a_length_may_be_told_without_a_body(method, status):
    length = (b"content-length", b"5")
    assert Response(status, [length]).block == b"content-length: 5\r\n"
    assert body(status, length, method=method)[1] == b""


# The small things.


def test_status_lines():
    assert status_line(200) == b"HTTP/1.1 200 OK\r\n"
    assert status_line(103) == b"HTTP/1.1 103 Early Hints\r\n"
    assert status_line(999) == b"HTTP/1.1 999 Unknown\r\n"
    for status in http.HTTPStatus:
        line = status_line(status)
        assert line.startswith(b"HTTP/1.1 %d " % status)
        assert line.endswith(b"\r\n")
        assert len(line) > len(b"HTTP/1.1 200 \r\n")


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        ((1994, 11, 6, 8, 49, 37), b"Sun, 06 Nov 1994 08:49:37 GMT"),
        ((1970, 1, 1, 0, 0, 0), b"Thu, 01 Jan 1970 00:00:00 GMT"),
        ((2024, 2, 29, 23, 59, 59), b"Thu, 29 Feb 2024 23:59:59 GMT"),
        ((2000, 12, 31, 1, 2, 3), b"Sun, 31 Dec 2000 01:02:03 GMT"),
    ],
)
def test_http_date(moment, text):
    seconds = calendar.timegm(moment)
    assert http_date(seconds) == text
    assert http_date(seconds + 0.999) == text


def test_what_a_server_adds_to_its_responses():
    lines = OwnLines([(b"X-Pod", b"7")])
    assert lines.at(784111777) == (
        b"date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
        b"server: asgi_ref\r\nX-Pod: 7\r\n"
    )
    assert lines.at(784111777, (b"date", b"server")) == b"X-Pod: 7\r\n"


def test_what_a_server_adds_can_be_left_out_or_replaced():
    assert OwnLines(date=False, server=False).at(0) == b""
    lines = OwnLines([(b"Server", b"mine"), (b"Date", b"never")])
    assert lines.at(0) == b"Server: mine\r\nDate: never\r\n"


@pytest.mark.parametrize(
    "header",
    [(b"Connection", b"close"), (b"Content-Length", b"1"), (b"a b", b"c")],
)
def test_what_no_server_adds_to_all_its_responses(header):
    with pytest.raises(BadResponse):
        OwnLines([header])
