"""Serve this course: an application that answers with the files of a folder.

    python -m mkdocs build
    python -m asgi_ref --app-dir chapters/29_config exercise:app

    GET /                      200, the file index.html
    GET /glossary/             200, the file glossary/index.html
    GET /glossary              307 to /glossary/, because that is a folder, and
                               the links on its page are relative to it
    GET /_course/course.css    200, with the content-type text/css
    GET /nothing               404, also for whatever is not in the folder

The path in the scope is what a client wrote, with %2e%2e made "..". Each
answer has a content-length. If the server offers the extension
http.response.pathsend, the file is not read here: the last message is its
type, and the file's absolute "path", as a str.
"""

import mimetypes
from pathlib import Path


class Site:
    """An application. folder: where the files are."""

    def __init__(self, folder):
        self.folder = Path(folder).resolve()

    async def __call__(self, scope, receive, send):
        """Answer with a file."""
        assert scope["type"] == "http", "this knows only HTTP"
        file = self.folder / scope["path"].lstrip("/")
        if file.is_dir():
            file = file / "index.html"
        data = file.read_bytes()
        kind, _ = mimetypes.guess_type(file)
        headers = [
            (b"content-type", (kind or "application/octet-stream").encode()),
            (b"content-length", str(len(data)).encode()),
        ]
        start = {"type": "http.response.start", "status": 200}
        await send({**start, "headers": headers})
        await send({"type": "http.response.body", "body": data})


app = Site("site")
