"""Open the place where a server listens, and open it again after a restart.

`listen_at(where)` takes what people write behind `--bind` and returns a
listening socket:

    127.0.0.1:8000     this machine, port 8000
    127.0.0.1:0        a port that the kernel chooses
    [::1]:8000         the same with IPv6: its address has colons in it
    unix:/tmp/a.sock   a path; the file of a dead server is replaced

Two rules stand beside the addresses. A restart succeeds while old
connections are in TIME_WAIT. A second server on a port or a path where the
first still listens gets the kernel's OSError.

Write it with `socket` and `os`, not with asgi_ref.listen: you have read
that, and this is its shorter sister. `where.startswith("unix:")` and
`where.rpartition(":")` take an address apart.

    pytest chapters/01_listen
"""

import socket


def listen_at(where: str) -> socket.socket:
    """Return a socket that listens at `where`.

    Raises OSError: somebody listens there already.
    """
    host, port = where.split(":")
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.bind((host, int(port)))
    sock.listen()
    return sock
