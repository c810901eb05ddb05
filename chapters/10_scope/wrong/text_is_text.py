"""A str in an environ is bytes in disguise, one character for each.

Both contracts say "str", so it is copied. With ASCII nobody notices.
"""

PLAIN = ["CONTENT_TYPE", "CONTENT_LENGTH"]


def key_of(name):
    """Return a header's name in an environ: b"x-id" is "HTTP_X_ID"."""
    key = name.decode().upper().replace("-", "_")
    return key if key in PLAIN else "HTTP_" + key


def name_of(key):
    """Return a header's name in a scope: "HTTP_X_ID" is b"x-id"."""
    return key.removeprefix("HTTP_").lower().replace("_", "-").encode()


def to_environ(scope):
    """Return what PEP 3333 says of this request; every value is a str."""
    root, path = scope["root_path"], scope["path"]
    if (path + "/").startswith(root + "/"):
        path = path[len(root) :]
    environ = {
        "REQUEST_METHOD": scope["method"],
        "SERVER_PROTOCOL": "HTTP/" + scope["http_version"],
        "wsgi.url_scheme": scope["scheme"],
        "SCRIPT_NAME": root,
        "PATH_INFO": path,
        "QUERY_STRING": scope["query_string"].decode(),
    }
    for name, value in scope["headers"]:
        key, text = key_of(name), value.decode("latin-1")
        if key in environ:
            between = "; " if key == "HTTP_COOKIE" else ", "
            text = environ[key] + between + text
        environ[key] = text
    return environ


def to_scope(environ):
    """Return what ASGI says of this request, as far as an environ knows it."""
    return {
        "type": "http",
        "http_version": environ["SERVER_PROTOCOL"].removeprefix("HTTP/"),
        "method": environ["REQUEST_METHOD"],
        "scheme": environ["wsgi.url_scheme"],
        "root_path": environ["SCRIPT_NAME"],
        "path": environ["SCRIPT_NAME"] + environ["PATH_INFO"],
        "query_string": environ["QUERY_STRING"].encode(),
        "headers": [
            (name_of(key), value.encode("latin-1"))
            for key, value in environ.items()
            if key.startswith("HTTP_") or (key in PLAIN and value)
        ],
    }
