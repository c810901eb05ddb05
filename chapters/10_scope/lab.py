"""A scope: what can be said before the body arrives?"""

import sys
from io import BytesIO
from urllib.parse import quote, unquote

sys.path.insert(0, ".")  # the root, where this is run

from asgi_ref import wsgi
from asgi_ref.request import parse_request
from asgi_ref.scope import about_connection, http_scope

LAYOUT = [
    (b"POST ", "method"),
    (b"/api/caf%C3%A9%2Fx", "raw_path; decoded it is path"),
    (b"?", ""),
    (b"q=%C3%A9", "query_string"),
    (b" HTTP/1.1\r\n", "http_version"),
    (b"Host: shop\r\nContent-Length: 5\r\n", "headers"),
    (b"Accept: a/b\r\nAccept: c/d\r\n", "headers"),
    (b"\r\n", ""),
    (b"two=2", "in no scope: receive()"),
]
HEAD = b"".join(piece for piece, label in LAYOUT[:-1])
ASKED = [
    ("/caf%C3%A9%2Fx", ""),
    ("/why%3F?page=2", ""),
    ("/api/items", "/api"),
    ("/api/api/items", "/api"),
]
ANN = ("203.0.113.7", 50000)
HERE = ("10.0.0.2", 8000)
STATE = {"db": "open"}


def first_scope(request, root_path=""):
    """Decode the target, cut it, take the prefix off."""
    target = unquote(request.target.decode(), "latin-1")
    path, _, query = target.partition("?")
    return {
        "path": path.removeprefix(root_path),
        "query_string": query,
        "root_path": root_path,
    }


def app(scope):
    """Say which route this is, and which link leads back to it."""
    path, query = scope["path"], scope["query_string"]
    route = path.removeprefix(scope["root_path"])
    return f"route {route}  query {query!r}  link {quote(path)}"


def get(target):
    """Return the Request for a target."""
    return parse_request(b"GET %b HTTP/1.1\r\nHost: shop\r\n\r\n" % target)


def fails():
    """Give the application what `first_scope` makes."""
    for target, root_path in ASKED:
        print(f"GET {target}  mounted at {root_path!r}")
        print("  ", app(first_scope(get(target.encode()), root_path)))


def told():
    """Give the same application the scope."""
    for target, root_path in ASKED:
        about = about_connection(root_path=root_path)
        scope = http_scope(get(target.encode()), about, {})
        print(f"GET {target}  mounted at {root_path!r}")
        print("  ", app(scope))
        print("   raw_path", scope["raw_path"])


def mounted():
    """Ask for four paths of an application that is mounted at /api."""
    about = about_connection(root_path="/api")
    for target in b"/items", b"/api/items", b"/apiary", b"/api":
        scope = http_scope(get(target), about, {})
        print(scope["raw_path"], "->", scope["path"])


WHOSE = {
    "the client": "method path raw_path query_string http_version headers",
    "connection and command line": "client server scheme root_path",
    "the lifespan": "state",
    "the server": "type asgi extensions",
}


def key_by_key():
    """Print a whole scope, by whose word each key is."""
    about = about_connection(ANN, HERE, root_path="/api")
    scope = http_scope(parse_request(HEAD), about, STATE)
    for whose, keys in WHOSE.items():
        print(f"{whose}:")
        for key in keys.split():
            shown = repr(scope[key]).replace("), (", "),\n      (")
            print(f"   {key}", shown.replace("}, '", "},\n      '"))


def twice():
    """Make a dict of fields that came twice."""
    pairs = parse_request(HEAD).headers[2:]
    print("pairs  ", pairs)
    print("a dict ", dict(pairs))


def state():
    """Let one request note its user; look what the next one sees."""
    for copied in True, False:
        ours = STATE.copy()
        for user in "ann", "bob":
            scope = http_scope(get(b"/"), about_connection(), ours)
            seen = scope["state"] if copied else ours
            print("copied" if copied else "shared", user, "finds", seen)
            seen["user"] = user


def proxied():
    """Receive two clients' requests through one proxy, which speaks TLS."""
    about = about_connection(("10.0.0.1", 41000), HERE)
    for client in b"203.0.113.7", b"198.51.100.9":
        head = b"GET / HTTP/1.1\r\nHost: shop\r\nX-Forwarded-For: %b\r\n"
        scope = http_scope(parse_request(head % client + b"\r\n"), about, {})
        print("client", scope["client"][0], " scheme", scope["scheme"])
        print("  ", scope["headers"][1])


def beside():
    """Tell the same request in both contracts."""
    request = parse_request(HEAD)
    mounted = wsgi.about_connection(script_name="/api")
    environ = wsgi.make_environ(request, BytesIO(), mounted)
    print("WSGI")
    for key in "SCRIPT_NAME", "PATH_INFO", "QUERY_STRING", "HTTP_ACCEPT":
        print("  ", key, repr(environ[key]))
    scope = http_scope(request, about_connection(root_path="/api"), {})
    print("ASGI")
    for key in "root_path", "path", "query_string":
        print("  ", key, repr(scope[key]))
    print("   headers", scope["headers"][2:])


HEADS = [
    b"GET /caf%C3%A9%2Fx HTTP/1.1\r\nHost: shop\r\n\r\n",
    b"GET /api/items?page=2 HTTP/1.1\r\nHost: shop\r\n\r\n",
]
for head in HEADS:
    parse_request(head)  # known lines make the walk shorter


def walk(wire=print):
    """Tell of two requests on one connection, mounted at /api."""
    told = about_connection(ANN, HERE, root_path="/api")
    for head in HEADS:
        wire("client", head)
        scope = http_scope(parse_request(head), told, STATE)
        shown = "path", "raw_path", "query_string", "root_path"
        wire("server", {key: scope[key] for key in shown})


PARTS = fails, told, key_by_key, twice, state, proxied, mounted, beside

if __name__ == "__main__":
    for part in PARTS:
        print(f"== {part.__name__.replace('_', ' ')} ==")
        part()
