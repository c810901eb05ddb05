"""Say who the client is, by a list of trusted addresses and networks.

    the peer is not trusted       it is the client, whatever the field says
    the peer is trusted           walk through the field from the right: the
                                  first address that is not trusted
    all of them are trusted       the leftmost one
    what is no address            nothing is believed from there on; the last
                                  one that was found is the client

`ipaddress` in the standard library knows what a network is, and that ::1 and
0:0::1 are one address. Ports and brackets do not occur here.
"""


def client(peer, field, trusted):
    """Return the client's address, a str.

    peer: the address of the connection's other end. field: the value of
    X-Forwarded-For, or None. trusted: a list of addresses and networks, as in
    ["127.0.0.1", "10.0.0.0/8", "2001:db8::/32"]. An address from the field is
    returned as it is written there.
    """
    if field is None or peer not in trusted:
        return peer
    return field.split(",")[-1].strip()
