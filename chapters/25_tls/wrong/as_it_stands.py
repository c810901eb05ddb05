"""A comma in a value begins a second name.

Whoever may choose the name of his company can choose his name here.
"""

import ssl

SHORT = {
    "commonName": "CN",
    "organizationName": "O",
    "organizationalUnitName": "OU",
    "countryName": "C",
    "userId": "UID",
}
VERSIONS = {"TLSv1.2": 0x0303, "TLSv1.3": 0x0304}


def about(channel):
    """Return the extension for an ssl.SSLObject, as a dict."""
    der = channel.getpeercert(binary_form=True)
    return {
        "client_cert_chain": (ssl.DER_cert_to_PEM_cert(der),) if der else (),
        "client_cert_name": name(channel.getpeercert()) if der else None,
        "tls_version": VERSIONS[channel.version()],
    }


def name(certificate):
    """Return the name in a certificate."""
    parts = []
    for part in reversed(certificate["subject"]):
        pairs = [f"{SHORT[kind]}={value}" for kind, value in part]
        parts.append("+".join(pairs))
    return ",".join(parts)
