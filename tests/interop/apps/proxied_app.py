"""Applications that stand behind a proxy, and say who they think is there."""

import json

from asgi_ref.proxy import ProxyHeaders


async def bare(scope, receive, send):
    """Answer with client and scheme."""
    if scope["type"] == "lifespan":
        return await lifespan(receive, send)
    seen = {key: scope.get(key) for key in ("client", "scheme")}
    body = json.dumps(seen).encode()
    length = [(b"content-length", b"%d" % len(body))]
    start = {"type": "http.response.start", "status": 200, "headers": length}
    await send(start)
    await send({"type": "http.response.body", "body": body})


async def lifespan(receive, send):
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})


app = ProxyHeaders(bare)
