"""The scope: what an application is told before the body arrives."""

import pytest

from asgi_ref.request import parse_request
from asgi_ref.scope import about_connection, full_path, http_scope


def request(line="GET / HTTP/1.1", *fields):
    lines = [line, "Host: example.com", *fields, "", ""]
    return parse_request("\r\n".join(lines).encode("latin-1"))


def scope(line="GET / HTTP/1.1", *fields, state=None, **told):
    told = about_connection(**told)
    return http_scope(request(line, *fields), told, state or {})


def test_every_field_and_its_type():
    found = scope(
        "POST /a%20b/c?q=1&r=%20 HTTP/1.1",
        "X-Two: 1",
        "x-two: 2",
        client=("127.0.0.1", 50000),
        server=("127.0.0.1", 8000),
        root_path="/api",
        state={"db": "open"},
    )
    assert found == {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.5"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/api/a b/c",
        "raw_path": b"/a%20b/c",
        "query_string": b"q=1&r=%20",
        "root_path": "/api",
        "headers": [
            (b"host", b"example.com"),
            (b"x-two", b"1"),
            (b"x-two", b"2"),
        ],
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 8000),
        "state": {"db": "open"},
        "extensions": {
            "http.response.early_hint": {},
            "http.response.pathsend": {},
            "http.response.trailers": {},
        },
    }
    types = {key: type(value).__name__ for key, value in found.items()}
    assert types == {
        **dict.fromkeys(["type", "http_version", "method", "scheme"], "str"),
        **dict.fromkeys(["path", "root_path"], "str"),
        **dict.fromkeys(["raw_path", "query_string"], "bytes"),
        **dict.fromkeys(["asgi", "state", "extensions"], "dict"),
        **dict.fromkeys(["client", "server"], "tuple"),
        "headers": "list",
    }


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_the_version_is_text(version):
    assert scope(f"GET / HTTP/{version}")["http_version"] == version


def test_the_method_is_in_upper_case():
    assert scope("get / HTTP/1.1")["method"] == "GET"
    assert scope("PaTcH / HTTP/1.1")["method"] == "PATCH"


def test_header_names_are_lower_case_bytes_and_values_are_kept():
    found = scope("GET / HTTP/1.1", "X_Under: \t Mixed Case \t", "Empty:")
    assert (b"x_under", b"Mixed Case") in found["headers"]
    assert (b"empty", b"") in found["headers"]
    for pair in found["headers"]:
        assert [type(part) for part in pair] == [bytes, bytes]


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        (b"/", "/"),
        (b"/a/b", "/a/b"),
        (b"/a%2Fb", "/a/b"),
        (b"/a%2fb", "/a/b"),
        (b"/caf%C3%A9", "/café"),
        (b"/%E2%82%AC", "/€"),
        (b"/a+b", "/a+b"),
        (b"/100%25", "/100%"),
        (b"/%2525", "/%25"),
        (b"/a%", "/a%"),
        (b"/a%zz", "/a%zz"),
        (b"/%00", "/\0"),
        (b"//double//", "//double//"),
        (b"/../up", "/../up"),
        (b"/a;b=c", "/a;b=c"),
        (b"/caf%E9", "/caf\ufffd"),
        (b"/%F0%9F", "/\ufffd"),
    ],
)
def test_the_path_is_decoded_once(raw, path):
    found = scope(f"GET {raw.decode()}?x HTTP/1.1")
    assert found["path"] == path
    assert found["raw_path"] == raw
    assert found["path"].encode("utf-8", "strict")


@pytest.mark.parametrize(
    ("target", "raw", "query"),
    [
        ("/a?", b"/a", b""),
        ("/a", b"/a", b""),
        ("/a?b?c", b"/a", b"b?c"),
        ("/a?%2F", b"/a", b"%2F"),
        ("/?a=%C3%A9", b"/", b"a=%C3%A9"),
        ("http://example.com/a?b", b"/a", b"b"),
        ("http://example.com?b", b"/", b"b"),
    ],
)
def test_the_query_is_cut_off_and_not_decoded(target, raw, query):
    found = scope(f"GET {target} HTTP/1.1")
    assert (found["raw_path"], found["query_string"]) == (raw, query)


def test_a_percent_encoded_question_mark_belongs_to_the_path():
    found = scope("GET /a%3Fb?c HTTP/1.1")
    assert found["path"] == "/a?b"
    assert found["query_string"] == b"c"


@pytest.mark.parametrize(
    ("raw", "root", "path"),
    [
        (b"/items", "", "/items"),
        (b"/items", "/api", "/api/items"),
        (b"/api/items", "/api", "/api/items"),
        (b"/api", "/api", "/api"),
        (b"/api/", "/api", "/api/"),
        (b"/apiary", "/api", "/api/apiary"),
        (b"/", "/api", "/api/"),
        (b"/v%201/x", "/v 1", "/v 1/x"),
    ],
)
def test_the_path_includes_the_root_path(raw, root, path):
    """ "Applications must strip root_path from path to get the rest." """
    assert full_path(raw, root) == path
    assert path.startswith(root)


def test_a_unix_socket_has_no_client_and_a_path_for_a_server():
    found = scope(client=None, server=("/run/app.sock", None))
    assert found["client"] is None
    assert tuple(found["server"]) == ("/run/app.sock", None)


def test_options_of_the_whole_server():
    found = scope("OPTIONS * HTTP/1.1")
    assert (found["path"], found["raw_path"]) == ("*", b"*")
    assert scope("OPTIONS * HTTP/1.1", root_path="/api")["path"] == "*"


def test_state_is_copied_and_what_it_holds_is_shared():
    state = {"pool": [1]}
    first, second = scope(state=state), scope(state=state)
    first["state"]["user"] = "ann"
    assert "user" not in state
    assert "user" not in second["state"]
    assert first["state"]["pool"] is second["state"]["pool"]


def test_two_requests_of_one_connection():
    """Both are told the same about it, in dicts of their own."""
    told = about_connection(("127.0.0.1", 50000), ("127.0.0.1", 8000))
    one = http_scope(request("GET /one HTTP/1.1"), told, {})
    one["client"] = ("forged", 1)
    two = http_scope(request("GET /two HTTP/1.1"), told, {})
    assert (one["path"], two["path"]) == ("/one", "/two")
    assert two["client"] == ("127.0.0.1", 50000)


def test_nothing_is_shared_between_scopes():
    """A middleware that writes into one must not change another."""
    one = scope()
    one["asgi"]["version"] = "2.0"
    one["extensions"]["http.response.trailers"]["mine"] = True
    one["extensions"]["x"] = {}
    one["headers"].append((b"x", b"y"))
    other = scope()
    assert other["asgi"]["version"] == "3.0"
    assert other["extensions"]["http.response.trailers"] == {}
    assert "x" not in other["extensions"]
    assert (b"x", b"y") not in other["headers"]
