"""What may be said, and when: without a table, and with one."""

import asyncio
import io
import sys
import textwrap
from contextlib import suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from asgi_ref import scope, wsgi
from asgi_ref.contract import HTTP, ContractError, check
from asgi_ref.request import parse_request

START = {"type": "http.response.start", "status": 200}
BODY = {"type": "http.response.body", "body": b"hello"}
TRAILERS = {
    "type": "http.response.trailers",
    "headers": [(b"x-rows", b"1")],
}
COOKIES = [(b"set-cookie", b"a=1"), (b"set-cookie", b"b=2")]
TASKS = []


async def late(scope, receive, send):
    """Answer in a task, so that nobody has to wait."""
    task = asyncio.create_task(hello(scope, receive, send))
    TASKS.append(task)  # it goes on while the caller does


async def headless(scope, receive, send):
    """Say the body, which is what matters."""
    await send(BODY)


async def half(scope, receive, send):
    """Promise more, and think better of it."""
    await send(START)
    await send({**BODY, "more_body": True})


async def hello(scope, receive, send):
    """Say hello."""
    await send(START)
    await send(BODY)


async def serve(app):
    """Call an application; return the bytes of its answer."""
    wire = []

    async def send(message):
        if message["type"] == "http.response.start":
            wire.append(b"HTTP/1.1 %d -\r\n\r\n" % message["status"])
        else:
            wire.append(message["body"])

    await app({"type": "http"}, None, send)
    return b"".join(wire)


async def judge(app):
    """Call an application; say what the table has against it."""
    state = "nothing sent"

    async def send(message):
        nonlocal state
        state = check(HTTP, state, message)

    try:
        await app({"type": "http"}, None, send)
    except ContractError as error:
        return f"ContractError: {error}"
    return verdict(state)


def verdict(state):
    """Say where an application was when it returned."""
    return f"returned, state: {state}"


def show(text):
    """Print a text in lines that fit on the page."""
    print(textwrap.fill(text, 72, subsequent_indent=" " * 9))


def each(call):
    """Print what a server makes of each of the four applications."""
    for app in late, headless, half, hello:
        show(f"{app.__name__:8} {asyncio.run(call(app))}")


def wsgi_app(environ, start_response):
    """Answer with the query string."""
    text = environ["QUERY_STRING"]
    length = str(len(text))
    start_response("200 OK", [
        ("Content-Length", length),
    ])
    return [text.encode("latin-1")]


async def asgi_app(scope, receive, send):
    """Answer with the query string."""
    text = scope["query_string"]
    length = b"%d" % len(text)
    await send({
        "type": "http.response.start",
        "status": 200,
        "headers": [
            (b"content-length", length),
        ],
    })
    await send({
        "type": "http.response.body",
        "body": text,
    })


def wrong_contract():
    """Call each application as the other's server would."""
    for app, *given in [
        (asgi_app, "environ", "start_response"),
        (asgi_app, "scope"),
        (wsgi_app, "scope", "receive", "send"),
        (wsgi_app, "scope"),
    ]:
        try:
            app(*given)
        except TypeError as error:
            print(f"{app.__name__}({', '.join(given)})")
            show(f"    TypeError: {error}")


def without_await():
    """Call an application, and do not wait for it."""
    said = []
    waiting = hello({"type": "http"}, None, said.append)
    print(type(waiting).__name__, said)
    waiting.close()


def wrong_messages():
    """Ask the table about single messages."""
    for state, message in [
        ("nothing sent", {**START, "status": "200"}),
        ("nothing sent", {"type": "http.response.strat", "status": 200}),
        ("nothing sent", {"type": "http.response.start", "staus": 200}),
        ("started", {**BODY, "body": "hello"}),
        ("started", {"type": "http.response.body", "bdoy": b"hello"}),
    ]:
        try:
            show(f"fine, state: {check(HTTP, state, message)}")
        except ContractError as error:
            show(str(error))


PAIRS = """
    REQUEST_METHOD  method
    SCRIPT_NAME     root_path
    PATH_INFO       path
    QUERY_STRING    query_string
    SERVER_PROTOCOL http_version
    wsgi.url_scheme scheme
    REMOTE_ADDR     client
    HTTP_ACCEPT     headers
"""
ASKED = b"""\
GET /shop/caf%C3%A9?x=%26 HTTP/1.1\r
Host: a\r
Accept: text/html\r
Accept: */*\r
\r
"""


def environ_and_scope():
    """Print what both contracts tell of one request."""
    request, client = parse_request(ASKED), ("192.0.2.7", 50000)
    told = wsgi.about_connection(client, script_name="/shop")
    environ = wsgi.make_environ(request, io.BytesIO(), told)
    about = scope.about_connection(client, root_path="/shop")
    its_scope = scope.http_scope(request, about, {})
    for pair in PAIRS.split("\n")[1:-1]:
        old, new = pair.split()
        print(f"{old:15} {environ[old]!r}")
        print(f"  {new:13} {its_scope[new]!r}")


def walk(wire=print):
    """Promise trailers, keep the promise, and say a word too many."""
    state = "nothing sent"
    for message in {**START, "trailers": True}, BODY, TRAILERS, BODY:
        wire("application", message)
        with suppress(ContractError):
            state = check(HTTP, state, message)


def main():
    """Run all of it."""
    print("== no table ==")
    each(serve)
    print("\n== with the table ==")
    each(judge)
    print("\n== wrong messages ==")
    wrong_messages()
    print("\n== the wrong contract ==")
    wrong_contract()
    print("\n== without await ==")
    without_await()
    print("\n== a list and a dict ==")
    print(COOKIES)
    print(dict(COOKIES))
    print("\n== environ and scope ==")
    environ_and_scope()


if __name__ == "__main__":
    main()
