"""The example of chapter 15, with more handlers to ask."""

import sys
from pathlib import Path

from tornado import web, websocket

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "chapters" / "15_bridge"))

from tornado_example import AsgiFromTornado, Hello, Slow  # noqa: E402

LEFT = []


@web.stream_request_body
class Count(web.RequestHandler):
    """Count a body piece by piece, and hold none of it."""

    def prepare(self):
        self.total = 0

    async def data_received(self, chunk):
        self.total += len(chunk)

    def post(self):
        self.write(str(self.total))


class Wait(web.RequestHandler):
    """Wait for the client to leave."""

    async def get(self):
        self.write("first\n")
        await self.flush()
        self._auto_finish = False

    def on_connection_close(self):
        LEFT.append(True)


class Left(web.RequestHandler):
    def get(self):
        self.write(str(len(LEFT)))


class Boom(web.RequestHandler):
    def get(self):
        raise RuntimeError("boom on purpose")


class Cookies(web.RequestHandler):
    def get(self):
        self.set_cookie("one", "1")
        self.set_cookie("two", "2")


class Socket(websocket.WebSocketHandler):
    pass


app = AsgiFromTornado(
    web.Application(
        [
            *[("/hello/(.*)", Hello), ("/slow", Slow), ("/count", Count)],
            *[("/wait", Wait), ("/left", Left), ("/boom", Boom)],
            *[("/cookies", Cookies), ("/socket", Socket)],
        ]
    )
)
