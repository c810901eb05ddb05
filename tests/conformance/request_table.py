"""Requests, good and bad, and what has to become of them.

TABLE is a list of entries. Each has a name, the bytes that a client sends
before it closes its side, and what is expected: a tuple of Accepted, or the
status of the refusal. `rule` is the section that decides.

`verdict` reads bytes, in any pieces, as a server would.
"""

from __future__ import annotations

from dataclasses import dataclass

from asgi_ref.connection import Connection, Signal, Writing
from asgi_ref.request import ProtocolError, Request
from asgi_ref.response import Response


@dataclass
class Accepted:
    """A request that was read to its end."""

    method: str
    target: bytes
    body: bytes = b""
    fields: tuple[tuple[bytes, bytes], ...] | None = None  # None: not told
    trailers: tuple[tuple[bytes, bytes], ...] = ()


@dataclass
class Entry:
    """A row of the table."""

    name: str
    rule: str
    data: bytes
    expected: int | tuple[Accepted, ...]


class Hang(AssertionError):
    """The connection gave more events than the bytes can explain."""


# Reading as a server would.


def verdict(pieces: list[bytes]) -> tuple[list[Accepted], int | str]:
    """Return the requests in pieces, and how the reading ended.

    The end is the status of a refusal, "closed" (the client has said all),
    or "last" (the client wanted no further request).
    """
    connection, done = Connection(), []
    patience = 10 + sum(3 + 3 * len(piece) for piece in pieces)
    try:
        for piece in [*pieces, b""]:
            connection.receive_data(piece)
            while True:
                patience -= 1
                if patience < 0:
                    raise Hang
                event = connection.next_event()
                if event is Signal.NEED_DATA:
                    break
                if event is Signal.CLOSED:
                    return done, "closed"
                if isinstance(event, Request):
                    found = accepted(event)
                    connection.send_continue()
                elif isinstance(event, bytes):
                    found.body += event
                else:
                    found.trailers = trailers_of(connection)
                    done.append(found)
                    answer(connection)
                    if not connection.next_cycle():
                        return done, "last"
    except ProtocolError as error:
        # The answer that says why must still be possible.
        assert connection.writing is Writing.HEAD
        answer(connection, error.status)
        assert not connection.next_cycle()
        return done, error.status
    raise AssertionError("the connection waits after its end")


def accepted(request: Request) -> Accepted:
    fields = tuple(request.headers)
    return Accepted(request.method, request.target, b"", fields)


def trailers_of(connection: Connection) -> tuple[tuple[bytes, bytes], ...]:
    return tuple(getattr(connection._incoming, "trailers", ()))


def answer(connection: Connection, status: int = 200) -> None:
    connection.send_response(Response(status), 0)
    connection.send_data(b"", more=False)


# Building rows.

TABLE: list[Entry] = []
HOST = b"Host: a"


def lines(*parts: bytes) -> bytes:
    """Return a head made of lines."""
    return b"\r\n".join([*parts, b"", b""])


def add(name: str, rule: str, data: bytes, *expected: int | Accepted) -> None:
    first = expected[0]
    wanted = first if isinstance(first, int) else tuple(expected)
    TABLE.append(Entry(name, rule, data, wanted))


def got(
    target: bytes = b"/", *fields: tuple[bytes, bytes], method: str = "GET"
) -> Accepted:
    """Return a request without a body; without fields they do not matter."""
    return Accepted(method, target, b"", fields or None)


def posted(body: bytes, *trailers: tuple[bytes, bytes]) -> Accepted:
    return Accepted("POST", b"/", body, None, trailers)


GET = lines(b"GET / HTTP/1.1", HOST)

# Request lines: RFC 9112, section 3.

for name, target in [
    ("root", b"/"),
    ("path", b"/a/b/c"),
    ("query", b"/?a=b&c=d"),
    ("empty query", b"/?"),
    ("two question marks", b"/?a?b"),
    ("escapes", b"/caf%C3%A9%2Fx"),
    ("a broken escape is the application's", b"/%zz%"),
    ("two slashes", b"//a//b"),
    ("dots", b"/../a/./b"),
    ("what browsers send", b'/?[a]={b}|c^`d"'),
    ("sub-delimiters", b"/!$&'()*+,;=:@-._~"),
    ("a url in a query", b"/?http://b/c"),
    ("a long one", b"/" + b"x" * 4000),
]:
    data = lines(b"GET " + target + b" HTTP/1.1", HOST)
    add(f"target: {name}", "9112 3.2.1", data, got(target, (b"host", b"a")))

for method in ["get", "M-SEARCH", "QUERY", "x", "!#$%&'*+-.^_`|~"]:
    data = lines(method.encode() + b" / HTTP/1.1", HOST)
    add(f"method {method}", "9110 9.1", data, got(method=method))

for name, rule, line, status in [
    ("no target", "9112 3", b"GET HTTP/1.1", 400),
    ("empty target", "9112 3", b"GET  HTTP/1.1", 400),
    ("no method", "9112 3", b"/ HTTP/1.1", 400),
    ("two blanks before the target", "9112 3", b"GET  / HTTP/1.1", 400),
    ("two blanks after the target", "9112 3", b"GET /  HTTP/1.1", 400),
    ("blank at the end", "9112 3", b"GET / HTTP/1.1 ", 400),
    ("blank at the start", "9112 3", b" GET / HTTP/1.1", 400),
    ("tab at the start", "9112 3", b"\tGET / HTTP/1.1", 400),
    ("tab instead of a blank", "9112 3", b"GET\t/ HTTP/1.1", 400),
    ("tab after the target", "9112 3", b"GET /\tHTTP/1.1", 400),
    ("blank in the target", "9112 3.2", b"GET /a b HTTP/1.1", 400),
    ("vertical tab in the line", "9112 3", b"GET\x0b/ HTTP/1.1", 400),
    ("form feed in the line", "9112 3", b"GET /\x0cHTTP/1.1", 400),
    ("no version", "9112 3", b"GET /", 400),
    ("lower-case http", "9112 2.3", b"GET / http/1.1", 400),
    ("no minor version", "9112 2.3", b"GET / HTTP/1", 400),
    ("two digits", "9112 2.3", b"GET / HTTP/1.10", 400),
    ("two digits in front", "9112 2.3", b"GET / HTTP/01.1", 400),
    ("version with a sign", "9112 2.3", b"GET / HTTP/+1.1", 400),
    ("version of something else", "9112 2.3", b"GET / ICY/1.1", 400),
    ("unicode digit", "9112 2.3", b"GET / HTTP/1.\xd9\xa1", 400),
    ("method with a slash", "9110 5.6.2", b"GE/T / HTTP/1.1", 400),
    ("method with a colon", "9110 5.6.2", b"GET: / HTTP/1.1", 400),
    ("method in quotes", "9110 5.6.2", b'"GET" / HTTP/1.1', 400),
    ("method with obs-text", "9110 5.6.2", b"G\xc9T / HTTP/1.1", 400),
    ("method with NUL", "9110 5.6.2", b"GE\x00T / HTTP/1.1", 400),
    ("target with utf-8", "3986 2", b"GET /caf\xc3\xa9 HTTP/1.1", 400),
    ("target with latin-1", "3986 2", b"GET /caf\xe9 HTTP/1.1", 400),
    ("target with NUL", "3986 2", b"GET /\x00 HTTP/1.1", 400),
    ("target with DEL", "3986 2", b"GET /\x7f HTTP/1.1", 400),
    ("fragment", "9112 3.2", b"GET /a#b HTTP/1.1", 400),
    ("fragment in a query", "9112 3.2", b"GET /?a#b HTTP/1.1", 400),
    ("relative target", "9112 3.2", b"GET a HTTP/1.1", 400),
    ("query alone", "9112 3.2", b"GET ?a HTTP/1.1", 400),
    ("backslash", "9112 3.2", b"GET \\a HTTP/1.1", 400),
    ("asterisk but not OPTIONS", "9112 3.2.4", b"GET * HTTP/1.1", 400),
    ("asterisk and more", "9112 3.2.4", b"OPTIONS *a HTTP/1.1", 400),
    ("authority", "9112 3.2.3", b"GET a:80 HTTP/1.1", 400),
    ("CONNECT", "9110 9.3.6", b"CONNECT a:443 HTTP/1.1", 501),
    ("CONNECT to a path", "9110 9.3.6", b"CONNECT / HTTP/1.1", 501),
    ("CONNECT to a url", "9110 9.3.6", b"CONNECT http://a/ HTTP/1.1", 501),
    ("HTTP/2.0", "9110 15.6.6", b"GET / HTTP/2.0", 505),
    ("HTTP/3.0", "9110 15.6.6", b"GET / HTTP/3.0", 505),
    ("HTTP/0.9 by name", "9110 15.6.6", b"GET / HTTP/0.9", 505),
]:
    add(f"line: {name}", rule, lines(line, HOST), status)

add("HTTP/2 preface", "9113 3.4", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505)
add("HTTP/0.9", "9112 2.3", b"GET /\r\n", 400)
add("HTTP/0.9 and an empty line", "9112 2.3", b"GET /\r\n\r\n", 400)
add("TLS", "9112 2.2", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400)
add("a proxy's preface", "9112 3", b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n", 400)
TABLE.append(Entry("nothing", "9112 9.3", b"", ()))

# absolute-form: RFC 9112, section 3.2.2.

for target, path, host in [
    (b"http://b", b"/", b"b"),
    (b"http://b/", b"/", b"b"),
    (b"http://b/x?y=z", b"/x?y=z", b"b"),
    (b"http://b?y", b"/?y", b"b"),
    (b"http://b:8443/x", b"/x", b"b:8443"),
    (b"HTTP://B/X", b"/X", b"B"),
    (b"http://[::1]:80/x", b"/x", b"[::1]:80"),
]:
    name = f"absolute-form {target.decode()}"
    data = lines(b"GET " + target + b" HTTP/1.1", HOST, b"X: 1")
    wanted = got(path, (b"host", host), (b"x", b"1"))
    add(name, "9112 3.2.2", data, wanted)

for target in [
    b"http://", b"http:///x", b"http://?x", b"http://:80/", b"http:/b",
    b"http:b", b"ftp://b/", b"file:///x", b"http://u@b/", b"http://u:p@b/",
    b"http://b/#c", b"http://b#c", b"http://b\\c/", b"http://b:x/",
    b"http://[::1/", b"http://b%zz/", b"://b/", b"ws://b/",
]:  # fmt: skip
    data = lines(b"GET " + target + b" HTTP/1.1", HOST)
    add(f"absolute-form {target.decode()}", "9110 4.2", data, 400)

add(
    "absolute-form of https without TLS",
    "9110 7.4",
    lines(b"GET https://b/ HTTP/1.1", HOST),
    421,
)
add(
    "absolute-form in HTTP/1.0",
    "9112 3.2.2",
    lines(b"GET http://b/ HTTP/1.0"),
    got(b"/", (b"host", b"b")),
)
add(
    "absolute-form does not replace a Host that is missing",
    "9112 3.2",
    lines(b"GET http://b/ HTTP/1.1"),
    400,
)
add(
    "asterisk-form",
    "9112 3.2.4",
    lines(b"OPTIONS * HTTP/1.1", HOST),
    got(b"*", method="OPTIONS"),
)

# Versions and what comes before the line: RFC 9112, sections 2.2 and 2.3.

add("HTTP/1.0", "9112 2.3", lines(b"GET / HTTP/1.0"), got())
add("HTTP/1.2", "9110 2.5", lines(b"GET / HTTP/1.2", HOST), got())
add("HTTP/1.2 needs a Host", "9112 3.2", lines(b"GET / HTTP/1.2"), 400)
add("one empty line before", "9112 2.2", b"\r\n" + GET, got())
add("two empty lines before", "9112 2.2", b"\r\n\r\n" + GET, 400)
add("only empty lines", "9112 2.2", b"\r\n\r\n", 400)
add("a bare LF before", "9112 2.2", b"\n" + GET, 400)
add("a bare CR before", "9112 2.2", b"\r" + GET, 400)
add("white space before", "9112 2.2", b" \r\n" + GET, 400)

# Field lines: RFC 9112, section 5; RFC 9110, section 5.5.

for name, line, pair in [
    ("no blank after the colon", b"A:b", (b"a", b"b")),
    ("blanks around", b"A: \t b \t", (b"a", b"b")),
    ("empty", b"A:", (b"a", b"")),
    ("blank", b"A: \t ", (b"a", b"")),
    ("a tab inside", b"A: b\tc", (b"a", b"b\tc")),
    ("blanks inside", b"A: b  c", (b"a", b"b  c")),
    ("colons inside", b"A: b:c:", (b"a", b"b:c:")),
    ("a colon first", b"A::b", (b"a", b":b")),
    ("obs-text", b"A: \x80\xe9\xff", (b"a", b"\x80\xe9\xff")),
    ("utf-8", b"A: \xe2\x82\xac", (b"a", b"\xe2\x82\xac")),
    ("no-break space stays", b"A: \xa0b\xa0", (b"a", b"\xa0b\xa0")),
    ("all of a token", b"!#$%&'*+-.^_`|~9Z: b", (b"!#$%&'*+-.^_`|~9z", b"b")),
    ("an underscore", b"Content_Length: 5", (b"content_length", b"5")),
    ("a digit", b"1: 2", (b"1", b"2")),
    ("a long value", b"A: " + b"b" * 9000, (b"a", b"b" * 9000)),
]:
    data = lines(b"GET / HTTP/1.1", HOST, line)
    wanted = got(b"/", (b"host", b"a"), pair)
    add(f"field: {name}", "9110 5.5", data, wanted)

for name, rule, line in [
    ("no colon", "9112 5", b"A"),
    ("no name", "9112 5", b": b"),
    ("blank before the colon", "9112 5.1", b"A : b"),
    ("tab before the colon", "9112 5.1", b"A\t: b"),
    ("blank before the name", "9112 5.2", b" A: b"),
    ("tab before the name", "9112 5.2", b"\tA: b"),
    ("folded", "9112 5.2", b"A: b\r\n c"),
    ("folded with a tab", "9112 5.2", b"A: b\r\n\tc: d"),
    ("a line of blanks", "9112 5.2", b"  "),
    ("blank in the name", "9110 5.6.2", b"A B: c"),
    ("brackets in the name", "9110 5.6.2", b"A[]: c"),
    ("slash in the name", "9110 5.6.2", b"A/B: c"),
    ("quotes in the name", "9110 5.6.2", b'"A": c'),
    ("obs-text in the name", "9110 5.6.2", b"\xc4: c"),
    ("NUL in the name", "9110 5.6.2", b"A\x00: c"),
    ("NUL", "9110 5.5", b"A: b\x00c"),
    ("NUL at the end", "9110 5.5", b"A: b\x00"),
    ("SOH", "9110 5.5", b"A: \x01"),
    ("BEL", "9110 5.5", b"A: \x07"),
    ("BS", "9110 5.5", b"A: \x08"),
    ("VT", "9110 5.5", b"A: \x0b"),
    ("FF", "9110 5.5", b"A: \x0c"),
    ("ESC", "9110 5.5", b"A: \x1b[0m"),
    ("US", "9110 5.5", b"A: \x1f"),
    ("DEL", "9110 5.5", b"A: \x7f"),
    ("a bare CR", "9112 2.2", b"A: b\rc"),
    ("a bare CR at the end", "9112 2.2", b"A: b\r"),
    ("a bare LF", "9112 2.2", b"A: b\nC: d"),
    ("LF CR", "9112 2.2", b"A: b\n\rC: d"),
    ("CR CR LF", "9112 2.2", b"A: b\r\r\nC: d"),
    ("a bare CR hides a field", "9112 2.2", b"A: b\rContent-Length: 5"),
]:
    data = lines(b"GET / HTTP/1.1", HOST, line)
    add(f"field: {name}", rule, data, 400)
    data = lines(b"GET / HTTP/1.1", line, HOST)
    add(f"field in front: {name}", rule, data, 400)

add(
    "bare LF everywhere",
    "9112 2.2",
    b"GET / HTTP/1.1\nHost: a\n\n",
    400,
)
add(
    "bare LF after the request line",
    "9112 2.2",
    b"GET / HTTP/1.1\nHost: a\r\n\r\n",
    400,
)
add("bare LF at the end", "9112 2.2", GET[:-2] + b"\n", 400)
add("bare CR at the end", "9112 2.2", GET[:-2] + b"\r\r\n\r\n", 400)
add(
    "repeated fields keep their order",
    "9110 5.3",
    lines(b"GET / HTTP/1.1", b"A: 1", HOST, b"a: 2", b"A: 1"),
    got(b"/", (b"a", b"1"), (b"host", b"a"), (b"a", b"2"), (b"a", b"1")),
)

# Host: RFC 9112, section 3.2.

for value in [
    b"", b"a", b"A.Example", b"a:80", b"a:", b"127.0.0.1:1", b"[::1]:1",
    b"[::ffff:1.2.3.4]", b"a_b", b"a%20b", b"a.", b"xn--caf-dma.example",
]:  # fmt: skip
    name = f"Host {value.decode()!r}"
    data = lines(b"GET / HTTP/1.1", b"Host: " + value)
    add(name, "9110 7.2", data, got(b"/", (b"host", value)))

for value in [
    b"a b", b"a, b", b"a/b", b"/", b"http://a", b"u@a", b"a:b", b"a:1:2",
    b"a:-1", b"a?b", b"a#b", b"a\\b", b"::1", b"[::1", b"::1]", b"[a", b"[]",
    b"[g::1]", b"<a>", b'"a"', b"a\xe9", b"a\tb", b"a%zz", b"a%", b"a|b",
]:  # fmt: skip
    name = f"Host {value.decode('latin-1')!r}"
    data = lines(b"GET / HTTP/1.1", b"Host: " + value)
    add(name, "9112 3.2", data, 400)

for name, fields in [
    ("no Host", [b"X: 1"]),
    ("two Hosts", [b"Host: a", b"Host: b"]),
    ("two equal Hosts", [b"Host: a", b"Host: a"]),
    ("two Hosts, one empty", [b"Host: a", b"Host:"]),
    ("two empty Hosts", [b"Host:", b"host:"]),
    ("two Hosts apart", [b"HOST: a", b"X: 1", b"host: b"]),
]:
    add(name, "9112 3.2", lines(b"GET / HTTP/1.1", *fields), 400)

data = lines(b"GET / HTTP/1.0", b"Host: a", b"Host: b")
add("two Hosts in HTTP/1.0", "9112 3.2", data, 400)

# Content-Length: RFC 9112, section 6.3; RFC 9110, section 8.6.


def post(
    *fields: bytes, body: bytes = b"hello", version: str = "1.1"
) -> bytes:
    line = f"POST / HTTP/{version}".encode()
    return lines(line, HOST, *fields) + body


for value in [b"5", b"05", b"000000000000000005", b" \t5\t "]:
    name = f"Content-Length {value.decode()!r}"
    data = post(b"Content-Length: " + value)
    add(name, "9110 8.6", data, posted(b"hello"))

for value in [b"0", b"00"]:
    name = f"Content-Length {value.decode()!r}"
    data = post(b"Content-Length: " + value, body=b"") + GET
    add(name, "9110 8.6", data, posted(b""), got())

for value in [
    b"", b"+5", b"-5", b"-0", b"5.0", b"5e0", b"0x5", b"0b1", b"0o5", b"5_0",
    b"5 5", b"5\t5", b"5,", b",5", b"5;5", b"5, 5", b"5,5", b"5, 6", b'"5"',
    b"five", b"\xb2", b"\xd9\xa5", b"\xef\xbc\x95", b"9" * 19, b"9" * 5000,
    b"18446744073709551621", b"nan", b"5\x00", b"5\x0b",
]:  # fmt: skip
    name = f"Content-Length {value.decode('latin-1')!r:.30}"
    add(name, "9112 6.3", post(b"Content-Length: " + value), 400)

for name, values in [
    ("different", [b"5", b"6"]),
    ("equal", [b"5", b"5"]),
    ("one empty", [b"5", b""]),
    ("zero and five", [b"0", b"5"]),
    ("three", [b"5", b"5", b"5"]),
]:
    fields = [b"Content-Length: " + value for value in values]
    add(f"Content-Length twice: {name}", "9112 6.3", post(*fields), 400)

data = post(b"Content-Length : 5")
add("Content-Length, a blank, a colon", "9112 5.1", data, 400)
data = post(b"Content-Length: 5", version="1.0")
add("Content-Length in HTTP/1.0", "9112 6.3", data, posted(b"hello"))
data = post(b"Content-Length: 5", body=b"hell")
add("the end inside a body", "9112 8", data, 400)
data = post(b"Content-Length: 5", body=b"")
add("the end before a body", "9112 8", data, 400)
add("the end inside a head", "9112 8", GET[:-2], 400)
add("the end inside a line", "9112 8", GET[:7], 400)
add(
    "a body that nobody announced is the next request",
    "9112 6.3",
    post(body=b"hello"),
    400,
)
add(
    "GET with a body",
    "9110 9.3.1",
    lines(b"GET / HTTP/1.1", HOST, b"Content-Length: 5") + b"hello" + GET,
    Accepted("GET", b"/", b"hello"),
    got(),
)
add(
    "a body that looks like a request",
    "9112 6.3",
    post(b"Content-Length: %d" % len(GET), body=GET) + GET,
    posted(GET),
    got(),
)

# Transfer-Encoding: RFC 9112, section 6.1.

CHUNKED = b"Transfer-Encoding: chunked"
HELLO = b"5\r\nhello\r\n0\r\n\r\n"

for value in [b"chunked", b"Chunked", b"CHUNKED", b" \tchunked\t"]:
    name = f"Transfer-Encoding {value.decode()!r}"
    data = post(b"Transfer-Encoding:" + value, body=HELLO) + GET
    add(name, "9112 7.1", data, posted(b"hello"), got())

for value, status in [
    (b"", 400), (b"identity", 400), (b"gzip", 400), (b"chunked, gzip", 400),
    (b"chunked, identity", 400), (b"chunked, chunked", 400), (b"chunk", 400),
    (b"gzip, chunked, chunked", 400), (b"chunked,", 400), (b"xchunked", 400),
    (b"chunked;a=b", 400), (b'"chunked"', 400), (b"chunked\x00", 400),
    (b"\x0bchunked", 400), (b"chunked\x0c", 400), (b"chunked\xa0", 400),
    (b"chunked gzip", 400), (b"gzip, chunked", 501), (b"x, chunked", 501),
    (b"gzip,chunked", 501), (b"deflate , chunked", 501),
]:  # fmt: skip
    name = f"Transfer-Encoding {value.decode('latin-1')!r}"
    data = post(b"Transfer-Encoding: " + value, body=HELLO)
    add(name, "9112 6.1", data, status)

LENGTH = b"Content-Length: 5"
for name, fields, status in [
    ("chunked twice", [CHUNKED, CHUNKED], 400),
    ("chunked, then gzip", [CHUNKED, b"Transfer-Encoding: gzip"], 400),
    ("gzip, then chunked", [b"Transfer-Encoding: gzip", CHUNKED], 501),
    (
        "identity beside chunked",
        [CHUNKED, b"transfer-encoding: identity"],
        400,
    ),
    ("length, then chunked", [LENGTH, CHUNKED], 400),
    ("chunked, then length", [CHUNKED, LENGTH], 400),
    ("length 0 and chunked", [b"Content-Length: 0", CHUNKED], 400),
    ("a bad length and chunked", [b"Content-Length: x", CHUNKED], 400),
    ("length and gzip", [LENGTH, b"Transfer-Encoding: gzip"], 400),
    ("length and an empty one", [LENGTH, b"Transfer-Encoding:"], 400),
    ("a blank before the colon", [b"Transfer-Encoding : chunked"], 400),
    ("folded", [b"Transfer-Encoding:\r\n chunked"], 400),
]:
    data = post(*fields, body=HELLO)
    add(f"Transfer-Encoding: {name}", "9112 6.3", data, status)

data = post(CHUNKED, body=HELLO, version="1.0")
add("Transfer-Encoding in HTTP/1.0", "9112 6.1", data, 400)
data = post(LENGTH, CHUNKED, body=HELLO, version="1.0")
add("both in HTTP/1.0", "9112 6.1", data, 400)

# Chunks: RFC 9112, section 7.1.

for name, body, wanted in [
    ("none", b"0\r\n\r\n", b""),
    ("one", HELLO, b"hello"),
    ("two", b"5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n", b"hello!"),
    ("hexadecimal", b"a\r\n0123456789\r\n0\r\n\r\n", b"0123456789"),
    ("upper case", b"A\r\n0123456789\r\n0\r\n\r\n", b"0123456789"),
    ("leading zeros", b"0005\r\nhello\r\n0000\r\n\r\n", b"hello"),
    ("sixteen digits", b"000000000000000" + HELLO, b"hello"),
    ("CR LF as data", b"2\r\n\r\n\r\n0\r\n\r\n", b"\r\n"),
    ("an end as data", b"5\r\n0\r\n\r\n\r\n0\r\n\r\n", b"0\r\n\r\n"),
    ("extension", b"1;a\r\nx\r\n0\r\n\r\n", b"x"),
    ("extension with a value", b"1;a=b\r\nx\r\n0;c=d\r\n\r\n", b"x"),
    ("two extensions", b"1;a;b=c\r\nx\r\n0\r\n\r\n", b"x"),
    ("blanks in extensions", b"1 ; a\t=  b\r\nx\r\n0\r\n\r\n", b"x"),
    ("quoted extension", b'1;a="b;c"\r\nx\r\n0\r\n\r\n', b"x"),
    ("empty quotes", b'1;a=""\r\nx\r\n0\r\n\r\n', b"x"),
    ("quoted pair", b'1;a="\\"\\\\";b\r\nx\r\n0\r\n\r\n', b"x"),
    ("obs-text in quotes", b'1;a="\xe9"\r\nx\r\n0\r\n\r\n', b"x"),
]:
    data = post(CHUNKED, body=body) + GET
    add(f"chunks: {name}", "9112 7.1", data, posted(wanted), got())

for name, body in [
    ("no size", b"\r\nhello\r\n0\r\n\r\n"),
    ("size of a letter", b"g\r\nhello\r\n0\r\n\r\n"),
    ("negative size", b"-5\r\nhello\r\n0\r\n\r\n"),
    ("size with a plus", b"+5\r\nhello\r\n0\r\n\r\n"),
    ("size with 0x", b"0x5\r\nhello\r\n0\r\n\r\n"),
    ("size with an underscore", b"0_5\r\nhello\r\n0\r\n\r\n"),
    ("size with a comma", b"5,5\r\nhello\r\n0\r\n\r\n"),
    ("size in unicode", b"\xd9\xa5\r\nhello\r\n0\r\n\r\n"),
    ("blank before the size", b" 5\r\nhello\r\n0\r\n\r\n"),
    ("blank after the size", b"5 \r\nhello\r\n0\r\n\r\n"),
    ("tab after the size", b"5\t\r\nhello\r\n0\r\n\r\n"),
    ("NUL after the size", b"5\x00\r\nhello\r\n0\r\n\r\n"),
    ("17 digits", b"00000000000000005\r\nhello\r\n0\r\n\r\n"),
    ("overflow to 5", b"10000000000000005\r\nhello\r\n0\r\n\r\n"),
    ("overflow by many", b"f" * 100 + b"\r\nhello\r\n0\r\n\r\n"),
    ("a size that never comes", b"ffffffffffffffff\r\nhello"),
    ("bare LF after the size", b"5\nhello\r\n0\r\n\r\n"),
    ("bare CR after the size", b"5\rhello\r\n0\r\n\r\n"),
    ("CR CR LF after the size", b"5\r\r\nhello\r\n0\r\n\r\n"),
    ("LF CR after the size", b"5\n\rhello\r\n0\r\n\r\n"),
    ("bare LF after the data", b"5\r\nhello\n0\r\n\r\n"),
    ("bare CR after the data", b"5\r\nhello\r0\r\n\r\n"),
    ("nothing after the data", b"5\r\nhello0\r\n\r\n"),
    ("more data than its size", b"4\r\nhello\r\n0\r\n\r\n"),
    ("less data than its size", b"6\r\nhello\r\n0\r\n\r\n"),
    ("garbage after the data", b"5\r\nhelloXX\r\n0\r\n\r\n"),
    ("two CR LF after the data", b"5\r\nhello\r\n\r\n0\r\n\r\n"),
    ("bare LF after the last size", b"5\r\nhello\r\n0\n\r\n"),
    ("bare LF at the end", b"5\r\nhello\r\n0\r\n\n"),
    ("LF LF at the end", b"5\r\nhello\r\n0\n\n"),
    ("CR CR LF at the end", b"5\r\nhello\r\n0\r\n\r\r\n\r\n"),
    ("no end", b"5\r\nhello\r\n"),
    ("no empty line", b"5\r\nhello\r\n0\r\n"),
    ("half an empty line", b"5\r\nhello\r\n0\r\n\r"),
    ("empty extension", b"5;\r\nhello\r\n0\r\n\r\n"),
    ("extension without a name", b"5;=a\r\nhello\r\n0\r\n\r\n"),
    ("extension without its value", b"5;a=\r\nhello\r\n0\r\n\r\n"),
    ("extension of two words", b"5;a b\r\nhello\r\n0\r\n\r\n"),
    ("extension without a semicolon", b"5 a\r\nhello\r\n0\r\n\r\n"),
    ("two semicolons", b"5;;a\r\nhello\r\n0\r\n\r\n"),
    ("quotes that stay open", b'5;a="b\r\nhello\r\n0\r\n\r\n'),
    ("something after the quotes", b'5;a="b"c\r\nhello\r\n0\r\n\r\n'),
    ("CR in an extension", b"5;a\rb\r\nhello\r\n0\r\n\r\n"),
    ("bare LF after an extension", b"5;a\nhello\r\n0\r\n\r\n"),
    ("LF in quotes", b'5;a="\nhello\r\n0\r\n\r\n'),
    ("NUL in an extension", b"5;a=\x00\r\nhello\r\n0\r\n\r\n"),
    ("a long extension", b"5;" + b"a" * 5000 + b"\r\nhello\r\n0\r\n\r\n"),
]:
    add(f"chunks: {name}", "9112 7.1", post(CHUNKED, body=body), 400)

many = (b"1;" + b"a" * 2000 + b"\r\nx\r\n") * 10 + b"0\r\n\r\n"
add("chunks: many extensions", "9112 7.1.1", post(CHUNKED, body=many), 400)

# Trailers: RFC 9112, section 7.1.2.

for name, section, trailers in [
    ("one", b"A: b\r\n", [(b"a", b"b")]),
    ("two", b"A: b\r\nC:d \r\n", [(b"a", b"b"), (b"c", b"d")]),
    ("empty value", b"A:\r\n", [(b"a", b"")]),
    ("obs-text", b"A: \xe9\r\n", [(b"a", b"\xe9")]),
]:
    data = post(CHUNKED, body=b"1\r\nx\r\n0\r\n" + section + b"\r\n") + GET
    wanted = posted(b"x", *trailers)
    add(f"trailers: {name}", "9112 7.1.2", data, wanted, got())

for name, section, status in [
    ("no colon", b"A\r\n", 400),
    ("blank before the colon", b"A : b\r\n", 400),
    ("folded", b"A: b\r\n c\r\n", 400),
    ("blank in front", b" A: b\r\n", 400),
    ("NUL", b"A: \x00\r\n", 400),
    ("bare LF", b"A: b\nC: d\r\n", 400),
    ("bare CR", b"A: b\rC: d\r\n", 400),
    ("bare LF in front", b"\nA: b\r\n", 400),
    ("bad name", b"A B: c\r\n", 400),
    ("too many", b"A: b\r\n" * 101, 431),
    ("too long", b"A: " + b"b" * 20_000 + b"\r\n", 431),
]:
    data = post(CHUNKED, body=b"1\r\nx\r\n0\r\n" + section + b"\r\n")
    add(f"trailers: {name}", "9112 7.1.2", data, status)

# Limits: RFC 9110, section 15.5.15; RFC 6585, section 5.

LONG = b"x" * 70_000
add("414", "9110 15.5.15", lines(b"GET /" + LONG + b" HTTP/1.1", HOST), 414)
add("414 without an end", "9110 15.5.15", b"GET /" + LONG, 414)
add("414 for a long method", "9110 15.5.15", LONG, 414)
data = lines(b"GET / HTTP/1.1", HOST, b"A: " + LONG)
add("431 for a long field", "6585 5", data, 431)
data = lines(b"GET / HTTP/1.1", HOST, LONG + b": b")
add("431 for a long name", "6585 5", data, 431)
data = lines(b"GET / HTTP/1.1", HOST, *[b"A: " + b"b" * 990] * 80)
add("431 for a long head", "6585 5", data, 431)
data = lines(b"GET / HTTP/1.1", HOST, *[b"A: b"] * 100)
add("431 for 101 lines", "6585 5", data, 431)
data = lines(b"GET / HTTP/1.1", HOST, *[b"A: b"] * 99)
add("100 lines", "6585 5", data, got())

# More than one request: RFC 9112, section 9.3.

LENGTHS = post(LENGTH)
CHUNKS = post(CHUNKED, body=HELLO)
CLOSING = lines(b"GET / HTTP/1.1", HOST, b"Connection: close")
add("pipelined", "9112 9.3.2", GET + GET, got(), got())
add(
    "pipelined bodies",
    "9112 9.3.2",
    LENGTHS + CHUNKS + GET + LENGTHS,
    posted(b"hello"),
    posted(b"hello"),
    got(),
    posted(b"hello"),
)
add(
    "an empty line after each body",
    "9112 2.2",
    LENGTHS + b"\r\n" + CHUNKS + b"\r\n" + GET,
    posted(b"hello"),
    posted(b"hello"),
    got(),
)
add(
    "an empty line after the last body",
    "9112 2.2",
    LENGTHS + b"\r\n",
    posted(b"hello"),
)
add("a good one, a bad one", "9112 9.3.2", GET + b"x\r\n\r\n", 400)
add("nothing after close", "9112 9.6", CLOSING + b"x\r\n\r\n", got())
add(
    "HTTP/1.0 is one request",
    "9112 9.3",
    lines(b"GET / HTTP/1.0") + b"x\r\n\r\n",
    got(),
)
KEEP = lines(b"GET / HTTP/1.0", b"Connection: keep-alive")
add("HTTP/1.0 with keep-alive", "9112 9.3", KEEP + KEEP, got(), got())
data = post(LENGTH, b"Expect: 100-continue")
add("expecting 100", "9110 10.1.1", data + GET, posted(b"hello"), got())
data = lines(b"GET / HTTP/1.1", HOST, b"Upgrade: h2c", b"Connection: upgrade")
add("an upgrade may be ignored", "9110 7.8", data + GET, got(), got())

GOOD = [entry for entry in TABLE if not isinstance(entry.expected, int)]
BAD = [entry for entry in TABLE if isinstance(entry.expected, int)]
