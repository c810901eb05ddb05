"""Serve this course: an application that answers with the files of a folder.

The path is resolved first, ".." and links with it, and compared then: as a
path, not as a text. The address of the folder is relative, since
"//evil.example/" would be one on another host.
"""

import mimetypes
from pathlib import Path
from urllib.parse import quote

PATH_SEND = "http.response.pathsend"


class Site:
    """An application. folder: where the files are."""

    def __init__(self, folder):
        self.folder = Path(folder).resolve()

    async def __call__(self, scope, receive, send):
        """Answer with a file."""
        assert scope["type"] == "http", "this knows only HTTP"
        path = scope["path"]
        try:
            file = (self.folder / path.lstrip("/")).resolve()
        except ValueError:  # a NUL is in no path
            file = self.folder.parent
        inside = file.is_relative_to(self.folder)
        if inside and file.is_dir():
            if not path.endswith("/"):
                there = quote(path.rpartition("/")[2]) + "/"
                where = [(b"location", there.encode())]
                return await answer(send, 307, where, b"")
            file = file / "index.html"
        if not (inside and file.is_file()):
            kind = [(b"content-type", b"text/plain")]
            return await answer(send, 404, kind, b"Not here\n")
        guessed, _ = mimetypes.guess_type(file)
        kind = (guessed or "application/octet-stream").encode()
        headers = [(b"content-type", kind)]
        if PATH_SEND not in scope.get("extensions", {}):
            return await answer(send, 200, headers, file.read_bytes())
        size = str(file.stat().st_size).encode()
        headers += [(b"content-length", size)]
        start = {"type": "http.response.start", "status": 200}
        await send({**start, "headers": headers})
        await send({"type": PATH_SEND, "path": str(file)})


async def answer(send, status, headers, body):
    """Send a whole response."""
    headers = [*headers, (b"content-length", str(len(body)).encode())]
    start = {"type": "http.response.start", "status": status}
    await send({**start, "headers": headers})
    await send({"type": "http.response.body", "body": body})


app = Site("site")
