"""A second server took the path of a living one

The file was in the way, so it went. asyncio does the same.
"""

import os
import socket


def listen_at(where):
    """Return a socket that listens at `where`."""
    if where.startswith("unix:"):
        path = where.removeprefix("unix:")
        if os.path.exists(path):
            os.unlink(path)
        sock = socket.socket(socket.AF_UNIX)
        sock.bind(path)
    else:
        host, _, port = where.rpartition(":")
        host = host.strip("[]")
        ipv6 = ":" in host
        sock = socket.socket(socket.AF_INET6 if ipv6 else socket.AF_INET)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, int(port)))
    sock.listen()
    return sock
