"""The head of a request: what is taken in, and what is refused."""

import pytest

from asgi_ref import request as module
from asgi_ref.buffer import EMPTY_LINE, Buffer
from asgi_ref.request import (
    MAX_FIELD_LINES,
    ProtocolError,
    Request,
    combine,
    known_field,
    known_line,
    parse_field,
    parse_fields,
    parse_request,
    split_lines,
)


def head(*lines):
    return b"".join(line + b"\r\n" for line in lines) + b"\r\n"


def get(*fields, line=b"GET / HTTP/1.1", host=b"Host: a"):
    return parse_request(head(line, *filter(None, [host]), *fields))


def refusal(data):
    with pytest.raises(ProtocolError) as caught:
        parse_request(data)
    assert str(caught.value)
    return caught.value.status


def test_a_request():
    request = parse_request(
        head(
            b"POST /items/7?q=a%20b HTTP/1.1",
            b"Host: example.com:8000",
            b"X-Empty:",
            b"X-Blank: \t ",
            b"x-Padded:\t in the \t middle \t",
            b"X-Latin: caf\xe9",
        )
    )
    assert request.method == "POST"
    assert request.target == b"/items/7?q=a%20b"
    assert request.version == "1.1"
    assert request.headers == [
        (b"host", b"example.com:8000"),
        (b"x-empty", b""),
        (b"x-blank", b""),
        (b"x-padded", b"in the \t middle"),
        (b"x-latin", b"caf\xe9"),
    ]
    assert request.fields == dict(request.headers)
    assert request.label == "POST /items/7?q=a%20b"


def test_repeated_fields_stay_in_order_and_are_combined():
    request = get(b"A: 1", b"B: 2", b"a: 3", b"A:")
    assert request.headers == [
        (b"host", b"a"),
        (b"a", b"1"),
        (b"b", b"2"),
        (b"a", b"3"),
        (b"a", b""),
    ]
    assert request.fields == {b"host": b"a", b"a": b"1, 3, ", b"b": b"2"}
    assert combine([(b"a", b""), (b"a", b"")]) == {b"a": b", "}


def test_one_empty_line_before_the_request_line():
    assert parse_request(b"\r\n" + head(b"GET / HTTP/1.0")).method == "GET"


@pytest.mark.parametrize("data", [b"\r\n\r\n", b"\r\n\r\n\r\n"])
def test_empty_lines_alone_are_refused(data):
    assert refusal(data) == 400


@pytest.mark.parametrize(
    ("written", "spoken"),
    [(b"1.0", "1.0"), (b"1.1", "1.1"), (b"1.2", "1.1"), (b"1.9", "1.1")],
)
def test_versions(written, spoken):
    assert get(line=b"GET / HTTP/" + written).version == spoken


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"GET / HTTP/2.0", 505),
        (b"GET / HTTP/0.9", 505),
        (b"GET / HTTP/3.7", 505),
        (b"GET / HTTP/1", 400),
        (b"GET / HTTP/1.10", 400),
        (b"GET / HTTP/11.1", 400),
        (b"GET / http/1.1", 400),
        (b"GET / HTTP/1,1", 400),
        (b"GET /", 400),
        (b"GET  / HTTP/1.1", 400),
        (b"GET /  HTTP/1.1", 400),
        (b"GET / HTTP/1.1 ", 400),
        (b" GET / HTTP/1.1", 400),
        (b"GET\t/ HTTP/1.1", 400),
        (b"GET / / HTTP/1.1", 400),
        (b"G(T / HTTP/1.1", 400),
        (b"/ HTTP/1.1", 400),
        (b"GET /caf\xc3\xa9 HTTP/1.1", 400),
        (b"CONNECT a:443 HTTP/1.1", 501),
    ],
)
def test_request_lines_that_are_refused(line, status):
    assert refusal(head(line, b"Host: a")) == status


def test_the_version_is_judged_before_the_fields():
    assert refusal(head(b"GET / HTTP/2.0", b"no colon")) == 505


@pytest.mark.parametrize(
    "method", [b"get", b"M-SEARCH", b"!#$%&'*+-.^_`|~09Az"]
)
def test_any_token_is_a_method(method):
    line = method + b" / HTTP/1.1"
    assert get(line=line).method == method.decode()


@pytest.mark.parametrize(
    ("target", "resolved", "host"),
    [
        (b"http://b", b"/", b"b"),
        (b"http://b/", b"/", b"b"),
        (b"HTTP://b/x?y", b"/x?y", b"b"),
        (b"http://b:1?y", b"/?y", b"b:1"),
        (b"http://[::1]:8000/x", b"/x", b"[::1]:8000"),
        (b"http://b//c", b"//c", b"b"),
    ],
)
def test_absolute_form_replaces_host(target, resolved, host):
    request = get(b"X: 1", line=b"GET " + target + b" HTTP/1.1")
    assert request.target == resolved
    assert request.headers == [(b"host", host), (b"x", b"1")]
    assert request.fields == {b"host": host, b"x": b"1"}


@pytest.mark.parametrize(
    ("target", "scheme", "accepted"),
    [
        (b"http://b/x", b"http", True),
        (b"https://b/x", b"http", False),
        (b"HTTPS://b/x", b"https", True),
        (b"http://b/x", b"https", False),
    ],
)
def test_absolute_form_has_the_scheme_of_the_connection(
    target, scheme, accepted
):
    data = head(b"GET " + target + b" HTTP/1.1", b"Host: a")
    if accepted:
        assert parse_request(data, scheme).target == b"/x"
    else:
        with pytest.raises(ProtocolError, match="not spoken here") as caught:
            parse_request(data, scheme)
        assert caught.value.status == 421


def test_options_of_no_path_is_about_the_server():
    for target, resolved in [
        (b"http://b", b"*"),
        (b"http://b/", b"/"),
        (b"http://b?x", b"/?x"),
    ]:
        line = b"OPTIONS " + target + b" HTTP/1.1"
        assert get(line=line).target == resolved


def test_absolute_form_gives_http_1_0_a_host():
    line = b"GET http://b/x HTTP/1.0"
    assert get(line=line, host=None).headers == [(b"host", b"b")]


@pytest.mark.parametrize(
    "line",
    [
        b"GET http:// HTTP/1.1",
        b"GET http:///x HTTP/1.1",
        b"GET http://:80/x HTTP/1.1",  # an empty host (RFC 9110, 4.2.1)
        b"GET http://user@b/ HTTP/1.1",
        b"GET ftp://b/ HTTP/1.1",
        b"GET http:/b HTTP/1.1",
        b"GET b/x HTTP/1.1",
        b"GET * HTTP/1.1",
        b"OPTIONS ** HTTP/1.1",
        b"GET /x#y HTTP/1.1",
        b"GET http://b/#y HTTP/1.1",
        b"GET http://b#y HTTP/1.1",
    ],
)
def test_targets_that_are_refused(line):
    assert refusal(head(line, b"Host: a")) == 400


def test_asterisk_form():
    assert get(line=b"OPTIONS * HTTP/1.1").target == b"*"


def test_connect_is_refused_whatever_its_target():
    for target in (b"a:443", b"/", b"*", b"http://a/"):
        line = b"CONNECT " + target + b" HTTP/1.1"
        assert refusal(head(line, b"Host: a")) == 501


@pytest.mark.parametrize(
    "host",
    [
        b"", b"a", b"a:", b"a:80", b"A.example", b"127.0.0.1:8000", b"[::1]",
        b"[::ffff:1.2.3.4]:80", b"x_y-z.~", b"a%20b", b"a,b", b"[v1.a]:80",
    ],
)  # fmt: skip
def test_hosts(host):
    assert get(host=b"Host: " + host).fields[b"host"] == host


@pytest.mark.parametrize(
    "host",
    [
        b"a b", b"a/b", b"a:b", b"a:80:80", b"u@a", b"a?b", b"a#b", b"[::1",
        b"::1", b"[x]", b"a\\b", b"\xe9", b'"a"', b"http://a", b"a, b",
        b"a%zz", b"a%2", b"[:::::]", b"[.]", b"[1.2.3.4]", b"[::1::2]",
        b"[v.a]", b"[::1%eth0]",
    ],
)  # fmt: skip
def test_hosts_that_are_refused(host):
    assert refusal(head(b"GET / HTTP/1.1", b"Host: " + host)) == 400
    assert refusal(head(b"GET / HTTP/1.0", b"Host: " + host)) == 400


def test_one_host_and_only_one():
    assert refusal(head(b"GET / HTTP/1.1")) == 400
    assert refusal(head(b"GET / HTTP/1.1", b"Host: a", b"Host: a")) == 400
    assert refusal(head(b"GET / HTTP/1.1", b"Host:", b"host:")) == 400
    assert get(line=b"GET / HTTP/1.0", host=None).headers == []


@pytest.mark.parametrize(
    "field",
    [
        b"no colon", b": no name", b"A : 1", b"A\t: 1", b" A: 1", b"\tA: 1",
        b" folded", b"A B: 1", b"A(: 1", b'"A": 1', b"\xc4: 1", b"A/B: 1",
        b"A: \x00", b"A: \x01", b"A: \x0b", b"A: \x1f", b"A: \x7f",
        b"A: a\rb", b"A: a\nb", b"A\x00: 1",
    ],
)  # fmt: skip
def test_field_lines_that_are_refused(field):
    assert refusal(head(b"GET / HTTP/1.1", b"Host: a", field)) == 400
    assert refusal(head(b"GET / HTTP/1.1", field, b"Host: a")) == 400


@pytest.mark.parametrize("code", [*range(32), 127])
def test_only_one_control_character_is_text(code):
    data = head(b"GET / HTTP/1.1", b"Host: a", b"A: x%by" % bytes([code]))
    if code == 9:
        assert parse_request(data).fields[b"a"] == b"x\ty"
    else:
        assert refusal(data) == 400


@pytest.mark.parametrize("code", range(128, 256))
def test_obs_text_is_kept(code):
    value = b"x%by" % bytes([code])
    assert get(b"A: " + value).fields[b"a"] == value


@pytest.mark.parametrize(
    "data",
    [
        b"a\nb\r\n\r\n", b"a\r\nb\n\n", b"a\rb\r\n\r\n", b"a\n\n",
        b"a\r\n\n", b"a\rb\nc\r\n\r\n", b"a\n\rb\r\n\r\n",
        b"a\r\r\n\r\n",
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    "before", [b"GET /", b"GET / HTTP/1.1\r\nHost: a\r\nB: "]
)
def test_bare_cr_and_lf_are_refused(before, data):
    assert refusal(before + data) == 400


def test_split_lines():
    assert split_lines(b"a\r\nb: c\r\n\r\n") == [b"a", b"b: c"]


def test_the_number_of_field_lines():
    lines = [b"Host: a"] + [b"A: %d" % n for n in range(MAX_FIELD_LINES)]
    full = head(b"GET / HTTP/1.1", *lines[:MAX_FIELD_LINES])
    assert len(parse_request(full).headers) == MAX_FIELD_LINES
    assert refusal(head(b"GET / HTTP/1.1", *lines)) == 431


def test_parse_fields_of_nothing():
    assert parse_fields([]) == []


def test_known_lines_are_bounded_in_number():
    for number in range(module.KNOWN + 10):
        get(b"X-%d: v" % number, line=b"GET /%d HTTP/1.1" % number)
    assert known_field.cache_info().currsize == module.KNOWN
    assert known_line.cache_info().currsize == module.KNOWN


def test_known_lines_are_bounded_in_size():
    known_field.cache_clear()
    known_line.cache_clear()
    value = b"v" * module.LONG
    assert get(b"X: " + value).fields[b"x"] == value
    assert get(line=b"GET /%b HTTP/1.1" % value).target == b"/" + value
    assert known_field.cache_info().currsize == 0
    assert known_line.cache_info().currsize == 0


def test_a_bad_line_is_not_known():
    known_field.cache_clear()
    for _ in range(2):
        assert refusal(head(b"GET / HTTP/1.1", b"X Bad: v")) == 400
    assert known_field.cache_info().currsize == 0


def test_a_known_line_is_not_parsed_again():
    known_field.cache_clear()
    for _ in range(50):
        assert get(b"X-Same: 1", b"X-Same: 2").fields[b"x-same"] == b"1, 2"
    assert known_field.cache_info().misses == 3


def test_parse_field():
    assert parse_field(b"Host:\t[::1]:80 ") == (b"host", b"[::1]:80")
    assert parse_field(b"X-Y:a:b") == (b"x-y", b"a:b")


def test_tokens():
    request = get(b"A: One,two ,\tTHREE", b"a: four")
    assert request.tokens(b"a") == [b"one", b"two", b"three", b"four"]
    assert b"x" not in request.tokens(b"missing")


@pytest.mark.parametrize(
    ("version", "fields", "keep"),
    [
        (b"1.1", [], True),
        (b"1.1", [b"Connection: Close"], False),
        (b"1.1", [b"Connection: keep-alive"], True),
        (b"1.1", [b"Connection: keep-alive, close"], False),
        (b"1.1", [b"Connection: a", b"Connection: close"], False),
        (b"1.1", [b"Connection: closed"], True),
        (b"1.0", [], False),
        (b"1.0", [b"Connection: Keep-Alive"], True),
        (b"1.0", [b"Connection: close"], False),
        (b"1.0", [b"Connection: keep-alive, close"], False),
        (b"1.0", [b"Connection: other"], False),
    ],
)
def test_keep_alive(version, fields, keep):
    line = b"GET / HTTP/" + version
    assert get(*fields, line=line).keep_alive is keep


@pytest.mark.parametrize(
    ("version", "field", "expects"),
    [
        (b"1.1", b"Expect: 100-continue", True),
        (b"1.1", b"Expect: 100-Continue", True),
        (b"1.1", b"Expect: x, 100-continue", True),
        (b"1.1", b"Expect: 100", False),
        (b"1.1", b"X: 100-continue", False),
        (b"1.0", b"Expect: 100-continue", False),
    ],
)
def test_expects_continue(version, field, expects):
    line = b"POST / HTTP/" + version
    assert get(field, line=line).expects_continue is expects


def test_upgrade():
    wish = [b"Upgrade: WebSocket, h2c"]
    asked = [*wish, b"Connection: keep-alive, Upgrade"]
    assert get(*asked).upgrade == [b"websocket", b"h2c"]
    assert get(*wish).upgrade == []
    assert get().upgrade == []


def test_upgrade_is_ignored_in_http_1_0():
    # RFC 9110, section 7.8: MUST ignore
    asked = [b"Upgrade: websocket", b"Connection: Upgrade"]
    assert get(*asked, line=b"GET / HTTP/1.0").upgrade == []


def test_a_request_made_by_hand():
    request = Request("GET", b"*", "1.1", [])
    assert request.fields == {}
    assert request.keep_alive
    assert not request.expects_continue


@pytest.mark.parametrize(
    "sample",
    [
        head(b"GET / HTTP/1.1", b"Host: a"),
        head(b"GET / HTTP/1.0"),
        head(b"POST /x?y HTTP/1.1", b"Host: a", b"Content-Length: 4"),
        b"\r\n" + head(b"OPTIONS * HTTP/1.1", b"Host:", b"A: \xe9\t"),
    ],
)
def test_a_head_out_of_a_buffer_in_any_pieces(sample):
    whole = parse_request(sample)
    one_by_one = [sample[at : at + 1] for at in range(len(sample))]
    cuts = [[sample[:at], sample[at:]] for at in range(len(sample))]
    for pieces in [[sample], one_by_one, *cuts]:
        buffer, taken = Buffer(), None
        for piece in pieces:
            assert taken is None
            buffer.append(piece)
            taken = buffer.take_through(EMPTY_LINE, 1000)
        request = parse_request(taken)
        assert request.method == whole.method
        assert request.target == whole.target
        assert request.headers == whole.headers
        assert not buffer
    buffer = Buffer()
    buffer.append(sample + b"GET /next")
    parse_request(buffer.take_through(EMPTY_LINE, 1000))
    assert buffer.take(100) == b"GET /next"
