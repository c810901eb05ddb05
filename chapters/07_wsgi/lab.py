"""One application that streams, and one that changes its mind."""

import asyncio
import sys
from copy import deepcopy
from io import BufferedReader
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from asgi_ref.body import ChunkedBody
from asgi_ref.buffer import EMPTY_LINE, Buffer
from asgi_ref.connection import Connection
from asgi_ref.request import ProtocolError, parse_request
from asgi_ref.response import Response, status_line
from asgi_ref.wsgi import (
    Gateway,
    Input,
    WsgiError,
    about_connection,
    make_environ,
)

GET = b"GET /caf%C3%A9?q=1 HTTP/1.1\r\nHost: a\r\nX-User: me\r\n\r\n"
SHORT = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nmine"
REQUEST = parse_request(GET)
TEXT = [("Content-Type", "text/plain")]
PAIRS = [(b"content-type", b"text/plain")]


def ticker(environ, start_response):
    """Make each piece when asked for it."""
    start_response("200 OK", TEXT)
    for number in 1, 2:
        print("app makes", number)
        yield b"tick %d\n" % number


def late(environ, start_response):
    """Say 200, find out that it is wrong, and say 500."""
    start_response("200 OK", TEXT)
    try:
        page = {}["news"]
    except LookupError:
        start_response("500 Oops", TEXT, sys.exc_info())
        page = b"sorry"
    return [page]


def first_gateway(app, send):
    """Call an application and send its answer, as one first writes it."""
    responses = []

    def start_response(status, headers, exc_info=None):
        pairs = [(n.encode(), v.encode()) for n, v in headers]
        response = Response(int(status[:3]), pairs)
        responses.append(response)
        line, end = status_line(response.status), response.frame(REQUEST)
        send(line + response.block + end + b"\r\n")

    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/"}
    body = b"".join(app(environ, start_response))
    send(responses[-1].encode(body, more=False))


def fails():
    """Give the first gateway both applications."""
    print("== a stream ==")
    first_gateway(ticker, sends)
    print("\n== a late error ==")
    sent = []
    first_gateway(late, sent.append)
    for data in sent:
        sends(data)
    read_answer(b"".join(sent))


def sends(data):
    """Print what goes to the client, line by line."""
    print("server sends", *data.splitlines(keepends=True), sep="\n    ")


def read_answer(data):
    """Print the answer as a client reads it."""
    wire = Buffer()
    wire.append(data)
    head = wire.take_through(EMPTY_LINE, 999)
    print("client reads", head.partition(b"\r\n")[0])
    try:
        print("client reads", ChunkedBody().take(wire))
    except ProtocolError as error:
        print("client gives up:", error)


class Wire:
    """An Outlet: chapter 06's connection, and somewhere to send to."""

    def __init__(self, data=GET, send=sends):
        self.connection, self.send, self.head = Connection(), send, b""
        self.connection.receive_data(data)
        self.request = self.connection.next_event()

    def start(self, response, headers, whole):
        """Make the head; it is sent with the first piece."""
        self.head = self.connection.send_response(response, whole)

    def write(self, data):
        """Send a piece now."""
        self.flush(self.connection.send_data(data))

    def end(self):
        """Send the end."""
        self.flush(self.connection.send_data(b"", more=False))

    def flush(self, data):
        """Send the head, if it is still here, and some bytes."""
        data, self.head = self.head + data, b""
        if data:
            self.send(data)

    def more(self):
        """Return the next piece of the request's body."""
        event = self.connection.next_event()
        return event if isinstance(event, bytes) else b""


def environ_of(wire, **told):
    """Return the environ of the request on a wire."""
    body = BufferedReader(Input(wire.more))
    return make_environ(wire.request, body, about_connection(**told))


def serve(app, wire):
    """Call an application through the gateway; print what it raises."""
    try:
        Gateway(wire).run(app, environ_of(wire))
    except (LookupError, OSError, WsgiError) as error:
        print("server catches", repr(error))


def changes(environ, start_response):
    """Find out that 200 was wrong when it might have been sent."""
    start_response("200 OK", TEXT)
    yield b""
    try:
        yield {}["news"]
    except LookupError:
        start_response("500 Oops", TEXT, sys.exc_info())
    yield b"sorry, "
    yield b"no news"


def too_late(environ, start_response):
    """Find out that 200 was wrong when it is sent."""
    start_response("200 OK", TEXT)
    yield b"half of it"
    try:
        yield {}["news"]
    except LookupError:
        start_response("500 Oops", TEXT, sys.exc_info())
    yield b"sorry"


def reader(environ, start_response):
    """Yield a file's lines; close it at the end, whatever the end is."""
    start_response("200 OK", TEXT)
    try:
        yield b"line 1\n"
        yield b"line 2\n"
    finally:
        print("app closes its file")


def gone(data):
    """Be a client that has left."""
    raise ConnectionResetError("the client left")


def environ():
    """Print what an application is told as text."""
    for key, value in sorted(environ_of(Wire()).items()):
        if "." not in key:
            print(key, "=", repr(value))


def strings():
    """Show one path as bytes, as environ has it, and as it was meant."""
    path = environ_of(Wire())["PATH_INFO"]
    print("in environ:", path)
    print("its bytes: ", path.encode("latin-1"))
    print("its text:  ", path.encode("latin-1").decode())


def body():
    """Read past the end of a body that has a next request behind it."""
    file = environ_of(Wire(POST + GET))["wsgi.input"]
    print(file.read(2), file.read(100), file.read(100), file.readline())


def conversation():
    """Return who said what while an application streamed."""
    talk = [("client", "server", "GET /")]

    class App:
        def __init__(self, environ, start_response):
            talk.append(("server", "app", "app(environ, start_response)"))
            talk.append(("app", "server", "start_response('200 OK', ...)"))
            start_response("200 OK", TEXT)

        def __iter__(self):
            for block in b"", b"tick":
                talk.append(("server", "app", "next()"))
                talk.append(("app", "server", f"yield {block!r}"))
                yield block
            talk.append(("server", "app", "next(): the end"))

        def close(self):
            talk.append(("server", "app", "close()"))

    def send(data):
        head, _, body = data.partition(b"\r\n\r\n")
        said = f"200 OK, headers, {body!r}" if b"200" in head else repr(data)
        talk.append(("server", "client", said))

    serve(App, Wire(send=send))
    return talk


async def asgi_ticker(scope, receive, send):
    """Make each piece, in the other contract."""
    await send(
        {"type": "http.response.start", "status": 200, "headers": PAIRS}
    )
    for number in 1, 2:
        await send(
            {
                "type": "http.response.body",
                "body": b"tick %d\n" % number,
                "more_body": True,
            }
        )
    await send({"type": "http.response.body"})


def beside():
    """Show what the ASGI application sends."""

    async def send(message):
        print(message)

    asyncio.run(asgi_ticker({"type": "http"}, None, send))


BEGUN = Wire(SHORT)  # chapters 03 and 06 have walks of their own


def walk(wire=print):
    """Change its mind while nothing is sent, then stream."""
    wire("client", SHORT)
    begun = deepcopy(BEGUN)
    begun.send = lambda data: wire("server", data)
    serve(changes, begun)


def main():
    """Run all of it."""
    fails()
    print("\n== a stream, mended ==")
    serve(ticker, Wire())
    print("\n== a late error, mended ==")
    serve(late, Wire())
    print("\n== an empty block ==")
    serve(changes, Wire())
    print("\n== too late ==")
    serve(too_late, Wire())
    print("\n== the client leaves ==")
    serve(reader, Wire(send=gone))
    print("\n== environ ==")
    environ()
    print("\n== strings ==")
    strings()
    print("\n== body ==")
    body()
    print("\n== beside ==")
    beside()


if __name__ == "__main__":
    main()
