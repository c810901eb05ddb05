"""Who is the client? A field that anybody writes, and whom to believe."""

import asyncio
import sys

sys.path.insert(0, ".")  # the root, where this is run

import asgi_ref
from asgi_ref.bridge import AsgiFromWsgi
from asgi_ref.proxy import ProxyHeaders
from asgi_ref.request import parse_request
from asgi_ref.scope import about_connection, http_scope

NGINX = "10.0.0.2"  # our proxy
MALLORY = "203.0.113.9"  # somebody out there
FORGED = "X-Forwarded-For: 127.0.0.1"


async def office(scope, receive, send):
    """Let in who sits at this machine, and nobody else."""
    host, _ = scope["client"]
    if host != "127.0.0.1":
        return await answer(send, 403, f"not for {host}")
    await answer(send, 200, "welcome")


async def answer(send, status, text):
    """Send a whole response."""
    length = [(b"content-length", b"%d" % len(text))]
    start = {"type": "http.response.start", "status": status}
    await send({**start, "headers": length})
    await send({"type": "http.response.body", "body": text.encode()})


def first(app):
    """Wrap an application: the client is the first address in the field."""

    async def middleware(scope, receive, send):
        for name, value in scope["headers"]:
            if name == b"x-forwarded-for":
                address = value.decode().split(", ")[0]
                scope["client"] = (address, 0)
        await app(scope, receive, send)

    return middleware


def last(app):
    """Wrap an application: the client is the last address in the field."""

    async def middleware(scope, receive, send):
        for name, value in scope["headers"]:
            if name == b"x-forwarded-for":
                address = value.decode().split(", ")[-1]
                scope["client"] = (address, 0)
        await app(scope, receive, send)

    return middleware


def by_nginx(lines, peer=MALLORY):
    """Return the field lines that nginx passes on, and its own address.

    It does $proxy_add_x_forwarded_for: who spoke to it comes last.
    """
    before = [line.partition(": ")[2] for line in lines]
    return ["X-Forwarded-For: " + ", ".join([*before, peer])], NGINX


def scope_of(lines, peer, target="/office"):
    """Return the scope of a request with these field lines."""
    head = "\r\n".join([f"GET {target} HTTP/1.1", "Host: shop", *lines])
    request = parse_request(head.encode() + b"\r\n\r\n")
    return http_scope(request, about_connection((peer, 41000)), {})


async def ask(app, scope):
    """Call an application; return status and text of its answer."""
    sent = []

    async def send(message):
        sent.append(message)

    await app(scope, None, send)
    return f"{sent[0]['status']} {sent[1]['body'].decode()}"


REQUESTS = [
    ("honest, by nginx", *by_nginx([])),
    ("forged, by nginx", *by_nginx([FORGED])),
    ("forged, past nginx", [FORGED], MALLORY),
]


async def show(*apps):
    """Make the three requests to each of the applications."""
    for what, lines, peer in REQUESTS:
        print(f"{what}, {lines[0]}")
        for name, app in apps:
            print("   ", name, await ask(app, scope_of(lines, peer)))


def fails():
    """Believe the first address, or the last one."""
    apps = ("bare ", office), ("first", first(office)), ("last ", last(office))
    asyncio.run(show(*apps))


def fixed():
    """Believe nginx, and as far as it goes."""
    asyncio.run(show(("fixed", ProxyHeaders(office, NGINX))))


LAYOUT = [
    (b"127.0.0.1, ", "written by Mallory"),
    (b"203.0.113.9, ", "by the outer proxy"),
    (b"10.0.0.7", "by nginx"),
]


async def tell(scope, receive, send):
    """Say who the client is, and by which scheme it came."""
    await answer(send, 200, f"{scope['client']} {scope['scheme']}")


def told(app, *values):
    """Print field lines, and what an application is told of them."""
    lines = [f"X-Forwarded-For: {value}" for value in values]
    print(*values, sep="\n")
    print("   ", asyncio.run(ask(app, scope_of(lines, NGINX))))


def from_the_right():
    """Walk through lists of several kinds."""
    app = ProxyHeaders(tell, "10.0.0.0/8")
    told(app, "127.0.0.1, 203.0.113.9, 10.0.0.7")
    told(app, "127.0.0.1", "203.0.113.9:443")
    told(app, "127.0.0.1, [2001:DB8:0::9]:443")
    told(app, "127.0.0.1, unknown, 10.0.0.7")
    told(app, "unknown")
    told(app, "127.0.0.1, 10.0.0.66, 10.0.0.7")


def everybody():
    """Trust everybody."""
    told(ProxyHeaders(tell, "*"), "127.0.0.1, 203.0.113.9")


async def shop(scope, receive, send):
    """Send who asks for /items to /items/, as many frameworks do."""
    host = dict(scope["headers"])[b"host"].decode()
    to = f"{scope['scheme']}://{host}{scope['path']}/"
    await answer(send, 307, f"to {to}")


def redirects():
    """Ask for /items over https; nginx speaks plain HTTP to us."""
    for app in shop, ProxyHeaders(shop, NGINX):
        scope = scope_of(["X-Forwarded-Proto: https"], NGINX, "/items")
        print(asyncio.run(ask(app, scope)))


def whose_scope():
    """Look at the scope from outside, after the application has run."""
    apps = ("first", first(office)), ("fixed", ProxyHeaders(office, NGINX))
    for name, app in apps:
        scope = scope_of(*by_nginx([FORGED]))
        asyncio.run(ask(app, scope))
        print(name, scope["client"])


def refused():
    """Trust what is no address."""
    for trusted in "nginx", "10.0.0.1/8":
        try:
            ProxyHeaders(tell, trusted)
        except ValueError as error:
            print(str(error).replace(": ", ":\n   "))


async def without_port(scope, receive, send):
    """Say it without the port, which is another one each time."""
    await answer(send, 200, f"{scope['client'][0]} {scope['scheme']}")


async def over_a_socket(app):
    """Send a forged request to a real server, from this machine."""
    quiet = {"lifespan": "off", "access_log": False}
    async with asgi_ref.running(app, **quiet) as url:
        port = int(url.rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(
            b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
            b"X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Proto: https\r\n\r\n"
        )
        data = await reader.read()
        writer.close()
    return data.rpartition(b"\r\n")[2].decode()


def two_defaults():
    """Forge on this machine, without the middleware and with it."""
    for name, app in (
        ("off", without_port),
        ("on ", ProxyHeaders(without_port)),
    ):
        print(name, asyncio.run(over_a_socket(app)))


def flask_like(environ, start_response):
    """Say who the client is, in WSGI."""
    body = f"{environ['REMOTE_ADDR']} {environ['wsgi.url_scheme']}"
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body.encode()]


def around_wsgi():
    """Put the same middleware around a WSGI application."""
    app = ProxyHeaders(AsgiFromWsgi(flask_like))
    print(asyncio.run(over_a_socket(app)))


SCOPES = [scope_of(lines, peer) for _, lines, peer in REQUESTS[1:]]


async def walk(wire=print):
    """Tell of a forged request by nginx, and of one past it."""
    app = ProxyHeaders(office, NGINX)
    for scope in SCOPES:
        wire(scope["client"][0], {"headers": scope["headers"][1:]})
        wire("office", await ask(app, scope))


PARTS = (
    *(fails, fixed, from_the_right, everybody, redirects, whose_scope),
    *(refused, two_defaults, around_wsgi),
)

if __name__ == "__main__":
    for part in PARTS:
        print(f"== {part.__name__.replace('_', ' ')} ==")
        part()
