"""One good answer."""

import os
import socket


def listen_at(where: str) -> socket.socket:
    """Return a socket that listens at `where`.

    Raises OSError: somebody listens there already.
    """
    if where.startswith("unix:"):
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        address = where.removeprefix("unix:")
        if os.path.exists(address) and not answers(address):
            os.unlink(address)
    else:
        host, _, port = where.rpartition(":")
        family = socket.AF_INET6 if host.startswith("[") else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        address = host.strip("[]"), int(port)
    try:
        sock.bind(address)
        sock.listen()
    except OSError:
        sock.close()
        raise
    return sock


def answers(path: str) -> bool:
    """Say whether somebody listens at a path."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            return False
    return True
