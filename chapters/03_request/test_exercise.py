"""The check of exercise 03."""

import pytest

from asgi_ref.request import ProtocolError

LINE = b"GET / HTTP/1.1\r\n"
HOST = b"Host: shop\r\n"


def verdict(answer, head):
    """Return the status of a refusal, or the fields that were read."""
    try:
        return answer.read_fields(head)
    except ProtocolError as error:
        return error.status


def test_what_is_right_is_read(answer):
    got = verdict(answer, LINE + b"Host:shop\r\nX:\r\nY: \ta: b \t\r\n\r\n")
    assert got == [(b"host", b"shop"), (b"x", b""), (b"y", b"a: b")], (
        "White space around a value is optional, a value may be empty, and "
        "only the first colon ends the name."
    )


def test_repeated_lines_are_all_kept(answer):
    got = verdict(answer, LINE + HOST + b"B: 1\r\nA: 2\r\nb: 3\r\n\r\n")
    wanted = [(b"host", b"shop"), (b"b", b"1"), (b"a", b"2"), (b"b", b"3")]
    assert got == wanted, (
        "A name may come twice, and the order counts (RFC 9110, section "
        "5.3): return every line, where it stood."
    )


@pytest.mark.parametrize(
    "lines", [b"Host: a\r\nHost: b\r\n", b"Host: a\r\nX: 1\r\nhost: a\r\n"]
)
def test_two_hosts(answer, lines):
    assert verdict(answer, LINE + lines + b"\r\n") == 400, (
        "Two Hosts: the last one does not win, and neither does the first. "
        "The proxy in front may have believed the other, so RFC 9112, "
        "section 3.2 wants 400, even if both say the same."
    )


def test_no_host(answer):
    assert verdict(answer, LINE + b"X: 1\r\n\r\n") == 400, (
        "A head of HTTP/1.1 without a Host does not say whose site is meant: "
        "RFC 9112, section 3.2 wants 400."
    )


@pytest.mark.parametrize(
    "line", [b"Content-Length : 35", b"X\t: 1", b"X Y: 1"]
)
def test_white_space_before_the_colon(answer, line):
    assert verdict(answer, LINE + HOST + line + b"\r\n\r\n") == 400, (
        "White space before the colon is refused, not stripped: the next "
        "program may read another name (RFC 9112, section 5.1)."
    )


@pytest.mark.parametrize("lines", [b"X: 1\r\n 2\r\n", b"X: 1\r\n\tY: 2\r\n"])
def test_folding(answer, lines):
    assert verdict(answer, LINE + HOST + lines + b"\r\n") == 400, (
        "A line that begins with white space continues the one before it, "
        "or is a field of its own: two readings, so 400 (RFC 9112, 5.2)."
    )


@pytest.mark.parametrize("line", [b"no colon", b": no name", b"X(: 1"])
def test_no_name(answer, line):
    assert verdict(answer, LINE + HOST + line + b"\r\n\r\n") == 400, (
        "Before the colon must stand a name, and a name is a token: "
        "anything else is no field line and gets 400."
    )


@pytest.mark.parametrize(
    "head",
    [
        LINE + HOST + b"X: 1\nY: 2\r\n\r\n",
        b"GET / HTTP/1.1\nHost: shop\r\n\r\n",
        LINE + HOST + b"X: 1\n\n",
        LINE + HOST + b"X: 1\r\n\n",
    ],
)
def test_bare_lf(answer, head):
    assert verdict(answer, head) == 400, (
        "A bare LF ends no line here: a proxy that waits for CR LF sees one "
        "line where you see two (RFC 9112, section 2.2)."
    )


@pytest.mark.parametrize(
    "head",
    [
        LINE + HOST + b"X: 1\rY: 2\r\n\r\n",
        b"GET / HTTP/1.1\rX: 1\r\nHost: shop\r\n\r\n",
        LINE + HOST + b"X: 1\r\r\n\r\n",
    ],
)
def test_bare_cr(answer, head):
    assert verdict(answer, head) == 400, (
        "A bare CR is never part of a line: RFC 9112, section 2.2 calls the "
        "element invalid, so answer 400."
    )
