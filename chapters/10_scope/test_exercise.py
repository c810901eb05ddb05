"""The check: one request in both contracts, and there and back again."""

import pytest


def a_scope(path="/api/items", root_path="/api", query=b"", headers=()):
    """Return the scope of a request, as chapter 10's module makes it."""
    return {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "root_path": root_path,
        "path": path,
        "query_string": query,
        "headers": [(b"host", b"shop"), *headers],
    }


def an_environ(**changed):
    """Return an environ of the same request."""
    return {
        "REQUEST_METHOD": "GET",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_NAME": "shop",
        "wsgi.url_scheme": "http",
        "SCRIPT_NAME": "/api",
        "PATH_INFO": "/items",
        "QUERY_STRING": "",
        "CONTENT_TYPE": "",
        "HTTP_HOST": "shop",
        **changed,
    }


@pytest.mark.parametrize(
    ("root_path", "path", "rest"),
    [
        ("/api", "/api/items", "/items"),
        ("", "/items", "/items"),
        ("/api", "/api", ""),
        ("/api", "/api/api/items", "/api/items"),
    ],
)
def test_the_prefix_is_in_one_place(answer, root_path, path, rest):
    environ = answer.to_environ(a_scope(path, root_path))
    assert environ["SCRIPT_NAME"] == root_path, (
        "root_path and SCRIPT_NAME are the same: where the application is "
        "mounted."
    )
    assert environ["PATH_INFO"] == rest, (
        "In a scope root_path is a part of path; in an environ PATH_INFO is "
        "what follows SCRIPT_NAME. Take it off, once."
    )


def test_a_prefix_ends_at_a_slash(answer):
    environ = answer.to_environ(a_scope("/apiary", "/api"))
    assert environ["PATH_INFO"] == "/apiary", (
        "/apiary does not lie below /api, it only begins with the same four "
        "characters: nothing is to be taken off."
    )


@pytest.mark.parametrize("path", ["/café", "/€", "/日本"])
def test_a_path_is_bytes_in_disguise(answer, path):
    found = answer.to_environ(a_scope(path, ""))["PATH_INFO"]
    assert found == path.encode().decode("latin-1"), (
        "A str in an environ is bytes in disguise, one character for each: "
        "encode the text as UTF-8, then decode that as latin-1."
    )


def test_a_prefix_is_bytes_in_disguise(answer):
    environ = answer.to_environ(a_scope("/café/x", "/café"))
    found = environ["SCRIPT_NAME"], environ["PATH_INFO"]
    assert found == ("/cafÃ©", "/x"), (
        "SCRIPT_NAME is in the same disguise as PATH_INFO: one character "
        "for each byte of the prefix, and PATH_INFO is the rest."
    )


def test_strings_of_an_environ_are_str(answer):
    headers = [(b"x-id", b"caf\xe9")]
    environ = answer.to_environ(a_scope(query=b"q=%C3%A9", headers=headers))
    assert environ["QUERY_STRING"] == "q=%C3%A9", (
        "QUERY_STRING is a str, and still encoded as the client wrote it: "
        "the application decodes it."
    )
    assert environ.get("HTTP_X_ID") == "caf\xe9", (
        "A header's value is a str, each byte one character: latin-1 can "
        "decode any bytes and fails for none."
    )


def test_fields_that_come_twice(answer):
    twice = [(b"accept", b"a/b"), (b"cookie", b"a=1")]
    twice += [(b"accept", b"c/d"), (b"cookie", b"b=2")]
    environ = answer.to_environ(a_scope(headers=twice))
    found = environ["HTTP_ACCEPT"], environ["HTTP_COOKIE"]
    assert found == ("a/b, c/d", "a=1; b=2"), (
        "A dict has one place for a name, and the last field took it. Join "
        'them: cookies with "; ", all others with ", ".'
    )


def test_two_fields_without_http(answer):
    sent = [(b"content-type", b"text/plain"), (b"content-length", b"5")]
    environ = answer.to_environ(a_scope(headers=sent))
    found = environ.get("CONTENT_TYPE"), environ.get("CONTENT_LENGTH")
    assert found == ("text/plain", "5"), (
        "CONTENT_TYPE and CONTENT_LENGTH have no HTTP_ in front, and are str."
    )


def test_back_to_text(answer):
    scope = answer.to_scope(an_environ(PATH_INFO="/cafÃ©"))
    assert scope["path"] == "/api/café", (
        "path is real text, and has root_path in front: join SCRIPT_NAME and "
        "PATH_INFO, encode as latin-1, and decode the bytes as UTF-8."
    )
    scope = answer.to_scope(an_environ(SCRIPT_NAME="/Ã©", PATH_INFO=""))
    assert (scope["root_path"], scope["path"]) == ("/é", "/é"), (
        "root_path is in SCRIPT_NAME, and in disguise there, too."
    )


def test_back_from_bytes_that_are_no_text(answer):
    try:
        path = answer.to_scope(an_environ(PATH_INFO="/caf\xe9"))["path"]
    except UnicodeDecodeError:
        pytest.fail(
            "A client can send %E9, which is no UTF-8. An exception here is "
            "a 500 for whoever types it: replace what cannot be decoded."
        )
    assert path == "/api/caf\ufffd", (
        "The byte E9 by itself is no UTF-8: it becomes U+FFFD, and path "
        "stays text."
    )


def test_back_to_headers(answer):
    sent = {"HTTP_X_ID": "caf\xe9", "CONTENT_LENGTH": "5"}
    scope = answer.to_scope(an_environ(QUERY_STRING="q=%C3%A9", **sent))
    assert scope["query_string"] == b"q=%C3%A9", (
        "query_string is bytes, and still encoded as the client wrote it."
    )
    wanted = [(b"content-length", b"5"), (b"host", b"shop")]
    assert sorted(scope["headers"]) == [*wanted, (b"x-id", b"caf\xe9")], (
        "headers are pairs of bytes, made of the keys that begin with HTTP_ "
        "and of those in PLAIN that are not empty; SERVER_NAME is no header."
    )


@pytest.mark.parametrize("path", ["/api/items", "/api", "/api/café/€"])
def test_there_and_back(answer, path):
    sent = [(b"content-length", b"5"), (b"cookie", b"a=1")]
    scope = a_scope(path, query=b"q=%2F", headers=sent)
    again = answer.to_scope(answer.to_environ(scope))
    changed = [key for key in scope if again.get(key) != scope[key]]
    assert not changed, (
        f"The same request there and back, and it differs in {changed}: what "
        "one of your functions takes off the other one must put back."
    )
