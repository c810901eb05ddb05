"""The socket is bound to every address of the machine

It works on my machine, and on everybody else's in the same café.
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
        ipv6 = where.startswith("[")
        port = int(where.rpartition(":")[2])
        sock = socket.socket(socket.AF_INET6 if ipv6 else socket.AF_INET)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("", port))
    sock.listen()
    return sock
