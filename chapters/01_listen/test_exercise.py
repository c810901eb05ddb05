"""The check of chapter 01: pytest chapters/01_listen."""

import os
import socket

import pytest

from asgi_ref.listen import CannotListen, listen

SECONDS = 3

NOBODY = "Nobody can connect to it: did you call listen() after bind()?"
PATH = "Behind unix: stands a path, and its sockets are AF_UNIX."

needs_unix = pytest.mark.skipif(
    not hasattr(socket, "AF_UNIX"), reason="no unix sockets here"
)
needs_time_wait = pytest.mark.skipif(
    os.name != "posix", reason="Windows lets a port be bound again anyway"
)


def has_ipv6():
    try:
        listen("::1", 0).close()
    except (CannotListen, OSError):
        return False
    return True


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="no IPv6 here")


def open_at(answer, where, lesson):
    """Return a socket; what goes wrong on the way fails with the lesson."""
    try:
        sock = answer.listen_at(where)
    except (OSError, ValueError, TypeError, OverflowError) as error:
        pytest.fail(f"{lesson} listen_at({where!r}) raised {error!r}.")
    is_socket = isinstance(sock, socket.socket)
    assert is_socket, f"listen_at must return the socket, not {sock!r}."
    return sock


def connect(sock, lesson):
    """Return the client's and the server's end of one connection."""
    client = socket.socket(sock.family, socket.SOCK_STREAM)
    client.settimeout(SECONDS)
    sock.settimeout(SECONDS)
    try:
        client.connect(sock.getsockname())
        return client, sock.accept()[0]
    except OSError as error:
        pytest.fail(f"{lesson} A client got {error!r}.")


def restart(sock):
    """End a server as Ctrl+C does while a client is connected."""
    client, connection = connect(sock, NOBODY)
    connection.close()  # the server closes first: its side is TIME_WAIT
    client.close()
    sock.close()


def test_port_zero_is_a_free_port_on_this_machine_only(answer):
    lesson = "A host, a colon and a port are the plainest address."
    with open_at(answer, "127.0.0.1:0", lesson) as sock:
        host, port = sock.getsockname()
        assert host == "127.0.0.1", (
            f"You bound {host}: the socket is bound to every address of the "
            "machine, and the whole network can reach what was meant for "
            "this machine only. Give bind() the host that was asked for."
        )
        with open_at(answer, "127.0.0.1:0", lesson) as other:
            assert other.getsockname()[1] != port, (
                "Port 0 means that the kernel chooses a free one each time, "
                "so two servers must not get the same."
            )
        for end in connect(sock, NOBODY):
            end.close()


@needs_ipv6
def test_ipv6(answer):
    lesson = (
        "An IPv6 address has colons of its own: the brackets keep them "
        "apart from the port, so cut at the last colon."
    )
    with open_at(answer, "[::1]:0", lesson) as sock:
        assert sock.family == socket.AF_INET6, (
            "An address in brackets is IPv6, which is another family of "
            "sockets: AF_INET6."
        )
        assert sock.getsockname()[0] == "::1", (
            "The brackets belong to the notation: [::1] is the address ::1, "
            "and no other."
        )
        for end in connect(sock, NOBODY):
            end.close()


@needs_time_wait
def test_a_restart_does_not_wait_for_time_wait(answer):
    with open_at(answer, "127.0.0.1:0", "A server has to start.") as first:
        port = first.getsockname()[1]
        restart(first)
    lesson = (
        "The old server's connection is in TIME_WAIT, and the restart fails "
        "for a minute. SO_REUSEADDR must be set before bind(): bind() is "
        "where the kernel asks for it."
    )
    open_at(answer, f"127.0.0.1:{port}", lesson).close()


def test_a_second_server_is_refused(answer):
    with open_at(answer, "127.0.0.1:0", "A server has to start.") as first:
        port = first.getsockname()[1]
        try:
            answer.listen_at(f"127.0.0.1:{port}").close()
        except OSError:
            return
        pytest.fail(
            "A second server opened a port where the first one still "
            "listens, and no error told of it. SO_REUSEPORT lets two servers "
            "share one port: each gets some of the clients."
        )


@needs_unix
def test_a_path_and_the_file_of_a_dead_server(answer, tmp_path):
    path = tmp_path / "a.sock"
    with open_at(answer, f"unix:{path}", PATH) as sock:
        for end in connect(sock, NOBODY):
            end.close()
    lesson = (
        "A closed unix socket leaves its file behind, and bind() finds the "
        "address in use. When nobody answers there, remove the file."
    )
    open_at(answer, f"unix:{path}", lesson).close()


@needs_unix
def test_a_living_server_keeps_its_path(answer, tmp_path):
    path = tmp_path / "a.sock"
    with open_at(answer, f"unix:{path}", PATH) as first:
        try:
            answer.listen_at(f"unix:{path}").close()
        except OSError:
            lesson = "The second server failed, but took the first one's path."
            for end in connect(first, lesson):
                end.close()
            return
        pytest.fail(
            "A second server took the path of a living one: the first gets "
            "no more clients, and no error told of it. Connect to the path "
            "before you remove its file; only when that is refused is "
            "nobody there."
        )
