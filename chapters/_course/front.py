"""The front page's figure: one request, recorded between its three parties.

`conversation` serves an application in memory, without a socket, and writes
down what crosses: bytes between client and server, a scope and messages
between server and application.
"""

import asyncio

from asgi_ref.server import Server, Settings
from asgi_ref.transport import MemoryTransport

CLIENT, SERVER, APP = "browser", "server", "your app"
REQUEST = b"POST /items?q=a HTTP/1.1\r\nHost: localhost\r\n"
REQUEST += b"Content-Length: 16\r\n\r\n" + b'{"name": "lamp"}'
ANSWER = b'{"written": "lamp"}'


def conversation() -> list[tuple[str, str, str]]:
    """Return (sender, receiver, text) of one request and its answer."""
    talk = [(CLIENT, SERVER, "\n".join(text_of(REQUEST)))]
    asyncio.run(converse(talk))
    return talk


async def converse(talk: list[tuple[str, str, str]]) -> None:
    """Serve one request and add what is said."""

    async def app(scope, receive, send):
        told = f"scope: {scope['type']} {scope['method']} {scope['path']}"
        talk.append((SERVER, APP, f"{told}\n{scope['headers'][0]} …"))
        message = await receive()
        talk.append((SERVER, APP, f"{message['type']}\n{message['body']!r}"))
        kind = [(b"content-type", b"application/json")]
        start = {"type": "http.response.start", "status": 200, "headers": kind}
        talk.append((APP, SERVER, f"{start['type']}\nstatus 200"))
        await send(start)
        body = {"type": "http.response.body", "body": ANSWER}
        talk.append((APP, SERVER, f"{body['type']}\n{ANSWER!r}"))
        await send(body)

    quiet = Settings(access_log=False, date_header=False)
    transport = MemoryTransport()
    serving = Server(app, quiet).attend(transport)
    transport.feed(REQUEST)
    transport.feed(b"")
    await serving
    talk.append((SERVER, CLIENT, "\n".join(text_of(bytes(transport.sent)))))


def text_of(data: bytes) -> list[str]:
    """Return a message's first line, at most two more, and its body."""
    head, _, body = data.decode().partition("\r\n\r\n")
    first, *fields = head.split("\r\n")
    more = ["…"] if fields[2:] else []
    return [first, *fields[:2], *more, body]
