"""The scope: what an application may know before the body arrives.

A Request is what the client wrote; a scope is what the application is told.
Between them stand three decisions: the path is decoded (and handed over raw
as well, because %2F and / are different there and equal afterwards), header
names are bytes in lower case, and `path` includes `root_path`.

It parses nothing and changes nothing in the Request.

Source: ASGI HTTP message format 2.5, "HTTP Connection Scope".
"""

from __future__ import annotations

from typing import Any

from .contract import Scope
from .request import Request

Address = tuple[str, int | None] | None

EARLY_HINT = "http.response.early_hint"
PATH_SEND = "http.response.pathsend"
TRAILERS = "http.response.trailers"


def http_scope(
    request: Request, told: dict[str, Any], state: dict[str, Any]
) -> Scope:
    """Return the scope of one HTTP request.

    told: what all scopes of this connection say alike (`about_connection`).
    state: the namespace that lifespan filled; each request gets a copy.
    """
    raw_path, _, query = request.target.partition(b"?")
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.5"},
        "http_version": request.version,
        "method": request.method.upper(),
        "path": full_path(raw_path, told["root_path"]),
        "raw_path": raw_path,
        "query_string": query,
        "headers": request.headers,
        "state": state.copy(),
        # What this server offers beyond the core of the specification.
        "extensions": {EARLY_HINT: {}, PATH_SEND: {}, TRAILERS: {}},
        **told,
    }


def about_connection(
    client: Address = None,
    server: Address = None,
    scheme: str = "http",
    root_path: str = "",
) -> dict[str, Any]:
    """Return the keys that are the same for every request of a connection.

    client, server: (host, port); for a unix socket None and (path, None).
    """
    return {
        "client": client,
        "server": server,
        "scheme": scheme,
        "root_path": root_path,
    }


def full_path(raw_path: bytes, root_path: str = "") -> str:
    """Return the decoded path, with root_path in front.

    Behind a proxy that strips the prefix, the request says /items; behind
    one that keeps it, /api/items. The application is told /api/items.
    """
    path = raw_path.decode("ascii")
    if "%" in path:
        from urllib.parse import unquote  # most servers start without it

        path = unquote(path)
    if root_path and path != "*":  # which is about the whole server
        known = (path + "/").startswith(root_path + "/")
        return path if known else root_path + path
    return path
