"""TLS: what is on the wire, and what an application is told."""

import logging
import ssl
import sys
from itertools import groupby

sys.path.insert(0, ".")  # the root, where this is run

from asgi_ref.connection import Connection
from asgi_ref.request import ProtocolError
from asgi_ref.tls import Tls, TlsError, distinguished_name, shake_hands

FOLDER = "tests/certificates/"
CERT, KEY, CA = FOLDER + "server.pem", FOLDER + "server.key", FOLDER + "ca.pem"
ASK = b"GET /secret HTTP/1.1\r\nHost: localhost\r\n\r\n"
REFUSED = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n"
RECORD = [
    (b"\x16", "what it is: 22, handshake"),
    (b"\x03\x01", "a version, for old times' sake"),
    (b"\x02\x00", "512 bytes follow"),
    (b"\x01", "the first of them: ClientHello"),
]
HANDSHAKE = [
    ("client", "server", "16: ClientHello, my half of a key"),
    ("server", "client", "16: ServerHello, my half of it"),
    ("server", "client", "17: certificate, proof, done"),
    ("client", "server", "17: done"),
    ("client", "server", "17: GET /secret"),
]


def client_context(certificate=None):
    """Return a client that trusts our authority, and no other."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(CA)
    if certificate:
        context.load_cert_chain(FOLDER + certificate)
    return context


SECURED = Tls(CERT, KEY)


class Side:
    """One end of a connection in memory."""

    def __init__(self, context, **how):
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, **how)

    def hear(self, data):
        """Take bytes from the wire; return those to be sent, and an error."""
        self.incoming.write(data)
        error = ""
        try:
            self.tls.do_handshake()
        except ssl.SSLWantReadError:
            pass  # it needs more of them
        except ssl.SSLError as failed:
            error = failed.reason
        return self.outgoing.read(), error


def https_to_a_plain_port():
    """Let a client that speaks TLS meet chapter 06."""
    client = Side(client_context(), server_hostname="localhost")
    hello, _ = client.hear(b"")
    print("client sends", hello[:3].hex(" "))
    connection = Connection()
    connection.receive_data(hello)
    try:
        connection.next_event()
    except ProtocolError as error:
        print("server logs ", error.status, str(error)[:44], "...")
    print("server sends", REFUSED[:24])
    print("client reads", client.hear(REFUSED)[1])


def obvious():
    """Give Python's ssl a certificate, and be done."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERT, KEY)
    return context


def http_to_a_tls_port(context):
    """Let a client that speaks plain HTTP meet a server with TLS."""
    server = Side(context, server_side=True)
    print("client sends", ASK[:20])
    sent, error = server.hear(ASK)
    print("server says ", error or "more, please")
    print("client reads", sent[:24])


def fails():
    """Knock at the wrong door, twice."""
    print("== fails ==")
    https_to_a_plain_port()
    print()
    http_to_a_tls_port(obvious())


def records(data):
    """Return the first byte of each record, in hexadecimal."""
    while data:
        yield data[:1].hex()
        data = data[5 + int.from_bytes(data[3:5]) :]


def on_the_wire():
    """Print what somebody sees who listens."""
    print("== on the wire ==")
    server = Side(SECURED.context, server_side=True)
    client = Side(client_context(), server_hostname="localhost")
    hello, _ = client.hear(b"")
    kinds = [kind for kind, _ in groupby(records(hello))]
    print("client:", *kinds, "  localhost in it:", b"localhost" in hello)
    answer, _ = server.hear(hello)
    kinds = [kind for kind, _ in groupby(records(answer))]
    print("server:", *kinds, "  Root in it:", b"Root" in answer)
    server.hear(client.hear(answer)[0])
    client.tls.write(ASK)
    data = client.outgoing.read()
    print("client:", *records(data), "  secret in it:", b"secret" in data)
    server.incoming.write(data)
    print("inside:", server.tls.read()[:20])


def the_wrong_door():
    """Speak plain HTTP to our module."""
    print("== the wrong door ==")
    http_to_a_tls_port(SECURED.context)


def told(context, secured):
    """Shake hands in memory; print what an application is told."""
    context.check_hostname = False
    client, server = shake_hands(context, secured.context)
    for name, value in secured.about(server).items():
        if isinstance(value, int):
            value = f"{value:#06x}"
        elif isinstance(value, tuple):
            value = [pem.split("\n")[1][:11] + "..." for pem in value[:1]]
        elif name == "server_cert":
            value = value.split("\n")[1][:11] + "..."
        print(f"  {name}: {value}")
    return client


def extension():
    """Print the extension for a client that stays unknown."""
    print("== extension ==")
    client = told(client_context(), SECURED)
    print("the client knows it as", client.cipher()[0])


def who_are_you():
    """Ask three clients who they are."""
    print("== who are you ==")
    secured = Tls(CERT, KEY, None, CA, "required")
    for certificate in "client.pem", None, "stranger.pem":
        print(certificate)
        server = Side(secured.context, server_side=True)
        client = Side(client_context(certificate), server_hostname="localhost")
        answer, _ = server.hear(client.hear(b"")[0])
        answer, _ = server.hear(client.hear(answer)[0])
        client.incoming.write(answer)
        try:
            client.tls.read()
        except ssl.SSLWantReadError:
            print("  server:", secured.about(server.tls)["client_cert_name"])
        except ssl.SSLError as error:
            print("  client:", error.reason)


def wrong_files():
    """Give files that do not do."""
    print("== wrong files ==")
    for files in (
        ["nope.pem"],
        [CERT],
        [CERT, FOLDER + "stranger.pem"],
        [CERT, FOLDER + "locked.key"],
        [FOLDER + "expired.pem", KEY],
    ):
        try:
            Tls(*files)
        except TlsError as error:
            print(str(error).replace(FOLDER, ""))


def walk(wire=print):
    """Shake hands; write a client's name."""
    server = shake_hands(client_context(), SECURED.context)[1]
    wire("scope", SECURED.about(server))
    subject = ((("organizationName", "Ann, CN=root"),), (("userId", "7"),))
    wire("scope", {"client_cert_name": distinguished_name(subject)})


def main():
    """Run all of it."""
    logging.basicConfig(
        stream=sys.stdout, format="log: %(message)s", level=logging.WARNING
    )
    logging.getLogger("asgi_ref").addFilter(without_folder)
    for part in fails, on_the_wire, the_wrong_door, extension, who_are_you:
        part()
    wrong_files()


def without_folder(record):
    """Make log lines short."""
    record.msg, record.args = record.getMessage().replace(FOLDER, ""), ()
    return True


if __name__ == "__main__":
    main()
