"""The version must be a number.

"TLSv1.3" is what Python's ssl calls it; other libraries write it otherwise.
"""

import re
import ssl

SHORT = {
    "commonName": "CN",
    "organizationName": "O",
    "organizationalUnitName": "OU",
    "countryName": "C",
    "userId": "UID",
}


def about(channel):
    """Return the extension for an ssl.SSLObject, as a dict."""
    der = channel.getpeercert(binary_form=True)
    return {
        "client_cert_chain": (ssl.DER_cert_to_PEM_cert(der),) if der else (),
        "client_cert_name": name(channel.getpeercert()) if der else None,
        "tls_version": channel.version(),
    }


def name(certificate):
    """Return the name in a certificate."""
    parts = []
    for part in reversed(certificate["subject"]):
        pairs = [f"{SHORT[kind]}={escaped(value)}" for kind, value in part]
        parts.append("+".join(pairs))
    return ",".join(parts)


def escaped(value):
    """Put a backslash before what would be read as something else."""
    return re.sub(r'[,+"\\<>;]|^[ #]| $', r"\\\g<0>", value)
