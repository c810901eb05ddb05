"""TLS: files and errors, what an application is told, real handshakes."""

import asyncio
import functools
import gc
import http.client
import logging
import os
import re
import shutil
import socket
import ssl
import time
from contextlib import suppress
from pathlib import Path

import pytest

from asgi_ref import listen, server, tls
from asgi_ref.server import Server, Settings
from asgi_ref.tls import Tls, TlsError, distinguished_name, shake_hands
from asgi_ref.websocket import websocket

OURS = "asgi_ref"  # whose log it is
PATIENCE = 20  # seconds before something that never comes is an error
FOLDER = Path(__file__).parent / "certificates"
CA, CERT, KEY = (
    str(FOLDER / name) for name in ("ca.pem", "server.pem", "server.key")
)
CLIENT, STRANGER = str(FOLDER / "client.pem"), str(FOLDER / "stranger.pem")
ANN = "CN=Ann,OU=Kasse+UID=7,O=Müller\\, Söhne,C=DE"
MEMBERS = {
    *("server_cert", "client_cert_chain", "client_cert_name"),
    *("client_cert_error", "tls_version", "cipher_suite"),
}
ALL_OF_THE_CHAIN = hasattr(ssl.SSLObject, "get_verified_chain")  # 3.13


def client_context(certificate=None, version=None, ca=CA):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(ca)
    context.check_hostname = False
    if certificate:
        context.load_cert_chain(certificate)
    if version:
        context.minimum_version = context.maximum_version = version
    return context


@pytest.fixture
def logged(caplog):
    """What is logged, whatever logging was set up before."""
    log = logging.getLogger(OURS)
    before = log.level, log.propagate
    log.addHandler(caplog.handler)
    log.setLevel(logging.INFO)
    log.propagate = False
    yield lambda: [r.getMessage() for r in caplog.records if r.name == OURS]
    log.level, log.propagate = before
    log.removeHandler(caplog.handler)


# Files, and what is wrong with them.


def test_a_certificate_and_its_key():
    assert isinstance(Tls(CERT, KEY).context, ssl.SSLContext)


def test_both_in_one_file(tmp_path):
    both = tmp_path / "both.pem"
    both.write_text(Path(KEY).read_text() + Path(CERT).read_text())
    one = Tls(str(both))
    assert one.context.cert_store_stats()["x509"] == 0


def test_a_key_behind_a_password():
    locked = str(FOLDER / "locked.key")
    assert Tls(CERT, locked, "secret")
    with pytest.raises(TlsError, match=r"locked\.key: the password is wrong"):
        Tls(CERT, locked, "sesame")
    with pytest.raises(TlsError, match=r"locked\.key: the key is locked"):
        Tls(CERT, locked)  # and nobody is asked at the terminal


def test_a_password_that_is_not_needed_does_no_harm():
    assert Tls(CERT, KEY, "secret")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["nope.pem"], "nope.pem: No such file or directory"),
        ([CERT, "nope.key"], "nope.key: No such file or directory"),
        ([str(FOLDER)], "certificates: Is a directory"),
        ([KEY], "server.key: no certificate in it (PEM)"),
        ([CERT], "server.pem: no private key in it (PEM)"),
        ([CERT, STRANGER], "stranger.pem: is not the key of the certificate"),
        ([CERT, KEY, None, CA], "both: --ssl-ca-certs, --ssl-cert-reqs"),
        ([CERT, KEY, None, None, "optional"], "both: --ssl-ca-certs"),
        ([CERT, KEY, None, KEY, "optional"], "server.key: no certificate"),
        ([CERT, KEY, None, "x.pem", "required"], "x.pem: No such file"),
    ],
)
def test_errors_in_words(arguments, text):
    with pytest.raises(TlsError, match=re.escape(text)):
        Tls(*arguments)


def test_a_damaged_certificate(tmp_path):
    file = tmp_path / "damaged.pem"
    file.write_text(Path(CERT).read_text().replace("MII", "MIX"))
    with pytest.raises(TlsError) as caught:
        Tls(str(file), KEY)
    assert "damaged.pem" in str(caught.value)
    assert "_ssl.c" not in str(caught.value)
    with pytest.raises(TlsError, match=r"damaged\.pem: "):
        Tls(CERT, KEY, None, str(file), "required")


def test_a_certificate_in_der(tmp_path):
    file = tmp_path / "cert.der"
    file.write_bytes(ssl.PEM_cert_to_DER_cert(Path(CERT).read_text()))
    with pytest.raises(TlsError, match="no certificate in it"):
        Tls(str(file), KEY)


def test_a_good_certificate_is_no_news(logged):
    Tls(CERT, KEY)
    assert logged() == []


def test_an_expired_certificate_is_served_with_a_warning(logged):
    assert Tls(str(FOLDER / "expired.pem"), KEY).context
    (line,) = logged()
    assert "expired.pem: certificate has expired; clients will" in line


def test_a_certificate_for_clients_is_not_one_for_servers(logged):
    Tls(CLIENT)
    (line,) = logged()
    assert "client.pem: unsuitable certificate purpose" in line


# What an application is told.


def told(certificate=None, version=None, reqs="required"):
    """Shake hands in memory; return what `about` says, and the client."""
    asks = (CA, reqs) if certificate or reqs == "optional" else (None, "none")
    one = Tls(CERT, KEY, None, *asks)
    client = client_context(certificate, version)
    theirs, ours = shake_hands(client, one.context)
    for end in theirs, ours:
        end.do_handshake()  # TLS 1.2 has not come to its end
    return one.about(ours), theirs


def test_the_members():
    about, _ = told()
    assert set(about) == MEMBERS
    assert about["client_cert_error"] is None


def test_our_own_certificate():
    about, client = told()
    der = client.getpeercert(binary_form=True)
    assert about["server_cert"] == ssl.DER_cert_to_PEM_cert(der)
    assert about["server_cert"] == Path(CERT).read_text()


def test_of_a_chain_ours_is_the_first(tmp_path):
    chain = tmp_path / "chain.pem"
    chain.write_text(Path(CERT).read_text() + Path(CA).read_text())
    one = Tls(str(chain), KEY)
    _, ours = shake_hands(client_context(), one.context)
    assert one.about(ours)["server_cert"] == Path(CERT).read_text()


def test_a_client_without_a_certificate():
    for reqs in "none", "optional":
        about, _ = told(reqs=reqs)
        assert tuple(about["client_cert_chain"]) == ()
        assert about["client_cert_name"] is None
        assert about["client_cert_error"] is None


@pytest.mark.parametrize("reqs", ["optional", "required"])
def test_a_client_with_a_certificate(reqs):
    about, _ = told(CLIENT, reqs=reqs)
    assert about["client_cert_name"] == ANN
    chain = about["client_cert_chain"]
    blocks = re.findall(r"-----BEGIN C.*?-----END C[^\n]*\n", sent(), re.S)
    assert list(chain) == blocks[: 2 if ALL_OF_THE_CHAIN else 1]
    assert all(isinstance(pem, str) for pem in chain)
    assert about["client_cert_error"] is None


def sent():
    return Path(CLIENT).read_text()


@pytest.mark.skipif(not ALL_OF_THE_CHAIN, reason="since Python 3.13")
def test_what_is_sent_besides_is_not_in_the_chain(tmp_path):
    """Each certificate signs the one before it; ours is not sent."""
    more = tmp_path / "more.pem"
    more.write_text(sent() + Path(STRANGER).read_text())
    about, _ = told(str(more))
    assert len(about["client_cert_chain"]) == 2


def test_a_session_that_goes_on_has_its_client():
    one = Tls(CERT, KEY, None, CA, "required")
    client = client_context(CLIENT, ssl.TLSVersion.TLSv1_2)
    first, ours = shake_hands(client, one.context)
    first.do_handshake()
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    theirs = client.wrap_bio(to_client, to_server, session=first.session)
    ours = one.context.wrap_bio(to_server, to_client, server_side=True)
    for end in theirs, ours, theirs, ours:
        with suppress(ssl.SSLWantReadError):
            end.do_handshake()
    assert theirs.session_reused
    about = one.about(ours)
    assert about["client_cert_name"] == ANN
    assert sent().startswith(about["client_cert_chain"][0])


@pytest.mark.parametrize(
    ("version", "number"),
    [(ssl.TLSVersion.TLSv1_2, 0x0303), (ssl.TLSVersion.TLSv1_3, 0x0304)],
)
def test_numbers(version, number):
    about, client = told(version=version)
    assert about["tls_version"] == number
    assert about["cipher_suite"] == SUITES[client.cipher()[0]]


# From the registry of TLS cipher suites; RFC 8446, B.4; RFC 5289.
SUITES = {
    "TLS_AES_128_GCM_SHA256": 0x1301,
    "TLS_AES_256_GCM_SHA384": 0x1302,
    "TLS_CHACHA20_POLY1305_SHA256": 0x1303,
    "ECDHE-ECDSA-AES256-GCM-SHA384": 0xC02C,
    "ECDHE-ECDSA-AES128-GCM-SHA256": 0xC02B,
}


def test_old_versions_are_refused():
    context = Tls(CERT, KEY).context
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert context.options & ssl.OP_NO_RENEGOTIATION


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [(["h2", "http/1.1"], "http/1.1"), (["h2"], None), ([], None)],
)
def test_the_protocol_inside(offered, chosen):
    client = client_context()
    if offered:
        client.set_alpn_protocols(offered)
    theirs, _ = shake_hands(client, Tls(CERT, KEY).context)
    assert theirs.selected_alpn_protocol() == chosen


# Names.


@pytest.mark.parametrize(
    ("subject", "name"),
    [
        ((), ""),
        ([[("commonName", "Ann")]], "CN=Ann"),
        # RFC 4514, section 4
        (
            [
                [("domainComponent", "net")],
                [("domainComponent", "example")],
                [("userId", "jsmith")],
            ],
            "UID=jsmith,DC=example,DC=net",
        ),
        (
            [
                [("domainComponent", "net")],
                [("organizationalUnitName", "Sales"), ("commonName", "J.  S")],
            ],
            "OU=Sales+CN=J.  S,DC=net",
        ),
        (
            [[("commonName", 'James "Jim" Smith, III')]],
            r"CN=James \"Jim\" Smith\, III",
        ),
        ([[("commonName", "Before\rAfter")]], r"CN=Before\0dAfter"),
        ([[("commonName", "Lučić")]], "CN=Lučić"),
        ([[("1.3.6.1.4.1.1466.0", "Hi")]], "1.3.6.1.4.1.1466.0=#0c8200024869"),
        # and the corners
        ([[("commonName", "#1")]], r"CN=\#1"),
        ([[("commonName", " a b ")]], r"CN=\ a b\ "),
        ([[("commonName", " ")]], r"CN=\ "),
        ([[("commonName", "a#b=c")]], "CN=a#b=c"),
        ([[("commonName", "a;b<c>d\\e+f")]], r"CN=a\;b\<c\>d\\e\+f"),
        ([[("commonName", "a\n")]], r"CN=a\0a"),
        ([[("commonName", "a\0b")]], r"CN=a\00b"),
        ([[("emailAddress", "a@b.example")]], "emailAddress=a@b.example"),
        ([[("surname", "Ek"), ("givenName", "Al")]], "SN=Ek+givenName=Al"),
    ],
)
def test_names(subject, name):
    assert distinguished_name(subject) == name


def test_nobody_can_write_himself_a_second_name():
    subject = [[("organizationName", "Ann,CN=root")], [("commonName", "x")]]
    assert distinguished_name(subject) == r"CN=x,O=Ann\,CN=root"


# Real connections.


def on_a_loop(test):
    """Run a coroutine function as a plain, bounded test."""

    @functools.wraps(test)
    def run(*arguments, **named):
        asyncio.run(asyncio.wait_for(test(*arguments, **named), PATIENCE))

    return run


LARGE = 8_000_000
START = {"type": "http.response.start", "status": 200}


async def app(scope, receive, send):
    """Answer with what is known of the client."""
    known = scope["extensions"].get("tls")
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        text = f"{scope['scheme']} {known['client_cert_name']}"
        return await send({"type": "websocket.send", "text": text})
    name = known and known["client_cert_name"]
    if scope["path"] == "/large":
        headers = [(b"content-length", b"%d" % LARGE)]
        await send({**START, "headers": headers})
        return await send({"type": "http.response.body", "body": bytes(LARGE)})
    if scope["path"].startswith("/file"):
        await send(START)
        path = scope["path"].removeprefix("/file")
        return await send({"type": "http.response.pathsend", "path": path})
    text = f"{scope['scheme']} {sorted(known or ())} {name}".encode()
    headers = [(b"content-length", b"%d" % len(text))]
    await send({**START, "headers": headers})
    await send({"type": "http.response.body", "body": text})


class Serving:
    """A server that runs in this loop."""

    def __init__(self, secured=None, **settings):
        self.sock = listen.listen(port=0)
        self.port = self.sock.getsockname()[1]
        settings = Settings(lifespan="off", **settings)
        upgrades = {b"websocket": websocket}
        self.server = Server(app, settings, upgrades, tls=secured)
        self.task = asyncio.create_task(self.server.serve(self.sock))

    async def __aenter__(self):
        await self.server.ready.wait()
        return self

    async def __aexit__(self, *_):
        self.server.stop()
        await self.task

    async def ask(self, context=None, text=b"GET / HTTP/1.1\r\nHost: a\r\n"):
        """Return the answer to one request."""
        reader, writer = await asyncio.open_connection(
            "127.0.0.1",
            self.port,
            ssl=context,
            server_hostname="localhost" if context else None,
        )
        writer.write(text + b"Connection: close\r\n\r\n")
        try:
            return await reader.read()
        finally:
            writer.close()


@on_a_loop
async def test_a_request_with_tls():
    async with Serving(Tls(CERT, KEY)) as serving:
        answer = await serving.ask(client_context())
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    text = answer.partition(b"\r\n\r\n")[2].decode()
    assert text == f"https {sorted(MEMBERS)} None"


@on_a_loop
async def test_without_tls_there_is_no_extension():
    async with Serving() as serving:
        answer = await serving.ask()
    assert answer.endswith(b"\r\n\r\nhttp [] None")


@on_a_loop
async def test_a_request_with_a_client_certificate():
    async with Serving(Tls(CERT, KEY, None, CA, "required")) as serving:
        answer = await serving.ask(client_context(CLIENT))
    assert answer.decode().endswith("] " + ANN)


@on_a_loop
async def test_a_websocket_inside():
    key = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    ask = b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n"
    ask += key + b"Sec-WebSocket-Version: 13\r\nConnection: Upgrade\r\n"
    async with Serving(Tls(CERT, KEY, None, CA, "optional")) as serving:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", serving.port, ssl=client_context(CLIENT)
        )
        writer.write(ask + b"\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 ")
        text = f"wss {ANN}".encode()
        frame = await reader.readexactly(2 + len(text))
        assert frame == bytes([0x81, len(text)]) + text
        writer.close()


@on_a_loop
async def test_http_client_checks_the_name_and_asks_twice():
    def ask():
        context = ssl.create_default_context(cafile=CA)
        client = http.client.HTTPSConnection(
            "localhost", serving.port, timeout=PATIENCE, context=context
        )
        client.request("GET", "/")
        first = client.getresponse().read()
        client.request("GET", "/")
        again = client.getresponse().read()
        client.close()
        return first, again

    async with Serving(Tls(CERT, KEY)) as serving:
        first, again = await asyncio.to_thread(ask)
    assert first == again
    assert first.startswith(b"https ")


@on_a_loop
async def test_a_blocking_client():
    def ask():
        plain = socket.create_connection(("127.0.0.1", serving.port))
        plain.settimeout(PATIENCE)
        context = client_context()
        with (
            plain,
            context.wrap_socket(plain, suppress_ragged_eofs=False) as client,
        ):
            head = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
            client.sendall(head)
            answer = b""
            # Without a closure alert the end would be an error.
            while data := client.recv(4096):
                answer += data
            return answer

    async with Serving(Tls(CERT, KEY)) as serving:
        answer = await asyncio.to_thread(ask)
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")


@on_a_loop
async def test_plain_http_is_answered_in_plain_http(logged):
    async with Serving(Tls(CERT, KEY), access_log=False) as serving:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", serving.port
        )
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 400 Bad Request\r\n")
        length = int(re.search(rb"content-length: (\d+)", head)[1])
        body = await reader.readexactly(length)
        assert body == b"This port speaks TLS: use https://"
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 100)
        writer.write_eof()
        assert await reader.read() == b""
        writer.close()
    (line,) = logged()
    assert "spoke plain HTTP to this TLS port" in line


@on_a_loop
async def test_garbage_gets_no_answer(logged):
    async with Serving(Tls(CERT, KEY)) as serving:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", serving.port
        )
        writer.write(bytes(100))
        with suppress(ConnectionResetError):
            assert await reader.read() == b""
        writer.close()
    (line,) = logged()
    assert "no handshake: wrong version number" in line


@pytest.mark.parametrize(
    ("certificate", "reason", "text"),
    [
        (None, "CERTIFICATE_REQUIRED", "the client has no certificate"),
        (STRANGER, "UNKNOWN_CA", "certificate verify failed"),
    ],
)
@on_a_loop
async def test_a_client_that_is_refused_is_told_why(
    certificate, reason, text, logged
):
    """asyncio alone would hang up, and the client would guess."""
    async with Serving(Tls(CERT, KEY, None, CA, "required")) as serving:
        with pytest.raises(ssl.SSLError, match=reason):
            await serving.ask(client_context(certificate))
    (line,) = logged()
    assert text in line


@on_a_loop
async def test_a_stranger_is_refused_although_none_is_required():
    async with Serving(Tls(CERT, KEY, None, CA, "optional")) as serving:
        answer = await serving.ask(client_context())
        assert answer.endswith(b" None")
        with pytest.raises(ssl.SSLError, match="UNKNOWN_CA"):
            await serving.ask(client_context(STRANGER))


@on_a_loop
async def test_a_client_that_does_not_trust_us(logged):
    def ask():  # asyncio would keep the reason to itself
        plain = socket.create_connection(("127.0.0.1", serving.port))
        plain.settimeout(PATIENCE)
        with plain, pytest.raises(ssl.SSLCertVerificationError):
            client_context(ca=STRANGER).wrap_socket(plain)

    async with Serving(Tls(CERT, KEY)) as serving:
        await asyncio.to_thread(ask)
        while not logged():
            await asyncio.sleep(0.001)
    (line,) = logged()
    assert "the client does not trust our certificate" in line


@on_a_loop
async def test_who_does_not_finish_is_cut_off():
    async with Serving(Tls(CERT, KEY), timeout_header=0.05) as serving:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", serving.port
        )
        writer.write(b"\x16\x03\x01")
        with suppress(ConnectionResetError):
            assert await reader.read() == b""
        writer.close()


def test_what_a_failed_handshake_still_sends_is_thrown_away():
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = Tls(CERT, KEY).context.wrap_bio(
        to_server, to_client, server_side=True
    )
    to_server.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    for _ in range(3):
        with pytest.raises(ssl.SSLWantReadError):
            ours.do_handshake()
        to_server.write(bytes(1000))
    assert to_server.pending <= 1000
    assert to_client.read() == tls.PLAIN_HTTP


def test_the_length_of_the_plain_answer():
    head, _, body = tls.PLAIN_HTTP.partition(b"\r\n\r\n")
    assert b"content-length: %d\r\n" % len(body) in head


def test_the_files_are_read_once(tmp_path):
    for name in "server.pem", "server.key":
        shutil.copy(FOLDER / name, tmp_path)
    one = Tls(str(tmp_path / "server.pem"), str(tmp_path / "server.key"))
    (tmp_path / "server.pem").unlink()
    (tmp_path / "server.key").unlink()
    _, ours = shake_hands(client_context(), one.context)
    assert one.about(ours)["server_cert"] == Path(CERT).read_text()


# What TLS asks of the transport.


def slow_client(port, path, pause, buffer=None):
    """Return the size of an answer; the client pauses before it reads."""
    plain = socket.socket()
    if buffer:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    plain.settimeout(PATIENCE)
    plain.connect(("127.0.0.1", port))
    with (
        plain,
        client_context().wrap_socket(
            plain, suppress_ragged_eofs=False
        ) as client,
    ):
        ask = b"GET %b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        client.sendall(ask % path.encode())
        head = b""
        while b"\r\n\r\n" not in head:
            head += client.recv(100)
        size = len(head.partition(b"\r\n\r\n")[2])
        pause(size)
        while data := client.recv(65536):
            size += len(data)
            pause(size)
        return size


@on_a_loop
async def test_a_file_for_a_slow_client(tmp_path):
    """`loop.sendfile` is not made for more than one call with TLS."""
    file = tmp_path / "large"
    file.touch()
    os.truncate(file, 4 * LARGE)

    def pause(size):
        if size < 2 * LARGE:
            time.sleep(0.001)

    async with Serving(Tls(CERT, KEY)) as serving:
        path = f"/file{file}"
        size = await asyncio.to_thread(slow_client, serving.port, path, pause)
    assert size == 4 * LARGE


@on_a_loop
async def test_a_slow_client_gets_all_of_it(monkeypatch):
    monkeypatch.setattr(server, "LINGER", 0.1, raising=False)

    def pause(size):
        if size < 65536:
            time.sleep(0.5)

    async with Serving(Tls(CERT, KEY)) as serving:
        size = await asyncio.to_thread(
            slow_client, serving.port, "/large", pause, 4096
        )
    assert size == LARGE


@on_a_loop
async def test_clients_that_leave_are_no_news(caplog):
    """asyncio closes for us when a client has; we must not do it again."""
    async with Serving(Tls(CERT, KEY), access_log=False) as serving:
        for _ in range(3):
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", serving.port, ssl=client_context()
            )
            writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            await reader.readuntil(b" None")
            writer.close()
            await writer.wait_closed()
        while serving.server.conversations:
            await asyncio.sleep(0.001)
        gc.collect()
    assert not caplog.records


@on_a_loop
async def test_no_timeouts_means_none():
    async with Serving(Tls(CERT, KEY), timeouts=False) as serving:
        assert serving.server._secured()["ssl_handshake_timeout"] > 3600
    async with Serving(Tls(CERT, KEY), timeout_header=0.0) as serving:
        assert serving.server.ready.is_set()  # asyncio would refuse 0
