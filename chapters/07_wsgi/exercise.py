"""A gateway that `wsgiref.validate` lets pass, and that sends in time.

`run` is the page's first gateway, a little shorter. Nothing here is about
bytes on a wire: `send_head` and `send_body` do that, and you decide when
they are called. `make_environ` has five mistakes; the check names them one
after the other.
"""

from urllib.parse import unquote_to_bytes


def make_environ(request, body):
    """Return the environ of a request.

    request: as chapter 03 parses it. body: a file in bytes.
    """
    target, _, _ = request.target.partition(b"?")
    environ = {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(target).decode(),
        "SERVER_NAME": "localhost",
        "SERVER_PORT": 8000,
        "SERVER_PROTOCOL": f"HTTP/{request.version}",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": body,
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for name, value in request.fields.items():
        key = "HTTP_" + name.decode().upper().replace("-", "_")
        environ[key] = value.decode("latin-1")
    return environ


def run(app, environ, send_head, send_body):
    """Call an application and send its answer.

    send_head(status, headers): send this head; once, and first.
    send_body(data): send a piece of the body now.
    """

    def start_response(status, headers, exc_info=None):
        send_head(status, headers)

    for block in app(environ, start_response):
        send_body(block)
