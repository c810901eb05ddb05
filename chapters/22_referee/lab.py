"""The referee: three applications that work, and one server that does too."""

import asyncio
import sys
import textwrap

sys.path.insert(0, ".")  # the root, where this is run

from asgi_ref.referee import ContractBroken, Referee, strict
from asgi_ref.server import Server, Settings
from asgi_ref.transport import MemoryTransport
from asgi_ref.websocket import websocket

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
GOODBYE = b"\x88\x80\0\0\0\0"  # a client's Close, masked with zeros
SETTINGS = Settings(
    lifespan="off", access_log=False, date_header=False, server_header=False
)
START = {"type": "http.response.start", "status": 200, "headers": []}
BODY = {"type": "http.response.body", "body": b"hello"}


LADDER = [
    ("server", "referee", "scope"),
    ("referee", "application", "the same scope"),
    ("application", "referee", "send: a start, with capitals"),
    ("referee", "server", "the same start"),
    ("server", "referee", "receive: http.disconnect"),
    ("referee", "application", "the same"),
]


async def capitals(scope, receive, send):
    """Write a header as one sees it everywhere."""
    headers = [(b"Content-Type", b"text/plain")]
    await send({**START, "headers": headers})
    await send(BODY)


async def buffered(scope, receive, send):
    """Build the body piece by piece, and send what was built."""
    body = bytearray(b"hel")
    body += b"lo"
    await send(START)
    await send({**BODY, "body": body})


async def leaves(scope, receive, send):
    """Say one thing over a WebSocket, and be done."""
    await receive()
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.send", "text": "hello"})


async def hello(scope, receive, send):
    """Say hello, as it should be said."""
    await send({**START, "headers": [(b"content-type", b"text/plain")]})
    await send(BODY)


async def serve(app, request=GET):
    """Serve one request in memory; return what the client got."""
    over, transport = asyncio.Event(), MemoryTransport(clock=lambda: 0.0)

    async def until_over(scope, receive, send):
        await app(scope, receive, send)
        over.set()

    transport.feed(request)
    server = Server(until_over, SETTINGS, {b"websocket": websocket})
    task = server.attend(transport)
    await over.wait()
    transport.feed(GOODBYE if request is UPGRADE else b"")
    transport.feed(b"")
    await task
    return bytes(transport.sent)


def request_for(app):
    """Return what a client of this application asks."""
    return UPGRADE if app is leaves else GET


def got(data):
    """Say what a client got: the status line, and what is behind the head."""
    head, _, rest = data.partition(b"\r\n\r\n")
    line = head.split(b"\r\n")[0].decode()
    return f"{line}, {rest}"


async def works():
    """Serve the three applications, as they are."""
    for app in capitals, buffered, leaves:
        answer = await serve(app, request_for(app))
        print(f"{app.__name__:9} {got(answer)}")


async def whistled():
    """Serve them again, with a referee between."""
    for app in capitals, buffered, leaves, hello:
        findings = []
        answer = await serve(Referee(app, findings.append), request_for(app))
        print(f"{app.__name__:9} {got(answer)}")
        for finding in findings:
            show(finding)


def show(text):
    """Print a text in lines that fit on the page."""
    print(textwrap.indent(textwrap.fill(str(text), 60), "    "))


async def echo(scope, receive, send):
    """Answer with the body, and wait until the client has gone."""
    message, body = {"more_body": True}, b""
    while message.get("more_body"):
        message = await receive()
        body += message["body"]
    await send({**START, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({**BODY, "body": body})
    await receive()


SCOPE = {
    "type": "http",
    "asgi": {"version": "3.0", "spec_version": "2.5"},
    "http_version": "1.1",
    "method": "POST",
    "path": "/caf%C3%A9",
    "raw_path": b"/caf%C3%A9",
    "query_string": b"",
    "headers": [(b"Host", b"a")],
    "client": ("127.0.0.1", "50000"),
}


async def sloppy(app):
    """Be a server that forgets to say that there is more of a body."""
    pieces = [b"hel", b"lo"]

    async def receive():
        return {"type": "http.request", "body": pieces.pop(0)}

    async def send(message):
        if "body" in message:
            print("the client gets", message["body"])

    await app(dict(SCOPE), receive, send)


async def who_was_it():
    """Serve an application that is right with a server that is not."""
    findings = []
    await sloppy(Referee(echo, findings.append))
    for finding in findings:
        show(finding)


async def strictly():
    """Let the first finding raise, as in a test."""
    try:
        await sloppy(Referee(hello, strict))
    except ContractBroken as error:
        show(f"ContractBroken: {error}")


async def changes(scope, receive, send):
    """Cut a prefix off the path, in the scope that it was given."""
    scope["path"] = scope["path"].removeprefix("/api")
    await hello(scope, receive, send)


async def left_alone():
    """Do what should not be done, and is no must."""
    findings = []
    watched = Referee(changes, findings.append)

    async def outside(scope, receive, send):
        before = scope["path"]
        await watched(scope, receive, send)
        print(f"outside: {before}, and afterwards: {scope['path']}")

    await serve(outside, GET.replace(b"/", b"/api/items", 1))
    print("findings:", findings)


VARYING = {"library", "file", "folder", "path"}  # where Python and we are


async def walk(wire=print):
    """Watch one application: the capitals, which nobody else minds."""

    async def receive():
        return {"type": "http.request"}

    async def send(message):
        wire("application", message)

    scope = {**SCOPE, "path": "/café"}
    del scope["client"]
    wire("server", scope)
    await Referee(capitals, lambda it: wire("referee", str(it)))(
        scope, receive, send
    )


def main():
    """Run all of it."""
    for part in works, whistled, who_was_it, strictly, left_alone:
        print(f"== {part.__name__.replace('_', ' ')} ==")
        asyncio.run(part())


if __name__ == "__main__":
    main()
