"""One request, told in both contracts: an environ from a scope, and back.

    scope["path"]              "/api/café"      text, root_path in front
    environ["SCRIPT_NAME"]     "/api"
    environ["PATH_INFO"]       "/cafÃ©"         bytes, dressed up as text

This is what lets Flask run under an ASGI server. Both functions here copy
what should be translated. The bodies are not your business.
"""

PLAIN = ["CONTENT_TYPE", "CONTENT_LENGTH"]  # without HTTP_ in front


def key_of(name):
    """Return a header's name in an environ: b"x-id" is "HTTP_X_ID"."""
    key = name.decode().upper().replace("-", "_")
    return key if key in PLAIN else "HTTP_" + key


def name_of(key):
    """Return a header's name in a scope: "HTTP_X_ID" is b"x-id"."""
    return key.removeprefix("HTTP_").lower().replace("_", "-").encode()


def to_environ(scope):
    """Return what PEP 3333 says of this request; every value is a str.

    A str in an environ stands for bytes, one character for each: they were
    decoded as latin-1. SCRIPT_NAME and PATH_INFO together are the path.
    Fields with the same name are joined: with "; " if they are cookies,
    all others with ", ".
    """
    environ = {
        "REQUEST_METHOD": scope["method"],
        "SERVER_PROTOCOL": "HTTP/" + scope["http_version"],
        "wsgi.url_scheme": scope["scheme"],
        "SCRIPT_NAME": scope["root_path"],
        "PATH_INFO": scope["path"],
        "QUERY_STRING": scope["query_string"],
    }
    for name, value in scope["headers"]:
        environ[key_of(name)] = value
    return environ


def to_scope(environ):
    """Return what ASGI says of this request, as far as an environ knows it.

    path and root_path are text: the bytes, decoded as UTF-8, and what is no
    UTF-8 is replaced by U+FFFD. query_string is bytes. headers are pairs of
    bytes; of an environ's keys they are HTTP_..., and those in PLAIN unless
    they are empty.
    """
    return {
        "type": "http",
        "http_version": environ["SERVER_PROTOCOL"].removeprefix("HTTP/"),
        "method": environ["REQUEST_METHOD"],
        "scheme": environ["wsgi.url_scheme"],
        "root_path": environ["SCRIPT_NAME"],
        "path": environ["PATH_INFO"],
        "query_string": environ["QUERY_STRING"],
        "headers": [(name_of(key), environ[key]) for key in environ],
    }
