"""One good answer."""

import sys
from urllib.parse import unquote_to_bytes


def make_environ(request, body):
    """Return the environ of a request."""
    target, _, query = request.target.partition(b"?")
    environ = {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(target).decode("latin-1"),
        "QUERY_STRING": query.decode("latin-1"),
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "8000",
        "SERVER_PROTOCOL": f"HTTP/{request.version}",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": body,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for name, value in request.fields.items():
        key = name.decode().upper().replace("-", "_")
        if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            key = "HTTP_" + key
        environ[key] = value.decode("latin-1")
    return environ


def run(app, environ, send_head, send_body):
    """Call an application and send its answer."""
    head, sent = [], []

    def start_response(status, headers, exc_info=None):
        if exc_info and sent:
            raise exc_info[1].with_traceback(exc_info[2])
        if head and not exc_info:
            raise RuntimeError("start_response() was called twice")
        head[:] = status, headers
        return write

    def write(data):
        if not sent:
            sent.append(True)
            send_head(*head)
        if data:
            send_body(data)

    result = app(environ, start_response)
    try:
        for block in result:
            if block:
                write(block)
        write(b"")
    finally:
        if hasattr(result, "close"):
            result.close()
