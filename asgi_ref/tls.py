"""TLS: bytes that nobody else can read, and what an application is told.

    client ── ClientHello: 16 03 01 ... ──▶ server
    client ◀─── its certificate, proof ──── server     the handshake
    client ◀══ 17 03 03 ... encrypted ════▶ server     HTTP, as ever

TLS lies below HTTP: whoever reads and writes the bytes, no line of ours
changes. What an application cannot see in those bytes is told by the scope's
extension "tls": both certificates and what was agreed upon.

`Tls` turns file names into a context, with errors in words, and a connection
into that extension. A handshake that fails is answered and logged.

It does not encrypt, which OpenSSL does, and accepts no connection, which
asyncio does with `Tls.context`. It asks no authority whether a certificate
was revoked.

Source: ASGI TLS extension 0.2; RFC 8446 and 5246 (TLS 1.3 and 1.2); RFC 4514.
"""

from __future__ import annotations

import logging
import re
import ssl
from contextlib import suppress
from typing import Any

log = logging.getLogger("asgi_ref")

# Is a client certificate not asked for, asked for, or insisted on?
CERT_REQS = {"none": 0, "optional": 1, "required": 2}
VERSIONS = {"TLSv1.2": 0x0303, "TLSv1.3": 0x0304}

# OpenSSL's names of the nine attributes, and RFC 4514's. SN is RFC 4519's.
SHORT = {
    **{"commonName": "CN", "localityName": "L", "stateOrProvinceName": "ST"},
    **{"organizationName": "O", "organizationalUnitName": "OU"},
    **{"countryName": "C", "streetAddress": "STREET", "surname": "SN"},
    **{"domainComponent": "DC", "userId": "UID"},
}
SPECIAL = re.compile(r'[\x00-\x1f\x7f]|^[ #]|["+,;<>\\]| $')

# To whom speaks no TLS; and what failures mean.
PLAIN_HTTP = (
    b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\n"
    b"content-length: 34\r\nconnection: close\r\n\r\n"
    b"This port speaks TLS: use https://"
)
WRONG_DOOR = "the client spoke plain HTTP to this TLS port: use https://"
MEANINGS = {
    "HTTP_REQUEST": WRONG_DOOR,
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "the client has no certificate",
    "TLSV1_ALERT_UNKNOWN_CA": "the client does not trust our certificate",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": "the client refused our certificate",
}


class TlsError(Exception):
    """The certificate or the key cannot be used; the text says why."""


class Channel(ssl.SSLObject):
    """One connection; if its handshake fails, both sides learn why."""

    incoming: ssl.MemoryBIO
    outgoing: ssl.MemoryBIO
    failed = False

    def do_handshake(self) -> None:
        """Go on with it; asyncio calls this whenever bytes have come."""
        if not self.failed:
            try:
                return super().do_handshake()
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                raise
            except ssl.SSLError as error:
                self._explain(error)
                if not self.outgoing.pending:
                    raise
                self.failed = True
        # asyncio would hang up, and drop our last words with it. So we want
        # more bytes until the client hangs up or asyncio's time is over.
        self.incoming.read()
        raise ssl.SSLWantReadError

    def _explain(self, error: ssl.SSLError) -> None:
        meaning = MEANINGS.get(error.reason, words(error))
        log.warning("tls       no handshake: %s", meaning)
        if error.reason == "HTTP_REQUEST":
            self.outgoing.write(PLAIN_HTTP)


class Context(ssl.SSLContext):
    """What all connections of a server have in common."""

    sslobject_class = Channel

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        """Make a connection; asyncio asks for one."""
        channel: Any = super().wrap_bio(incoming, outgoing, *args, **kwargs)
        channel.incoming, channel.outgoing = incoming, outgoing
        return channel


class Tls:
    """TLS for one server. context: for asyncio, all files are read.

    certfile: PEM, our certificate first. keyfile: if its key is not in there.
    ca_certs: who signs the clients' certificates. cert_reqs: see CERT_REQS.

    Raises TlsError.
    """

    def __init__(
        self,
        certfile: str,
        keyfile: str | None = None,
        password: str | None = None,
        ca_certs: str | None = None,
        cert_reqs: str = "none",
    ) -> None:
        self.context = context = Context(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_RENEGOTIATION
        context.set_alpn_protocols(["http/1.1"])
        load_key(context, certfile, keyfile, password)
        self._certificate = own_certificate(context, certfile)
        ciphers = context.get_ciphers()
        self._suites = {c["name"]: c["id"] & 0xFFFF for c in ciphers}
        ask_clients(context, ca_certs, cert_reqs)

    def about(self, channel: ssl.SSLObject) -> dict[str, Any]:
        """Return the extension "tls" for the scopes of a connection."""
        cipher = channel.cipher()
        about: dict[str, Any] = {
            "server_cert": self._certificate,
            "client_cert_chain": (),
            "client_cert_name": None,
            "client_cert_error": None,  # then there is no connection
            "tls_version": VERSIONS.get(channel.version() or ""),
            "cipher_suite": self._suites.get(cipher[0]) if cipher else None,
        }
        client: Any = channel.getpeercert()
        if client:
            about["client_cert_chain"] = client_chain(channel)
            about["client_cert_name"] = distinguished_name(client["subject"])
        return about


def load_key(
    context: ssl.SSLContext,
    certfile: str,
    keyfile: str | None,
    password: str | None,
) -> None:
    """Let a context prove who we are. Raises TlsError."""
    keyfile = keyfile or certfile
    require(certfile, b"CERTIFICATE", "certificate")
    require(keyfile, b"PRIVATE KEY", "private key")
    asked = False

    def give() -> str:  # else OpenSSL would ask the terminal
        nonlocal asked
        asked = True
        if password is None:
            raise TlsError(f"{keyfile}: the key is locked, with a password")
        return password

    try:
        context.load_cert_chain(certfile, keyfile, give)
    except ssl.SSLError as error:
        if error.reason in ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH"):
            what = f"is not the key of the certificate in {certfile}"
        elif asked:
            what = "the password is wrong"
        else:
            what = f"with {certfile}, not usable: {words(error)}"
        raise TlsError(f"{keyfile}: {what}") from None


def require(path: str, label: bytes, what: str) -> None:
    """Look for a PEM block in a file. Raises TlsError: there is none."""
    block = b"(?m)^-----BEGIN .*%b-----" % label
    try:
        with open(path, "rb") as file:
            if not re.search(block, file.read()):
                raise TlsError(f"{path}: no {what} in it (PEM)")
    except OSError as error:
        raise TlsError(f"{path}: {error.strerror}") from None


def own_certificate(context: ssl.SSLContext, path: str) -> str:
    """Return the certificate that clients get, as PEM.

    We are our own client. If it does not like what it sees, others will not
    either; that is logged.
    """
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    der = shake_hands(client, context)[0].getpeercert(binary_form=True)
    client.verify_mode = ssl.CERT_REQUIRED
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    client.load_verify_locations(cadata=der)  # who signed it is not asked
    try:
        shake_hands(client, context)
    except ssl.SSLCertVerificationError as error:
        what = error.verify_message
        log.warning("tls       %s: %s; clients will refuse it", path, what)
    return ssl.DER_cert_to_PEM_cert(der or b"")


def shake_hands(
    client: ssl.SSLContext, server: ssl.SSLContext
) -> tuple[ssl.SSLObject, ssl.SSLObject]:
    """Connect two contexts in memory, and return both ends."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = server.wrap_bio(to_server, to_client, server_side=True)
    theirs = client.wrap_bio(to_client, to_server)
    for end in theirs, ours, theirs, ours:
        with suppress(ssl.SSLWantReadError):
            end.do_handshake()
    return theirs, ours


def ask_clients(
    context: ssl.SSLContext, ca_certs: str | None, cert_reqs: str
) -> None:
    """Let a context ask clients who they are. Raises TlsError."""
    if (cert_reqs == "none") != (ca_certs is None):
        raise TlsError("to ask clients, both: --ssl-ca-certs, --ssl-cert-reqs")
    if ca_certs is not None:
        require(ca_certs, b"CERTIFICATE", "certificate")
        try:
            context.load_verify_locations(ca_certs)
        except ssl.SSLError as error:
            raise TlsError(f"{ca_certs}: {words(error)}") from None
        context.verify_mode = ssl.VerifyMode(CERT_REQS[cert_reqs])


def client_chain(channel: ssl.SSLObject) -> tuple[str, ...]:
    """Return the client's certificate, and who signed it, as PEM.

    What the client sent and OpenSSL verified; Python 3.11 and 3.12 tell us
    the first one alone, and so does a session that goes on.
    """
    leaf = channel.getpeercert(binary_form=True)
    sent: list[bytes] = getattr(channel, "get_unverified_chain", list)()
    verified = getattr(channel, "get_verified_chain", list)() or [leaf]
    chain: Any = [der for der in verified if der == leaf or der in sent]
    return tuple(map(ssl.DER_cert_to_PEM_cert, chain))


Names = tuple[tuple[tuple[str, str], ...], ...]


def distinguished_name(subject: Names) -> str:
    """Return a name as RFC 4514 writes it: the last part first.

    subject: as `SSLObject.getpeercert` has it.
    """
    parts = []
    for relative in reversed(subject):
        pairs = [attribute(name, value) for name, value in relative]
        parts.append("+".join(pairs))
    return ",".join(parts)


def attribute(name: str, value: str) -> str:
    """Return one name=value."""
    if name[0].isdigit():  # OpenSSL knows a number only: BER, a UTF8String
        data = value.encode()
        return f"{name}=#0c82{len(data).to_bytes(2).hex()}{data.hex()}"
    return f"{SHORT.get(name, name)}={SPECIAL.sub(escaped, value)}"


def escaped(match: re.Match[str]) -> str:
    """Return a special character so that it means itself."""
    char = match[0]
    return f"\\{ord(char):02x}" if char < " " or char > "~" else "\\" + char


def words(error: ssl.SSLError) -> str:
    """Return what OpenSSL has to say, without the line of its source."""
    reason = error.reason or "DAMAGED"
    return reason.replace("_", " ").lower()
