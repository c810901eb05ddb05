"""One good answer: first back to bytes, then to the other contract's type."""

PLAIN = ["CONTENT_TYPE", "CONTENT_LENGTH"]  # without HTTP_ in front


def key_of(name):
    """Return a header's name in an environ: b"x-id" is "HTTP_X_ID"."""
    key = name.decode().upper().replace("-", "_")
    return key if key in PLAIN else "HTTP_" + key


def name_of(key):
    """Return a header's name in a scope: "HTTP_X_ID" is b"x-id"."""
    return key.removeprefix("HTTP_").lower().replace("_", "-").encode()


def to_environ(scope):
    """Return what PEP 3333 says of this request; every value is a str."""
    root, path = scope["root_path"].encode(), scope["path"].encode()
    if path == root or path.startswith(root + b"/"):
        path = path[len(root) :]
    environ = {
        "REQUEST_METHOD": scope["method"],
        "SERVER_PROTOCOL": "HTTP/" + scope["http_version"],
        "wsgi.url_scheme": scope["scheme"],
        "SCRIPT_NAME": root.decode("latin-1"),
        "PATH_INFO": path.decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
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
    root = environ["SCRIPT_NAME"].encode("latin-1")
    path = root + environ["PATH_INFO"].encode("latin-1")
    headers = [
        (name_of(key), value.encode("latin-1"))
        for key, value in environ.items()
        if key.startswith("HTTP_") or (key in PLAIN and value)
    ]
    return {
        "type": "http",
        "http_version": environ["SERVER_PROTOCOL"].removeprefix("HTTP/"),
        "method": environ["REQUEST_METHOD"],
        "scheme": environ["wsgi.url_scheme"],
        "root_path": root.decode("utf-8", "replace"),
        "path": path.decode("utf-8", "replace"),
        "query_string": environ["QUERY_STRING"].encode("latin-1"),
        "headers": headers,
    }
