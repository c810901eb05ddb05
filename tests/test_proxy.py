"""The proxy headers: whose word is taken for who the client is."""

import asyncio
import json
import socket

import pytest

import asgi_ref
from asgi_ref import proxy
from asgi_ref.listen import listen_unix
from asgi_ref.proxy import ProxyHeaders
from asgi_ref.server import Server, Settings

PATIENCE = 20  # seconds before something that never comes is an error
NGINX = "10.0.0.2"
TRUSTED = "10.0.0.0/8, 127.0.0.1"
FOR, PROTO = b"x-forwarded-for", b"x-forwarded-proto"


def told(
    *headers, peer=NGINX, trusted=TRUSTED, kind="http", scheme=None, app=None
):
    """Return the scope that an application behind the middleware gets.

    headers: field lines, values of X-Forwarded-For or (name, value).
    """
    pairs = [h if isinstance(h, tuple) else (FOR, h) for h in headers]
    scope = {
        "type": kind,
        "scheme": scheme or ("ws" if kind == "websocket" else "http"),
        "client": (peer, 41000) if peer else None,
        "headers": pairs,
    }
    seen = []

    async def application(scope, receive, send):
        seen.append(scope)

    middleware = app or ProxyHeaders
    asyncio.run(middleware(application, trusted)(scope, None, None))
    return seen[0]


def client(*headers, **more):
    return told(*headers, **more)["client"]


# Who is trusted.


def test_a_trusted_peer_says_who_the_client_is():
    assert client(b"203.0.113.9") == ("203.0.113.9", 0)


@pytest.mark.parametrize("peer", ["203.0.113.66", "11.0.0.2", "::1", "x", ""])
def test_of_anybody_else_nothing_is_believed(peer):
    forged = b"127.0.0.1", (PROTO, b"https")
    scope = told(*forged, peer=peer or None)
    assert scope["client"] == ((peer, 41000) if peer else None)
    assert scope["scheme"] == "http"


@pytest.mark.parametrize(
    ("trusted", "peer"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("127.0.0.1,::1", "::1"),
        ("0:0::1", "::1"),
        (" 192.0.2.0/24 , 10.0.0.0/8 ", "10.255.0.1"),
        ("2001:db8::/32", "2001:db8:0:1::9"),
        ("10.0.0.2", "::ffff:10.0.0.2"),  # a dual-stack socket's client
        ("::ffff:10.0.0.2", "10.0.0.2"),
        ("fe80::/10", "fe80::1%eth0"),
        ("*", "203.0.113.66"),
        ("*", None),
        ("*", "testclient"),
        ("unix", None),
        ("unix,10.0.0.2", "10.0.0.2"),
    ],
)
def test_trusted(trusted, peer):
    found = client(b"203.0.113.9", peer=peer, trusted=trusted)
    assert found == ("203.0.113.9", 0)


@pytest.mark.parametrize(
    ("trusted", "peer"),
    [
        ("127.0.0.1", None),
        ("unix", "127.0.0.1"),
        ("unix", "unix"),
        ("10.0.0.2", "10.0.0.20"),
        ("10.0.0.0/25", "10.0.0.200"),
        ("0.0.0.0/0", "::1"),
    ],
)
def test_not_trusted(trusted, peer):
    found = client(b"203.0.113.9", peer=peer, trusted=trusted)
    assert found == ((peer, 41000) if peer else None)


def test_by_default_this_machine_is_trusted_and_nobody_else():
    def default(app, trusted):
        return ProxyHeaders(app)

    for peer in "127.0.0.1", "::1":
        assert client(b"192.0.2.1", peer=peer, app=default)[0] == "192.0.2.1"
    for peer in "127.0.0.2", "10.0.0.2", None:
        found = client(b"192.0.2.1", peer=peer, app=default)
        assert found == ((peer, 41000) if peer else None)


@pytest.mark.parametrize(
    "wrong",
    [
        "nginx",
        "localhost",
        "10.0.0.1/8",
        "10.0.0.0/33",
        "10.",
        "10.0.0.2:80",
        "[::1]",
        "unix:/tmp/a.sock",
        "",
        "127.0.0.1,",
        "fe80::1%eth0",
        "**",
    ],
)
def test_what_names_no_proxy_is_refused_with_its_name(wrong):
    with pytest.raises(ValueError, match="names no proxy") as error:
        ProxyHeaders(None, wrong)
    assert f'"{wrong.split(",")[-1]}"' in str(error.value)
    assert "10.0.0.0/8" in str(error.value)
    assert '"unix"' in str(error.value)


def test_host_bits_are_named():
    with pytest.raises(ValueError, match="host bits"):
        ProxyHeaders(None, "10.0.0.1/8")


# The walk from the right.


def test_the_first_untrusted_address_from_the_right_is_the_client():
    assert client(b"127.0.0.1, 203.0.113.9") == ("203.0.113.9", 0)
    found = client(b"6.6.6.6, 203.0.113.9, 10.0.0.7, 127.0.0.1")
    assert found == ("203.0.113.9", 0)


def test_if_all_are_trusted_it_is_the_first():
    assert client(b"10.0.0.9,10.0.0.7") == ("10.0.0.9", 0)
    found = client(b"6.6.6.6, 203.0.113.9", trusted="*")
    assert found == ("6.6.6.6", 0)


def test_several_field_lines_are_one_list():
    assert client(b"6.6.6.6", b"203.0.113.9") == ("203.0.113.9", 0)
    found = client(b"6.6.6.6", b"203.0.113.9", b"10.0.0.7")
    assert found == ("203.0.113.9", 0)


@pytest.mark.parametrize(
    "garbage",
    [
        b"unknown",
        b"_hidden",
        b"unix:",
        b"",
        b"localhost",
        b"<script>",
        b"1.2.3",
        b"01.2.3.4",
        b"1.2.3.4:",
        b"1.2.3.4:x",
        b"1.2.3.4:65536",
        b"1.2.3.4:-1",
        b"1.2.3.4:123456",
        b"1.2.3.4 5.6.7.8",
        b"1.2.3.4;5.6.7.8",
        b"[1.2.3.4",
        b"[2001:db8::1",
        b"2001:db8::1]",
        b"[2001:db8::1]443",
        b"[2001:db8::1]:x",
        b"[]:1",
        b":80",
        b"fe80::1%x",
        b"fe80::1%<script>",
        b"\xb2.1.1.1",
        b"\xff",
        b"1.2.3.4\xa0",
        b"for=1.2.3.4",
        b'"1.2.3.4"',
    ],
)
def test_nothing_is_believed_from_garbage_on(garbage):
    # Whoever wrote the garbage is the last one whom we know.
    assert client(b"6.6.6.6, " + garbage) == (NGINX, 41000)
    found = client(b"6.6.6.6, " + garbage + b", 10.0.0.7")
    assert found == ("10.0.0.7", 0)


@pytest.mark.parametrize(
    ("hop", "expected"),
    [
        (b"203.0.113.9:443", ("203.0.113.9", 443)),
        (b"203.0.113.9:0", ("203.0.113.9", 0)),
        (b"203.0.113.9:65535", ("203.0.113.9", 65535)),
        (b"2001:db8::9", ("2001:db8::9", 0)),
        (b"2001:db8::9:80", ("2001:db8::9:80", 0)),
        (b"[2001:db8::9]", ("2001:db8::9", 0)),
        (b"[2001:db8::9]:443", ("2001:db8::9", 443)),
        (b"\t 203.0.113.9\t", ("203.0.113.9", 0)),
    ],
)
def test_ports_and_brackets(hop, expected):
    assert client(b"6.6.6.6, " + hop) == expected


def test_one_address_has_one_spelling():
    assert client(b"2001:DB8:0::0009")[0] == "2001:db8::9"
    assert client(b"::ffff:203.0.113.9")[0] == "203.0.113.9"
    found = client(b"6.6.6.6, ::ffff:203.0.113.9, ::ffff:10.0.0.7")
    assert found[0] == "203.0.113.9"


def test_a_trusted_hop_with_a_port_is_skipped():
    found = client(b"203.0.113.9, 10.0.0.7:41000")
    assert found == ("203.0.113.9", 0)


def test_a_long_list_is_not_walked_to_its_end():
    hops = b", ".join(b"10.0.0.%d" % n for n in range(200, 100, -1))
    assert client(b"6.6.6.6, " + hops) == (f"10.0.0.{100 + proxy.HOPS}", 0)
    longest = b",".join(b"::%x" % n for n in range(1, 9000))  # 50 KB
    found = client(longest, trusted="*")
    assert found == (f"::{9000 - proxy.HOPS:x}", 0)


@pytest.mark.parametrize("begin", [b"[", b"[:", b"1", b":", b"1:1", b"."])
def test_a_long_element_takes_no_long_time(begin):
    # In time that grew with its square, one of them would take a minute.
    for middle in b":", b"1", b"]", b"[", b".":
        garbage = begin + 60_000 * middle + b"x"
        assert client(garbage) == (NGINX, 41000)


# The scheme.


@pytest.mark.parametrize(
    ("kind", "said", "expected"),
    [
        ("http", b"https", "https"),
        ("http", b" HTTPS ", "https"),
        ("http", b"http", "http"),
        ("http", b"wss", "http"),
        ("http", b"gopher", "http"),
        ("http", b"", "http"),
        ("http", b"\xff", "http"),
        ("websocket", b"https", "wss"),
        ("websocket", b"wss", "wss"),
        ("websocket", b"http", "ws"),
        ("websocket", b"ws", "ws"),
        ("websocket", b"gopher", "ws"),
        # The last one is the peer's own word.
        ("http", b"http, https", "https"),
        ("http", b"https,http", "http"),
        ("http", b"https,", "http"),
    ],
)
def test_scheme(kind, said, expected):
    assert told((PROTO, said), kind=kind)["scheme"] == expected


def test_the_proxy_may_have_spoken_plain_http():
    said = (PROTO, b"http")
    assert told(said, scheme="https")["scheme"] == "http"
    said = (PROTO, b"what")
    assert told(said, scheme="https")["scheme"] == "https"


def test_the_scheme_in_several_field_lines():
    lines = (PROTO, b"http"), (PROTO, b"https")
    assert told(*lines)["scheme"] == "https"
    assert told(*lines[::-1])["scheme"] == "http"


def test_each_field_stands_alone():
    scope = told((PROTO, b"https"))
    assert (scope["client"], scope["scheme"]) == ((NGINX, 41000), "https")
    scope = told(b"203.0.113.9")
    assert (scope["client"], scope["scheme"]) == (("203.0.113.9", 0), "http")
    scope = told(b"garbage", (PROTO, b"https"))
    assert (scope["client"], scope["scheme"]) == ((NGINX, 41000), "https")


def test_other_fields_are_not_read():
    scope = told(
        (b"forwarded", b"for=6.6.6.6;proto=https"),
        (b"x-real-ip", b"6.6.6.6"),
        (b"x_forwarded_for", b"6.6.6.6"),
        (b"x-forwarded-host", b"evil"),
    )
    assert scope["client"] == (NGINX, 41000)
    assert scope["scheme"] == "http"


# A middleware.


def passed_on(scope, trusted=TRUSTED):
    """Return what the application was called with."""
    seen = []

    async def application(*arguments):
        seen.append(arguments)

    call = ProxyHeaders(application, trusted)(scope, "receive", "send")
    asyncio.run(call)
    assert seen[0][1:] == ("receive", "send")
    return seen[0][0]


@pytest.mark.parametrize("peer", [NGINX, "203.0.113.66"])
def test_the_scope_of_others_is_not_changed(peer):
    scope = {
        "type": "http",
        "scheme": "http",
        "client": (peer, 41000),
        "headers": [(FOR, b"6.6.6.6"), (PROTO, b"https")],
        "state": {"db": "open"},
    }
    before = {**scope, "headers": list(scope["headers"])}
    found = passed_on(scope)
    assert scope == before
    assert found["headers"] is scope["headers"]
    assert found["state"] is scope["state"]
    assert (found == scope) is (peer != NGINX)


def test_other_types_are_passed_on_untouched():
    scope = {"type": "lifespan", "state": {}}
    assert passed_on(scope) is scope
    scope = {"type": "something.new", "client": (NGINX, 1), "headers": 7}
    assert passed_on(scope) is scope


def test_an_untrusted_peer_costs_one_look_and_no_copy():
    headers = Untouchable()
    scope = {"type": "http", "client": ("6.6.6.6", 1), "headers": headers}
    assert passed_on(scope) is scope


class Untouchable:
    def __iter__(self):
        raise AssertionError("the headers of a stranger were read")


def test_a_scope_without_client():
    scope = {"type": "http", "scheme": "http", "headers": [(FOR, b"1.1.1.1")]}
    assert passed_on(scope) is scope
    assert passed_on(scope, "unix")["client"] == ("1.1.1.1", 0)


def test_what_the_application_raises_comes_through():
    async def broken(scope, receive, send):
        raise LookupError("its own")

    scope = {"type": "http", "client": None, "headers": []}
    with pytest.raises(LookupError, match="its own"):
        asyncio.run(ProxyHeaders(broken)(scope, None, None))


def test_what_is_remembered_is_bounded():
    app = ProxyHeaders(None, TRUSTED)
    for number in range(2 * proxy.CACHED):
        app._trusts(f"192.0.{number // 256}.{number % 256}")
    assert app._trusts.cache_info().currsize == proxy.CACHED


# With real sockets, and field lines as they arrive.


async def show(scope, receive, send):
    """Answer with client and scheme."""
    if scope["type"] == "lifespan":
        return await lifespan(receive, send)
    seen = {key: scope[key] for key in ("client", "scheme")}
    body = json.dumps(seen).encode()
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "bytes": body})
        return await send({"type": "websocket.close"})
    length = [(b"content-length", b"%d" % len(body))]
    start = {"type": "http.response.start", "status": 200, "headers": length}
    await send(start)
    await send({"type": "http.response.body", "body": body})


async def lifespan(receive, send):
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})


UPGRADE = (
    b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13"
    b"\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


async def talk(reader, writer, lines):
    """Return what the application saw of a request with these lines."""
    last = b"" if b"Upgrade" in lines else b"Connection: close\r\n"
    head = b"GET / HTTP/1.1\r\nHost: a\r\n" + lines + last
    writer.write(head + b"\r\n")
    await reader.readuntil(b"\r\n\r\n")
    answer = await reader.readuntil(b"}")
    writer.close()
    return json.loads(answer[answer.index(b"{") :])


def asked(lines, trusted="127.0.0.1"):
    """Return what the application saw, and the client's port."""

    async def run():
        app = show if trusted is None else ProxyHeaders(show, trusted)
        async with asgi_ref.running(app, access_log=False) as url:
            port = int(url.rpartition(":")[2])
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            where = writer.get_extra_info("sockname")[1]
            return await talk(reader, writer, lines), where

    return asyncio.run(asyncio.wait_for(run(), PATIENCE))


def test_real_field_lines():
    lines = (
        b"x-forwarded-for: 6.6.6.6\r\nX-FORWARDED-FOR:\t203.0.113.9:8 \r\n"
        b"X-Forwarded-Proto: https\r\n"
    )
    seen, _ = asked(lines)
    assert seen == {"client": ["203.0.113.9", 8], "scheme": "https"}


def test_a_real_client_that_is_not_trusted():
    lines = b"X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\n"
    for trusted in "10.0.0.0/8", None:
        seen, where = asked(lines, trusted)
        assert seen == {"client": ["127.0.0.1", where], "scheme": "http"}


def test_a_real_websocket():
    lines = b"X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Proto: https\r\n"
    seen, _ = asked(lines + UPGRADE)
    assert seen == {"client": ["203.0.113.9", 0], "scheme": "wss"}


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no unix socket")
@pytest.mark.parametrize("trusted", ["unix", "127.0.0.1"])
def test_a_real_unix_socket(tmp_path, trusted):
    lines = b"X-Forwarded-For: 203.0.113.9\r\n"
    path = str(tmp_path / "s")

    async def run():
        server = Server(ProxyHeaders(show, trusted), Settings())
        task = asyncio.create_task(server.serve(listen_unix(path)))
        await server.ready.wait()
        try:
            streams = await asyncio.open_unix_connection(path)
            return await talk(*streams, lines)
        finally:
            server.stop()
            await task

    seen = asyncio.run(asyncio.wait_for(run(), PATIENCE))
    expected = ["203.0.113.9", 0] if trusted == "unix" else None
    assert seen == {"client": expected, "scheme": "http"}
