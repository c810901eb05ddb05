"""The check: real handshakes in memory, and names that are not easy."""

import re
import ssl
from pathlib import Path

import pytest

from asgi_ref.tls import Tls, shake_hands

FOLDER = Path(__file__).resolve().parents[2] / "tests" / "certificates"
CERT, KEY, CA, CLIENT = (
    str(FOLDER / file)
    for file in ("server.pem", "server.key", "ca.pem", "client.pem")
)
ANN = "CN=Ann,OU=Kasse+UID=7,O=Müller\\, Söhne,C=DE"


def told(answer, certificate=None):
    """Return what an application is told of a client."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.load_verify_locations(CA)
    if certificate:
        client.load_cert_chain(certificate)
    secured = Tls(CERT, KEY, None, CA, "optional")
    _, channel = shake_hands(client, secured.context)
    try:
        return answer.about(channel)
    except Exception as error:
        who = "a client with" if certificate else "a client without"
        pytest.fail(
            f"about raised {error!r} for {who} a certificate: its connection "
            "would be lost, and the application never called."
        )


def test_the_version(answer):
    version = told(answer)["tls_version"]
    assert version == 0x0304, (
        f"The version must be a number. The handshake was one of TLS 1.3, "
        f"0x0304, and the application is told {version!r}."
    )


def test_a_client_without_a_certificate(answer):
    about = told(answer)
    assert tuple(about["client_cert_chain"]) == (), (
        "The client showed no certificate: the chain is empty."
    )
    assert about["client_cert_name"] is None, (
        "The client showed no certificate, so nothing is known of it: say "
        f"None, not {about['client_cert_name']!r}. An application will ask "
        "whether there is a name."
    )


def test_the_certificate(answer):
    chain = list(told(answer, CLIENT)["client_cert_chain"])
    assert chain, (
        "The client showed a certificate, and the application is not told: "
        "put it into client_cert_chain."
    )
    assert isinstance(chain[0], str), (
        "getpeercert gives bytes, in DER. The application gets PEM, a str: "
        "see ssl.DER_cert_to_PEM_cert."
    )
    pem = Path(CLIENT).read_text()
    first = re.search(r"-----BEGIN.*?-----END CERTIFICATE-----\n", pem, re.S)
    assert chain[0] == first[0], "The first of the chain is the client's own."


@pytest.mark.parametrize(
    ("subject", "name", "why"),
    [
        (
            ((("commonName", "Ann"),),),
            "CN=Ann",
            "commonName is written CN, and the value follows an =.",
        ),
        (
            ((("countryName", "DE"),), (("commonName", "Ann"),)),
            "CN=Ann,C=DE",
            "RFC 4514 begins with the last part. Nothing but a comma stands "
            "between two of them.",
        ),
        (
            ((("commonName", "Ann"), ("userId", "7")),),
            "CN=Ann+UID=7",
            "This is one part with two pairs: a + between them.",
        ),
        (
            ((("organizationName", "Shop,CN=root"),),),
            r"O=Shop\,CN=root",
            "A comma in a value begins a second name, and now root is here. "
            "A backslash before it makes it a comma again.",
        ),
        (
            ((("commonName", r'<a>;"b"+c\d'),),),
            r"CN=\<a\>\;\"b\"\+c\\d",
            "Each of these needs a backslash; the backslash, too.",
        ),
        (
            ((("commonName", " # "),), (("commonName", "#1"),)),
            r"CN=\#1,CN=\ #\ ",
            "At the beginning of a value a # or a blank, and at its end a "
            "blank, would be read as something else.",
        ),
    ],
    ids=["one", "two", "a pair", "a comma", "others", "at the ends"],
)
def test_names(answer, subject, name, why):
    try:
        got = answer.name({"subject": subject})
    except Exception as error:
        pytest.fail(f"name raised {error!r} for {subject}. {why}")
    assert got == name, f"{why} Expected {name}, got {got}."


def test_the_name_of_a_real_certificate(answer):
    assert told(answer, CLIENT)["client_cert_name"] == ANN, (
        "The parts are right, each for itself; here they are all together, "
        "with letters that are not ASCII. RFC 4514 leaves those as they are."
    )
