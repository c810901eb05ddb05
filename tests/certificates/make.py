"""Make the certificates in this folder anew. They are for tests only.

    pip install cryptography
    python tests/certificates/make.py

Everybody has these private keys. Trust none of it outside of the tests.
"""

from datetime import datetime
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

FOLDER = Path(__file__).parent
HOSTS = [
    x509.DNSName("localhost"),
    x509.IPAddress(ip_address("127.0.0.1")),
    x509.IPAddress(ip_address("::1")),
]
SERVER = ExtendedKeyUsageOID.SERVER_AUTH
CLIENT = ExtendedKeyUsageOID.CLIENT_AUTH


AUTHORITY = x509.KeyUsage(*[position == 5 for position in range(9)])


def identifiers(key, issuer_key):
    """Return what says whose key it is, and who signed that."""
    yield x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    signer = issuer_key.public_key()
    yield x509.AuthorityKeyIdentifier.from_issuer_public_key(signer)


def name(*parts):
    """Return a name; each part is one relative name, or several."""
    attributes = [
        [x509.NameAttribute(kind, text) for kind, text in part]
        for part in parts
    ]
    return x509.Name(map(x509.RelativeDistinguishedName, attributes))


def common(text):
    return name([(NameOID.COMMON_NAME, text)])


def certificate(subject, key, issuer, issuer_key, usage=None, until=2120):
    """Return a certificate; without a usage it is an authority's."""
    build = x509.CertificateBuilder(
        issuer,
        subject,
        key.public_key(),
        x509.random_serial_number(),
        datetime(2020, 1, 1),
        datetime(until, 1, 1),
    )
    limits = x509.BasicConstraints(ca=usage is None, path_length=None)
    build = build.add_extension(limits, critical=True)
    for extension in identifiers(key, issuer_key):
        build = build.add_extension(extension, False)
    if usage is None:
        build = build.add_extension(AUTHORITY, critical=True)
    if usage:
        build = build.add_extension(x509.ExtendedKeyUsage([usage]), False)
    if usage == SERVER:
        build = build.add_extension(x509.SubjectAlternativeName(HOSTS), False)
    made = build.sign(issuer_key, hashes.SHA256())
    return made.public_bytes(serialization.Encoding.PEM)


def private(key, password=None):
    hidden = serialization.NoEncryption()
    if password:
        hidden = serialization.BestAvailableEncryption(password)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, hidden
    )


def write(file, *parts):
    (FOLDER / file).write_bytes(b"".join(parts))


def main():
    root, branch, server, client, stranger = (
        ec.generate_private_key(ec.SECP256R1()) for _ in range(5)
    )
    top, below, local = map(common, ["Root", "Branch", "localhost"])
    ann = name(
        [(NameOID.COUNTRY_NAME, "DE")],
        [(NameOID.ORGANIZATION_NAME, "Müller, Söhne")],
        [(NameOID.ORGANIZATIONAL_UNIT_NAME, "Kasse"), (NameOID.USER_ID, "7")],
        [(NameOID.COMMON_NAME, "Ann")],
    )
    mallory = common("Mallory")
    write("ca.pem", certificate(top, root, top, root))
    write("server.pem", certificate(local, server, top, root, SERVER))
    old = certificate(local, server, top, root, SERVER, 2021)
    write("expired.pem", old)
    write("server.key", private(server))
    write("locked.key", private(server, b"secret"))
    write(
        "client.pem",
        certificate(ann, client, below, branch, CLIENT),
        certificate(below, branch, top, root),
        private(client),
    )
    write(
        "stranger.pem",
        certificate(mallory, stranger, mallory, stranger, CLIENT),
        private(stranger),
    )


if __name__ == "__main__":
    main()
