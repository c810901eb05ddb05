"""The front page: the application on it can be run as it stands."""

import asyncio
import re
from pathlib import Path

from asgi_ref.server import Server, Settings
from asgi_ref.transport import MemoryTransport

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "chapters" / "index.md").read_text(encoding="utf-8")


def answer(app, request):
    """Return the bytes that a server with this application answers."""

    async def converse():
        transport = MemoryTransport()
        serving = Server(app, Settings(access_log=False)).attend(transport)
        transport.feed(request)
        transport.feed(b"")
        await serving
        return bytes(transport.sent)

    return asyncio.run(converse())


def test_the_application_answers():
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    names = {}
    exec(compile(code, "index.md", "exec"), names)
    request = b"POST /items HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}"
    head, _, body = answer(names["app"], request).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert body == b'{"written": "lamp"}'


def test_what_python_says_of_the_wrong_contract():
    """The two messages in the table of errors."""

    class FastAPI:
        async def __call__(self, scope, receive, send): ...

    def wsgi(environ, start_response): ...

    for app, arguments in [(FastAPI(), 2), (wsgi, 1)]:
        try:
            app(*range(arguments))
        except TypeError as error:
            _, _, reason = str(error).partition(" ")
            assert reason in PAGE
