"""The handshake: what is let in, what is answered, what is refused."""

import pytest

from asgi_ref.handshake import (
    REFUSAL_FIELDS,
    Handshake,
    accept_key,
    extra_lines,
    offers,
    subprotocols,
)
from asgi_ref.request import ProtocolError, parse_request
from asgi_ref.response import BadResponse

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
NAMES = {
    "upgrade": b"websocket",
    "connection": b"Upgrade",
    "sec-websocket-version": b"13",
    "sec-websocket-key": KEY,
}


def ask(line=b"GET /chat HTTP/1.1", **fields):
    """A handshake with fields changed; None leaves one out."""
    changed = {name.replace("_", "-"): value for name, value in fields.items()}
    lines = [line, b"Host: server.example.com"]
    for name, value in {**NAMES, **changed}.items():
        if value is not None:
            lines.append(b"%b: %b" % (name.encode(), value))
    return parse_request(b"\r\n".join([*lines, b"", b""]))


def status(request):
    with pytest.raises(ProtocolError) as caught:
        Handshake(request)
    return caught.value.status


def with_field(name, value):
    return ask(**{f"sec_websocket_{name}": value})


def test_the_answer_to_the_key_of_the_rfc():
    assert accept_key(KEY) == b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def test_what_opens_a_websocket():
    assert Handshake(ask()).accept() == (
        b"HTTP/1.1 101 Switching Protocols\r\n"
        b"upgrade: websocket\r\nconnection: upgrade\r\n"
        b"sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
    )


def test_words_may_stand_in_lists_and_in_any_case():
    Handshake(ask(connection=b"keep-alive, UPGRADE", upgrade=b"x, WebSocket"))


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (ask(line=b"POST /chat HTTP/1.1"), 405),
        (ask(line=b"get /chat HTTP/1.1"), 405),
        (ask(line=b"GET /chat HTTP/1.0"), 400),
        (ask(upgrade=None), 400),
        (ask(upgrade=b"websockets"), 400),
        (ask(connection=None), 400),
        (ask(connection=b"keep-alive"), 400),
        (with_field("version", None), 426),
        (with_field("version", b"8"), 426),
        (with_field("version", b"13, 13"), 426),
        (with_field("version", b"13, 8"), 426),
        (with_field("key", None), 400),
        (with_field("key", b""), 400),
        (with_field("key", b"dGhlIHNhbXBsZSBub25jZQ"), 400),
        (with_field("key", b"dGhlIHNhbXBsZSBub25jZ!=="), 400),
        (with_field("key", b"dGhlIHNhbXBsZSBub25j"), 400),
        (with_field("key", b"dGhlIHNhbXBsZSBub25jZWVl"), 400),
        (with_field("key", KEY + b", " + KEY), 400),
        (with_field("protocol", b"chat, c(hat)"), 400),
        (with_field("protocol", b"chat, chat"), 400),
        (with_field("extensions", b"a b"), 400),
        (with_field("extensions", b"a=b"), 400),
        (with_field("extensions", b"a; b=; c"), 400),
        (with_field("extensions", b"a; ; c"), 400),
        (with_field("extensions", b'a; b="c'), 400),
        (with_field("extensions", b'a; b="c d"'), 400),
    ],
)
def test_what_is_refused(request_, expected):
    assert status(request_) == expected


def test_a_refused_version_is_told_which_one_would_do():
    fields = dict(REFUSAL_FIELDS[426])
    assert fields[b"sec-websocket-version"] == b"13"
    assert fields[b"upgrade"] == b"websocket"
    assert fields[b"connection"] == b"upgrade"
    assert REFUSAL_FIELDS[405] == [(b"allow", b"GET")]


def test_subprotocols_keep_their_case_and_order():
    assert subprotocols(with_field("protocol", b"Chat, superchat,,v2.x")) == [
        "Chat",
        "superchat",
        "v2.x",
    ]
    assert subprotocols(ask()) == []


def test_offers_of_extensions():
    value = b'a; b; c=1 , permessage-deflate;x="10" ;y = z,, a'
    assert offers(with_field("extensions", value)) == [
        (b"a", [(b"b", b""), (b"c", b"1")]),
        (b"permessage-deflate", [(b"x", b"10"), (b"y", b"z")]),
        (b"a", []),
    ]
    assert offers(ask()) == []


def test_lists_on_several_lines_are_one_list():
    request = parse_request(
        b"GET /chat HTTP/1.1\r\nHost: server.example.com\r\n"
        b"Sec-WebSocket-Protocol: a, b\r\nSec-WebSocket-Extensions: x\r\n"
        b"Sec-WebSocket-Protocol: c\r\nSec-WebSocket-Extensions: y; z=1\r\n"
        b"\r\n"
    )
    assert subprotocols(request) == ["a", "b", "c"]
    assert offers(request) == [(b"x", []), (b"y", [(b"z", b"1")])]


def test_accepting_with_everything():
    handshake = Handshake(with_field("protocol", b"chat, superchat"))
    data = handshake.accept(
        "superchat", [(b"X-A", b"1")], b"permessage-deflate", b"date: now\r\n"
    )
    lines = data.split(b"\r\n")
    assert b"sec-websocket-protocol: superchat" in lines
    assert b"sec-websocket-extensions: permessage-deflate" in lines
    assert lines[-4:] == [b"date: now", b"X-A: 1", b"", b""]


def test_no_subprotocol_need_be_chosen():
    answer = Handshake(with_field("protocol", b"chat")).accept()
    assert b"sec-websocket-protocol" not in answer


@pytest.mark.parametrize("subprotocol", ["other", "CHAT", ""])
def test_a_subprotocol_that_was_not_asked_for(subprotocol):
    handshake = Handshake(with_field("protocol", b"chat"))
    with pytest.raises(BadResponse, match="was not asked for"):
        handshake.accept(subprotocol)


@pytest.mark.parametrize(
    "name",
    [
        b"Sec-WebSocket-Accept",
        b"sec-websocket-protocol",
        b"sec-websocket-extensions",
        b"Upgrade",
    ],
)
def test_headers_that_only_the_server_writes(name):
    with pytest.raises(BadResponse, match="written by the server"):
        extra_lines([(name, b"x")])


def test_headers_that_do_not_belong_to_a_101():
    headers = [(b"content-length", b"0"), (b"connection", b"close")]
    headers += [(b"transfer-encoding", b"chunked"), (b"set-cookie", b"a=b")]
    assert extra_lines(iter(headers)) == b"set-cookie: a=b\r\n"


def test_headers_keep_their_order():
    headers = [(b"x-b", b"1"), (b"x-a", b"2"), (b"x-b", b"3")]
    assert extra_lines(headers) == b"x-b: 1\r\nx-a: 2\r\nx-b: 3\r\n"


@pytest.mark.parametrize(
    "header",
    [(b"x", b"1\r\nevil: 2"), ("x", "1"), (b"x y", b"1"), (b"x",)],
)
def test_headers_that_would_break_the_answer(header):
    with pytest.raises(BadResponse):
        extra_lines([header])
