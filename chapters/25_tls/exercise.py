"""Tell the application who the client is: scope["extensions"]["tls"].

From the ASGI TLS extension, what is needed here:

    client_cert_chain  a tuple of PEM strings; the client's certificate is
                       the first. () if there is none. One is enough here.
    client_cert_name   its name as RFC 4514 writes it, or None:
                         the parts from the last to the first, with commas
                         and no blanks between them; several pairs in one
                         part with + between them
                         short names, see SHORT
                         a backslash before each of  , + " \\ < > ;  in a
                         value, before a # or a blank at its beginning, and
                         before a blank at its end
    tls_version        a number: 0x0303 for TLS 1.2, 0x0304 for TLS 1.3

What Python's ssl knows of the client, once the handshake is over:

    channel.version()                      "TLSv1.3"
    channel.getpeercert(binary_form=True)  bytes (DER), or None
    channel.getpeercert()                  a dict, or None; its "subject" is
        ((("organizationName", "Shop"),),
         (("commonName", "Ann"), ("userId", "7")))
    ssl.DER_cert_to_PEM_cert(der)          a str
"""

import ssl

SHORT = {
    "commonName": "CN",
    "organizationName": "O",
    "organizationalUnitName": "OU",
    "countryName": "C",
    "userId": "UID",
}


def about(channel: ssl.SSLObject):
    """Return the extension for an ssl.SSLObject, as a dict."""
    return {
        "client_cert_chain": (),
        "client_cert_name": name(channel.getpeercert()),
        "tls_version": channel.version(),
    }


def name(certificate):
    """Return the name in a certificate; see above."""
    return str(certificate)
