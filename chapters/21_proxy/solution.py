"""Say who the client is, by a list of trusted addresses and networks."""

from ipaddress import ip_address, ip_network


def client(peer, field, trusted):
    """Return the client's address, a str."""
    networks = [ip_network(name) for name in trusted]
    client = peer
    hops = field.split(",") if field is not None else []
    while is_trusted(client, networks) and hops:
        hop = hops.pop().strip()
        if not is_address(hop):
            break
        client = hop
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
