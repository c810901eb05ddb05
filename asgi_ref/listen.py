"""Listening sockets: where a server begins.

A listening socket carries no data. It is an address where the kernel queues
finished TCP handshakes until somebody calls `accept()`; each accepted
connection is a socket of its own. This module makes listening sockets for an
address, for a path (unix socket) or out of a file descriptor that was opened
by somebody else, and says in words what is wrong when it cannot.

It does not accept, read or write.

Source: POSIX.1-2017, socket(), bind(), listen(); RFC 9110, section 4.2.1.
"""

from __future__ import annotations

import errno
import os
import re
import socket
import stat
from glob import glob

WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1"}
HOST_ALONE = " Write the host alone (127.0.0.1, ::1); the port is --port."


class CannotListen(Exception):
    """The address cannot be used; the text says why and what to try."""


def listen(
    host: str = "127.0.0.1", port: int = 8000, backlog: int = 2048
) -> socket.socket:
    """Return a socket that listens on host and port.

    Port 0 lets the kernel choose a free port. Backlog is the number of
    finished handshakes that may wait for `accept()`; the kernel may cap it.

    Raises CannotListen.
    """
    if not 0 <= port <= 65535:
        raise CannotListen(f"Port {port} is not in 0-65535.")
    try:
        found = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except (socket.gaierror, UnicodeError) as error:
        hint = HOST_ALONE if set(host) & set("[:/") else ""
        raise CannotListen(f"{host}:{port}: {error}.{hint}") from None
    family, kind, protocol, _, address = found[0]
    sock = socket.socket(family, kind, protocol)
    if os.name == "posix":
        # Without it a restart fails with "address in use" for a minute:
        # the connections of the old server linger in TIME_WAIT.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind(address)
        sock.listen(backlog)
    except OSError as error:
        sock.close()
        raise CannotListen(_explain(error, host, port)) from None
    return sock


def listen_unix(path: str, backlog: int = 2048) -> socket.socket:
    """Return a socket that listens on a path of the file system.

    A socket file that a dead server left behind is replaced.

    Raises CannotListen: somebody answers there, or it is no socket.
    """
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if os.path.exists(path):
            _remove_stale(path)
        sock.bind(path)
        os.chmod(path, 0o666)  # a proxy runs as another user
        sock.listen(backlog)
    except OSError as error:
        sock.close()
        raise CannotListen(f"{path}: {error.strerror or error}") from None
    return sock


def listen_fd(fd: int) -> socket.socket:
    """Return the listening socket that a parent process opened as `fd`.

    Raises CannotListen: there is no listening socket behind that number.
    """
    try:
        sock = socket.socket(fileno=fd)
        if not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            raise ValueError("a socket, but not a listening one")
    except (OSError, ValueError) as error:
        raise CannotListen(f"fd {fd}: {error}") from None
    return sock


def url(sock: socket.socket, scheme: str = "http") -> str:
    """Return the address of a listening socket as one that can be clicked.

    The wildcard 0.0.0.0 is no destination; it is shown as 127.0.0.1.
    """
    address = sock.getsockname()
    if isinstance(address, (str, bytes)):
        return f"unix:{os.fsdecode(address)}"
    host = WILDCARDS.get(address[0], address[0])
    return f"{scheme}://{peer((host, address[1]))}"


def peer(address: tuple[str, object] | None) -> str:
    """Return an address as it is written; None for a unix socket's client."""
    if address is None:
        return "unix socket"
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def close(sock: socket.socket, address: object = None) -> None:
    """Close a listening socket, and remove its file if it has one.

    address: what it was bound to, if it may have been closed already.
    """
    if sock.fileno() >= 0:
        address = sock.getsockname()
    sock.close()
    if isinstance(address, str) and os.path.exists(address):
        os.unlink(address)


def _remove_stale(path: str) -> None:
    if not stat.S_ISSOCK(os.stat(path).st_mode):
        raise OSError(errno.EEXIST, "exists and is not a socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
        else:
            raise OSError(errno.EADDRINUSE, "another server answers there")


def _explain(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        owner = holder(port)
        by = f" by {owner}" if owner else ""
        other = f"--port {port + 1}" if port < 65535 else "--port 8000"
        return f"Port {port} is taken{by}. Try {other} or --port 0."
    if error.errno == errno.EACCES:
        return f"Port {port} needs more rights. Try --port {8000 + port}."
    return f"{host}:{port}: {error.strerror or error}"


def holder(port: int) -> str:
    """Return "pid 4711 (python)" for the process that listens on a port.

    Reads /proc, so only Linux knows; elsewhere, and for processes of other
    users, the answer is "".
    """
    listening = re.compile(rf":{port:04X} [0-9A-F:]+ 0A (?:\S+ +){{5}}(\d+)")
    for table in glob("/proc/net/tcp*"):
        with open(table) as lines:
            for inode in listening.findall(lines.read()):
                for fd in glob("/proc/[0-9]*/fd/*"):
                    if _leads_to(fd, f"socket:[{inode}]"):
                        return _process(fd.split("/")[2])
    return ""


def _leads_to(fd: str, what: str) -> bool:
    try:
        return os.readlink(fd) == what
    except OSError:
        return False  # it ended meanwhile, or it is not ours


def _process(pid: str) -> str:
    try:
        with open(f"/proc/{pid}/comm") as name:
            return f"pid {pid} ({name.read().strip()})"
    except OSError:
        return f"pid {pid}"  # it ended meanwhile
