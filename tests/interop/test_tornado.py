"""Tornado, which is not an ASGI framework: HTTP through a bridge."""

import pytest
import tornado  # noqa: F401

MEGABYTE = 1024 * 1024

pytestmark = pytest.mark.parametrize(
    "server", ["tornado_app:app"], indirect=True
)


def test_path_and_query(client, quiet):
    answer = client.get("/hello/Z%C3%BCrich", params={"q": "é & ü"})
    assert answer.json() == {"hello": "Zürich", "query": "é & ü"}


def test_21_requests_in_a_row_also_after_large_bodies(client, quiet):
    ports = set()
    for number in range(21):
        body = b"x" * (number % 3) * MEGABYTE
        answer = client.post("/hello/x", content=body)
        assert answer.content == body
        ports.add(answer.extensions["local_port"])
    assert len(ports) == 1


def test_a_body_piece_by_piece(client, quiet):
    pieces = (b"x" * 50_000 for _ in range(40))
    assert client.post("/count", content=pieces).text == "2000000"


def test_a_stream(client, quiet):
    with client.stream("GET", "/slow") as answer:
        assert list(answer.iter_lines()) == ["0", "1", "2"]


def test_head(client, quiet):
    answer = client.head("/slow")
    assert (answer.status_code, answer.content) == (405, b"")


def test_two_cookies(client, quiet):
    answer = client.get("/cookies")
    assert len(answer.headers.get_list("set-cookie")) == 2


def test_a_handler_that_fails(client):
    assert client.get("/boom").status_code == 500
    assert client.get("/hello/x").status_code == 200


def test_a_client_that_leaves(server, client):
    with client.stream("GET", "/wait") as answer:
        assert next(answer.iter_lines()) == "first"
    server.wait_for(
        lambda: client.get("/left").text == "1", "on_connection_close"
    )


def test_a_websocket_is_not_possible_this_way(client, server):
    fields = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    assert client.get("/socket", headers=fields).status_code == 500
    # What the server says of it must have come before it is told to stop.
    server.wait_for(lambda: "GET /socket  500" in server.log, "its line")
