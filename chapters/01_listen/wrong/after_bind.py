"""SO_REUSEADDR must be set before bind()

The option is there, two lines too late: bind() has already asked for it.
"""

import errno
import os
import socket


def listen_at(where):
    """Return a socket that listens at `where`."""
    if where.startswith("unix:"):
        path = where.removeprefix("unix:")
        if is_stale(path):
            os.unlink(path)
        sock = socket.socket(socket.AF_UNIX)
        sock.bind(path)
    else:
        host, _, port = where.rpartition(":")
        host = host.strip("[]")
        ipv6 = ":" in host
        sock = socket.socket(socket.AF_INET6 if ipv6 else socket.AF_INET)
        sock.bind((host, int(port)))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.listen()
    return sock


def is_stale(path):
    """Say whether a dead server left this file."""
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(path) == errno.ECONNREFUSED
