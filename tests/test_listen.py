"""Listening sockets: addresses, paths, file descriptors, and what is wrong."""

import errno
import os
import socket

import pytest

from asgi_ref import listen as module
from asgi_ref.listen import (
    CannotListen,
    _process,
    close,
    holder,
    listen,
    listen_fd,
    listen_unix,
    peer,
    url,
)

needs_unix = pytest.mark.skipif(
    not hasattr(socket, "AF_UNIX"), reason="no unix sockets here"
)
needs_proc = pytest.mark.skipif(
    not os.path.exists("/proc/net/tcp"), reason="no /proc here"
)


def has_ipv6():
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="no IPv6 here")


def talk(sock, family=socket.AF_INET):
    """Say whether a client reaches the listening socket."""
    with socket.socket(family, socket.SOCK_STREAM) as client:
        client.settimeout(5)
        client.connect(sock.getsockname())
        sock.settimeout(5)
        accepted, _ = sock.accept()
        with accepted:
            client.sendall(b"hello")
            return accepted.recv(5) == b"hello"


def test_port_zero_is_a_free_port():
    with listen(port=0) as one, listen(port=0) as other:
        assert one.getsockname()[0] == "127.0.0.1"
        assert one.getsockname()[1] > 0
        assert one.getsockname() != other.getsockname()
        assert talk(one)


def test_a_name_is_looked_up():
    with listen("localhost", 0) as sock:
        assert sock.getsockname()[1] > 0


@needs_ipv6
def test_ipv6():
    with listen("::1", 0) as sock:
        assert sock.family == socket.AF_INET6
        assert talk(sock, socket.AF_INET6)


@pytest.mark.skipif(os.name != "posix", reason="not needed on Windows")
def test_a_restart_finds_the_port_free():
    first = listen(port=0)
    port = first.getsockname()[1]
    client = socket.create_connection(("127.0.0.1", port), 5)
    accepted, _ = first.accept()
    accepted.close()  # the server closes first: its side is in TIME_WAIT
    client.close()
    first.close()
    with listen(port=port) as again:
        assert again.getsockname()[1] == port


def test_a_taken_port_is_explained():
    with listen(port=0) as first:
        port = first.getsockname()[1]
        with pytest.raises(CannotListen) as caught:
            listen(port=port)
    text = str(caught.value)
    assert text.startswith(f"Port {port} is taken")
    other = port + 1 if port < 65535 else 8000
    assert text.endswith(f"Try --port {other} or --port 0.")


@needs_proc
def test_the_holder_of_a_port_is_named():
    with listen(port=0) as first:
        port = first.getsockname()[1]
        with open("/proc/self/comm") as comm:
            me = f"pid {os.getpid()} ({comm.read().strip()})"
        assert holder(port) == me
        with pytest.raises(CannotListen, match="is taken by pid"):
            listen(port=port)
    assert holder(port) == ""


def failing_bind(number):
    def bind(self, address):
        raise OSError(number, os.strerror(number))

    return bind


def test_a_port_without_rights_is_explained(monkeypatch):
    bind = failing_bind(errno.EACCES)
    monkeypatch.setattr(socket.socket, "bind", bind, raising=False)
    with pytest.raises(CannotListen) as caught:
        listen(port=80)
    assert str(caught.value) == "Port 80 needs more rights. Try --port 8080."


def test_the_last_port_has_no_next_one(monkeypatch):
    bind = failing_bind(errno.EADDRINUSE)
    monkeypatch.setattr(socket.socket, "bind", bind, raising=False)
    monkeypatch.setattr(module, "holder", lambda port: "")
    with pytest.raises(CannotListen, match="Try --port 8000 or --port 0"):
        listen(port=65535)


def test_an_address_of_somebody_else_is_explained():
    with pytest.raises(CannotListen, match=r"192\.0\.2\.1:0: "):
        listen("192.0.2.1", 0)  # RFC 5737: never an address of this machine


@pytest.mark.parametrize("port", [-1, 65536, 70000])
def test_a_port_out_of_range_is_refused(port):
    # A resolver may take 70000 modulo 65536 and listen on port 4464.
    with pytest.raises(CannotListen):
        listen(port=port).close()


def test_a_name_that_is_none_is_refused():
    with pytest.raises(CannotListen, match="no such host"):
        listen("no such host", 0)


def test_a_name_that_no_name_can_be_is_refused():
    with pytest.raises(CannotListen, match=r"a\.\.b:0: .*label empty"):
        listen("a..b", 0)


@pytest.mark.parametrize(
    "host", ["127.0.0.1:24001", "http://127.0.0.1", "[::1]"]
)
def test_a_host_that_is_more_than_a_host_gets_a_hint(host):
    with pytest.raises(CannotListen) as caught:
        listen(host, 0)
    hint = "Write the host alone (127.0.0.1, ::1); the port is --port."
    assert str(caught.value).endswith(hint)


def test_a_host_that_is_unknown_gets_no_hint():
    with pytest.raises(CannotListen) as caught:
        listen("no such host", 0)
    assert "--port" not in str(caught.value)


@needs_unix
def test_unix(tmp_path):
    path = str(tmp_path / "s")
    sock = listen_unix(path)
    assert talk(sock, socket.AF_UNIX)
    assert os.stat(path).st_mode & 0o666 == 0o666
    close(sock)
    assert not os.path.exists(path)


@needs_unix
def test_unix_replaces_what_a_dead_server_left(tmp_path):
    path = str(tmp_path / "s")
    listen_unix(path).close()
    assert os.path.exists(path)
    sock = listen_unix(path)
    assert talk(sock, socket.AF_UNIX)
    close(sock)


@needs_unix
def test_unix_leaves_a_living_server_alone(tmp_path):
    path = str(tmp_path / "s")
    first = listen_unix(path)
    with pytest.raises(CannotListen, match="another server answers there"):
        listen_unix(path)
    first.accept()[0].close()  # the probe
    assert talk(first, socket.AF_UNIX)
    close(first)


@needs_unix
def test_unix_does_not_replace_a_file(tmp_path):
    path = tmp_path / "s"
    path.write_text("precious")
    with pytest.raises(CannotListen, match="not a socket"):
        listen_unix(str(path))
    assert path.read_text() == "precious"


@needs_unix
def test_unix_needs_a_folder_and_a_short_path(tmp_path):
    with pytest.raises(CannotListen, match="No such file"):
        listen_unix(str(tmp_path / "missing" / "s"))
    with pytest.raises(CannotListen, match="too long"):
        listen_unix("/tmp/" + 200 * "s")


def test_fd_of_a_parent():
    parent = listen(port=0)
    name = parent.getsockname()
    child = listen_fd(parent.detach())
    assert child.getsockname() == name
    assert talk(child)
    child.close()


def test_fd_without_a_socket():
    read, write = os.pipe()
    try:
        with pytest.raises(CannotListen, match=f"fd {read}: "):
            listen_fd(read)
    finally:
        os.close(read)
        os.close(write)
    with pytest.raises(CannotListen):
        listen_fd(read)  # closed by now


def test_fd_of_a_socket_that_does_not_listen():
    sock = socket.socket()
    with pytest.raises(CannotListen, match="not a listening one"):
        listen_fd(sock.detach())


def test_fd_is_no_negative_number():
    with pytest.raises(CannotListen):
        listen_fd(-1)


def test_a_holder_that_ended_meanwhile_has_no_name():
    assert _process("999999999") == "pid 999999999"


def test_url():
    with listen(port=0) as sock:
        port = sock.getsockname()[1]
        assert url(sock) == f"http://127.0.0.1:{port}"
        assert url(sock, "https") == f"https://127.0.0.1:{port}"


def test_url_of_the_wildcard_can_be_clicked():
    with listen("0.0.0.0", 0) as sock:
        assert url(sock) == f"http://127.0.0.1:{sock.getsockname()[1]}"


@needs_ipv6
def test_url_of_ipv6():
    for host in ("::1", "::"):
        with listen(host, 0) as sock:
            assert url(sock) == f"http://[::1]:{sock.getsockname()[1]}"


@needs_unix
def test_url_of_a_path(tmp_path):
    path = str(tmp_path / "s")
    sock = listen_unix(path)
    assert url(sock) == f"unix:{path}"
    close(sock)


def test_close_twice():
    sock = listen(port=0)
    close(sock)
    close(sock)
    assert sock.fileno() == -1


@needs_unix
def test_close_a_socket_that_somebody_else_has_closed(tmp_path):
    path = str(tmp_path / "s")
    sock = listen_unix(path)
    sock.close()
    close(sock)  # its name is not known any more
    assert os.path.exists(path)
    close(sock, path)
    assert not os.path.exists(path)
    close(sock, path)
    close(sock, ("127.0.0.1", 8000))


def test_addresses_as_they_are_written():
    assert peer(("127.0.0.1", 8000)) == "127.0.0.1:8000"
    assert peer(("::1", 8000)) == "[::1]:8000"
    assert peer(None) == "unix socket"
