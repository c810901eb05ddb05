"""Two contracts on one server: which thread waits, and who waits with it?"""

import asyncio
import sys
import threading
from contextvars import ContextVar

sys.path.insert(0, ".")  # the root, where this is run

from asgi_ref.bridge import (
    AsgiFromWsgi,
    Crossing,
    WsgiFromAsgi,
    answer,
    environ_of,
)
from asgi_ref.request import parse_request
from asgi_ref.scope import about_connection, http_scope
from asgi_ref.wsgi import Gateway

HEAD = b"POST /notes HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n"
SCOPE = http_scope(parse_request(HEAD), about_connection(None, None), {})
REQUEST = {"type": "http.request", "body": b"lamp", "more_body": False}
START = {"type": "http.response.start", "status": 200}
TICK = {"type": "http.response.body", "body": b"tick", "more_body": True}
END = {"type": "http.response.body"}
PLAIN = [("Content-Type", "text/plain")]
CROSSING = [
    ("loop", "thread", "one request's environ"),
    ("thread", "WSGI app", "app(environ, start_response)"),
    ("WSGI app", "thread", "wsgi.input.read(4)"),
    ("thread", "loop", "receive()"),
    ("loop", "thread", "http.request"),
    ("thread", "WSGI app", "b'lamp'"),
    ("WSGI app", "thread", "yield b'noted '"),
    ("thread", "loop", "send(): start and body"),
    ("loop", "thread", "sent"),
    ("thread", "WSGI app", "next()"),
]

begun, signed = threading.Event(), threading.Event()
entered, gate = threading.Semaphore(0), threading.Event()
user = ContextVar("user", default="nobody")
called = []


async def receive():
    """Hand over the request's body."""
    return REQUEST


async def send(message):
    """Take what an application sends."""


def report(environ, start_response):
    """Wait, half a second at most, until somebody has signed."""
    print("report: begins, and waits")
    begun.set()
    came = signed.wait(0.5)
    print("report:", "signed" if came else "nobody came")
    start_response("200 OK", PLAIN[:])
    return [b"the report"]


async def sign():
    """Sign the report."""
    print("sign: served")
    signed.set()


def obvious(app):
    """Return a WSGI application as an ASGI application."""

    async def asgi(scope, receive, send):
        said = []
        environ = environ_of(scope, lambda: b"")
        result = app(environ, lambda *head: said.append(head))
        body = b"".join(result)
        status = int(said[0][0].split()[0])
        await send({"type": "http.response.start", "status": status})
        await send({"type": "http.response.body", "body": body})

    return asgi


def second_client(loop):
    """Ask for /sign as soon as the report has begun."""
    begun.wait()
    print("second client: asks for /sign")
    asyncio.run_coroutine_threadsafe(sign(), loop).result()


async def two_clients(app):
    """Let one client ask for the report, and another one sign it."""
    begun.clear()
    signed.clear()
    loop = asyncio.get_running_loop()
    other = loop.run_in_executor(None, second_client, loop)
    try:
        await app(SCOPE, receive, send)
    finally:
        begun.set()  # so that one may leave a debugger before the report
        await other


async def fails():
    """Call the report on the loop."""
    await two_clients(obvious(report))


async def in_a_thread():
    """Call it through the bridge."""
    await two_clients(AsgiFromWsgi(report))


def hold(environ, start_response):
    """Say who is here; wait for the gate, five seconds at most."""
    called.append(int(environ["PATH_INFO"][1:]))
    entered.release()
    gate.wait(5)
    start_response("200 OK", PLAIN[:])
    return [b"done"]


async def the_41st():
    """Ask 41 times at once."""
    app = AsgiFromWsgi(hold)
    asked = [
        asyncio.create_task(
            app({**SCOPE, "path": f"/{number}"}, receive, send)
        )
        for number in range(1, 42)
    ]
    for _ in range(40):
        await asyncio.to_thread(entered.acquire)
    print("asked:", len(asked), "inside:", len(called))
    await sign()
    print("not called yet:", sorted(set(range(1, 42)) - set(called)))
    gate.set()
    await asyncio.wait(asked)
    print("called last:", called[40:])


def greet(environ, start_response):
    """Say who is logged in; change it."""
    print("the WSGI app sees", user.get(), "and sets root")
    user.set("root")
    start_response("200 OK", PLAIN[:])
    return [b"hello"]


async def a_variable():
    """Log in on the loop; look from a thread."""
    user.set("ada")
    loop = asyncio.get_running_loop()
    seen = await loop.run_in_executor(None, user.get)
    print("a thread by itself sees", seen)
    await AsgiFromWsgi(greet)(SCOPE, receive, send)
    print("the loop still sees", user.get())


async def clock(scope, receive, send):
    """Tick twice, answer, and then do something else."""
    await send(START)
    for _ in range(2):
        await send(TICK)
        print("app: send() has returned")
    await send(END)
    print("app: a background task")


def the_other_way():
    """Serve an ASGI application to a WSGI server."""
    environ = environ_of(SCOPE, lambda: b"")
    for block in WsgiFromAsgi(clock)(environ, lambda *head: None):
        print("server: writes", block)
    print("server: the response is complete")


def notes(environ, start_response):
    """Read a note; answer in two pieces."""
    note = environ["wsgi.input"].read(4)
    start_response("200 OK", PLAIN[:])
    yield b"noted "
    yield note


def walk(wire=print):
    """Turn the roles: the loop is elsewhere, and this thread is the pool's."""
    loop = asyncio.new_event_loop()
    elsewhere = threading.Thread(target=loop.run_forever, daemon=True)
    elsewhere.start()

    async def receive():
        wire("loop", REQUEST)
        return REQUEST

    async def send(message):
        wire("thread", message)

    crossing = Crossing(loop, receive, send)
    environ = environ_of(SCOPE, crossing.more)
    answer(Gateway(crossing), notes, environ)
    loop.call_soon_threadsafe(loop.stop)
    elsewhere.join()
    loop.close()


# A loop's class has another name on other systems.
VARYING = {"loop", "outlet", "_outlet"}


def main():
    """Run all of it."""
    for part in fails, in_a_thread, the_41st, a_variable:
        print(f"== {part.__name__.replace('_', ' ')} ==")
        asyncio.run(part())
    for part in the_other_way, walk:
        print(f"== {part.__name__.replace('_', ' ')} ==")
        part()


if __name__ == "__main__":
    main()
