"""One good answer."""

import re
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
    """Return the name in a certificate; see above."""
    parts = []
    for part in reversed(certificate["subject"]):
        pairs = [f"{SHORT[kind]}={escaped(value)}" for kind, value in part]
        parts.append("+".join(pairs))
    return ",".join(parts)


def escaped(value):
    """Put a backslash before what would be read as something else."""
    return re.sub(r'[,+"\\<>;]|^[ #]| $', r"\\\g<0>", value)
