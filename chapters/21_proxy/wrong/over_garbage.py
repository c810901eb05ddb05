"""Who was that? Nobody knows, so nothing left of it may be believed.

Here what is no address is left out, as empty parts of other lists are.
"""

from ipaddress import ip_address, ip_network


def client(peer, field, trusted):
    """Return the client's address, a str."""
    networks = [ip_network(name) for name in trusted]
    client = peer
    hops = field.split(",") if field is not None else []
    hops = [hop.strip() for hop in hops if is_address(hop.strip())]
    while is_trusted(client, networks) and hops:
        client = hops.pop()
    return client


def is_trusted(address, networks):
    """Say whether an address lies in one of the networks."""
    return any(ip_address(address) in network for network in networks)


def is_address(text):
    """Say whether a text is an address."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
