"""A Tornado application on an ASGI server: HTTP through a bridge.

    python -m asgi_ref tornado_example:app --app-dir chapters/15_bridge

Tornado is not an ASGI framework. It is older, and it has an interface of its
own between server and application: the server calls `start_request`, tells
the delegate that it gets what arrives, and hands it an `HTTPConnection` to
answer on. This file speaks both languages, by Tornado's public interface
(`tornado.httputil`) only:

    ASGI                        Tornado
    scope                       headers_received(start line, headers)
    http.request                data_received(bytes), and at last finish()
    http.disconnect             on_connection_close()
    http.response.start         write_headers(start line, headers)
    http.response.body          write(bytes), and at last finish()

What is lost: a Tornado WebSocket takes the raw socket away from the server
(`detach`). An ASGI server has none to give, so that is not possible this
way. Nor does a handler know more of TLS than the scheme.

Source: the Tornado documentation, `tornado.httputil`; ASGI HTTP 2.5.
"""

import asyncio
from types import SimpleNamespace

from tornado import httputil, web


class AsgiFromTornado:
    """A Tornado application as an ASGI application, for HTTP."""

    def __init__(self, app):
        self._app = app

    async def __call__(self, scope, receive, send):
        """Serve one request. Raises RuntimeError: it is not HTTP."""
        if scope["type"] != "http":
            raise RuntimeError(f"no {scope['type']} through this bridge")
        connection = Connection(scope, send)
        delegate = self._app.start_request(object(), connection)
        await maybe(delegate.headers_received(*head_of(scope)))
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return delegate.on_connection_close()
            if message.get("body"):
                await maybe(delegate.data_received(message["body"]))
            more = message.get("more_body", False)
        delegate.finish()
        await connection.until_finished(receive)


class Connection(httputil.HTTPConnection):
    """What a Tornado handler answers on; each call becomes a message."""

    def __init__(self, scope, send):
        host = (scope.get("client") or ["0.0.0.0"])[0]
        self.context = SimpleNamespace(
            remote_ip=host, protocol=scope.get("scheme", "http")
        )
        self._send = send
        self._turn = asyncio.Lock()  # messages keep their order
        self._finished = asyncio.Event()
        self._on_close = None

    def write_headers(self, start_line, headers, chunk=None):
        """Send the head, and a first piece of the body if there is one."""
        pairs = [
            (name.lower().encode("latin-1"), value.encode("latin-1"))
            for name, value in headers.get_all()
        ]
        start = {"type": "http.response.start", "status": start_line.code}
        return self._later({**start, "headers": pairs}, body(chunk or b""))

    def write(self, chunk):
        """Send a piece of the body; the result is done when it is sent."""
        return self._later(body(chunk))

    def finish(self):
        """Send the end of the body."""
        self._later(body(b"", more=False)).add_done_callback(
            lambda _: self._finished.set()
        )

    def set_close_callback(self, callback):
        """Remember whom to tell that the client has left."""
        self._on_close = callback

    def detach(self):
        """Refuse: a WebSocket wants the socket, and there is none."""
        raise RuntimeError("no WebSocket through this bridge")

    async def until_finished(self, receive):
        """Wait until the answer is sent, or the client has left."""
        left = asyncio.ensure_future(receive())
        done = asyncio.ensure_future(self._finished.wait())
        await asyncio.wait({left, done}, return_when="FIRST_COMPLETED")
        if not done.done() and self._on_close is not None:
            self._on_close()
        left.cancel()
        done.cancel()

    def _later(self, *messages):
        return asyncio.ensure_future(self._send_all(messages))

    async def _send_all(self, messages):
        async with self._turn:
            for message in messages:
                await self._send(message)


def body(data, more=True):
    """Return a message with a piece of the body."""
    message = {"type": "http.response.body", "body": bytes(data)}
    return {**message, "more_body": more}


def head_of(scope):
    """Return the request's head as Tornado takes it."""
    target = (scope.get("raw_path") or scope["path"].encode()).decode()
    if query := scope.get("query_string", b"").decode("latin-1"):
        target += "?" + query
    headers = httputil.HTTPHeaders()
    for name, value in scope["headers"]:
        headers.add(name.decode("latin-1"), value.decode("latin-1"))
    line = httputil.RequestStartLine(scope["method"], target, "HTTP/1.1")
    return line, headers


async def maybe(result):
    """Wait for what a delegate returned, if it is to be waited for."""
    if result is not None:
        await result


class Hello(web.RequestHandler):
    """A page that says what it was asked."""

    def get(self, name):
        """Greet."""
        self.write({"hello": name, "query": self.get_argument("q", "")})

    def post(self, name):
        """Return the body."""
        self.write(self.request.body)


class Slow(web.RequestHandler):
    """A stream: each piece is sent before the next is made."""

    async def get(self):
        """Count."""
        for number in range(3):
            self.write(f"{number}\n")
            await self.flush()
            await asyncio.sleep(0.1)


tornado_app = web.Application([("/hello/(.*)", Hello), ("/slow", Slow)])
app = AsgiFromTornado(tornado_app)
