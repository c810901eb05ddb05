"""One exchange: an application, its two functions, and what it does wrong."""

import asyncio
import contextvars
import functools
import logging
import math
from contextlib import suppress

import pytest

from asgi_ref.connection import Connection
from asgi_ref.contract import ClientDisconnected, ContractError, place
from asgi_ref.exchange import READ_AHEAD, Exchange, in_context
from asgi_ref.response import BadResponse
from asgi_ref.scope import about_connection, http_scope
from asgi_ref.transport import READ_SIZE, MemoryTransport, sweep

PATIENCE = 20  # seconds before something that never comes is an error
MIB = 1024 * 1024

GET = b"GET /here HTTP/1.1\r\nHost: example.com\r\n\r\n"
START = {"type": "http.response.start", "status": 200}
BODY = {"type": "http.response.body", "body": b"hello"}
MORE = {**BODY, "more_body": True}
EMPTY = {"type": "http.response.body"}


def on_a_loop(test):
    """Run a coroutine function as a plain, bounded test."""

    @functools.wraps(test)
    def run(*arguments, **named):
        asyncio.run(asyncio.wait_for(test(*arguments, **named), PATIENCE))

    return run


class Clock:
    """A clock that moves when it is told to."""

    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def logged(caplog):
    """What the server logs, whatever logging was set up before."""
    log = logging.getLogger("asgi_ref")
    before = log.level, log.propagate
    log.addHandler(caplog.handler)
    log.setLevel(logging.INFO)
    log.propagate = False
    yield caplog
    log.level, log.propagate = before
    log.removeHandler(caplog.handler)


def errors(logged):
    return [r.getMessage() for r in logged.records if r.levelname == "ERROR"]


def post(body=b"", *fields, length=None):
    """A request whose Content-Length is that of the body, or `length`."""
    length = len(body) if length is None else length
    lines = [
        *(b"POST /here HTTP/1.1", b"Host: example.com"),
        *(b"Content-Length: %d" % length, *fields, b"", body),
    ]
    return b"\r\n".join(lines)


def chunked(body=b""):
    lines = [
        *(b"POST /here HTTP/1.1", b"Host: example.com"),
        *(b"Transfer-Encoding: chunked", b"", body),
    ]
    return b"\r\n".join(lines)


def begin(data=GET, transport=None, finished=()):
    """An exchange for the request that `data` starts with."""
    transport = transport or MemoryTransport()
    connection = Connection()
    connection.receive_data(data)
    connection.next_event()
    return Exchange(connection, transport, finished=finished), transport


def scope_of(exchange):
    return http_scope(exchange.connection.request, about_connection(), {})


async def serve(app, data=GET):
    """Run an application for one request; return exchange and transport."""
    exchange, transport = begin(data)
    await exchange.run(app, scope_of(exchange))
    return exchange, transport


def saying(*messages):
    """An application that sends these messages."""

    async def app(scope, receive, send):
        for message in messages:
            await send(message)

    return app


def parse(data):
    """A response as (status line, field lines, what follows)."""
    head, _, rest = bytes(data).partition(b"\r\n\r\n")
    line, *fields = head.split(b"\r\n")
    return line, fields, rest


# receive


async def read_whole(receive):
    messages = [await receive()]
    while messages[-1].get("more_body"):
        messages.append(await receive())
    return messages


@on_a_loop
async def test_a_request_without_a_body_is_one_empty_message():
    exchange, _ = begin()
    assert await exchange.receive() == {
        "type": "http.request",
        "body": b"",
        "more_body": False,
    }


@pytest.mark.parametrize(
    "data", [post(b"hello"), chunked(b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n")]
)
@on_a_loop
async def test_a_body_that_is_already_there(data):
    exchange, _ = begin(data)
    messages = await read_whole(exchange.receive)
    assert b"".join(m["body"] for m in messages) == b"hello"
    assert {type(m["body"]) for m in messages} == {bytes}


@on_a_loop
async def test_a_body_is_handed_over_in_the_pieces_it_comes_in():
    exchange, transport = begin(post(length=6))
    for piece, more in (b"ab", True), (b"cd", True), (b"ef", False):
        waiting = asyncio.create_task(exchange.receive())
        await asyncio.sleep(0)
        assert not waiting.done()
        transport.feed(piece)
        message = await waiting
        assert (message["body"], message["more_body"]) == (piece, more)


@on_a_loop
async def test_a_chunked_body_that_ends_later_than_its_data():
    exchange, transport = begin(chunked(b"3\r\nabc\r\n"))
    first = await exchange.receive()
    assert (first["body"], first["more_body"]) == (b"abc", True)
    transport.feed(b"0\r\n\r\n")
    last = await exchange.receive()
    assert (last["body"], last["more_body"]) == (b"", False)


@on_a_loop
async def test_the_body_is_read_only_as_the_application_asks():
    exchange, transport = begin(post(length=10 * READ_SIZE))
    transport.feed(bytes(10 * READ_SIZE))
    message = await exchange.receive()
    assert len(message["body"]) <= READ_SIZE
    assert len(exchange.connection.buffer) == 0


@on_a_loop
async def test_two_tasks_may_receive_at_the_same_time():
    exchange, transport = begin(post(length=4))
    tasks = [asyncio.create_task(exchange.receive()) for _ in range(3)]
    await asyncio.sleep(0)
    transport.feed(b"ab")
    await asyncio.sleep(0)
    transport.feed(b"cd")
    first, second = await asyncio.gather(*tasks[:2])
    assert (first["body"], second["body"]) == (b"ab", b"cd")
    transport.feed(b"")
    assert (await tasks[2])["type"] == "http.disconnect"


@on_a_loop
async def test_all_who_wait_are_told_of_the_disconnect():
    exchange, transport = begin()
    await exchange.receive()
    tasks = [asyncio.create_task(exchange.receive()) for _ in range(2)]
    await asyncio.sleep(0)
    transport.feed(b"")
    for message in await asyncio.gather(*tasks):
        assert message == {"type": "http.disconnect"}
    assert (await exchange.receive())["type"] == "http.disconnect"


@on_a_loop
async def test_receive_after_the_response_is_complete():
    for data in GET, post(length=10):
        exchange, _ = begin(data)
        await exchange.send(START)
        await exchange.send(BODY)
        assert (await exchange.receive())["type"] == "http.disconnect"


def at_once(coroutine):
    """Return what a coroutine returns, if it does not wait for it."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    coroutine.close()
    return "it waits"


@on_a_loop
async def test_who_only_looks_whether_it_is_over_is_told_at_once():
    """Starlette's is_disconnected() cancels before it asks."""
    exchange, _ = begin()
    await exchange.receive()
    await exchange.send(START)
    await exchange.send(BODY)
    for _ in range(10):
        assert at_once(exchange.receive()) == {"type": "http.disconnect"}

    exchange, transport = begin()
    await exchange.receive()
    transport.feed(b"")
    assert at_once(exchange.receive()) == {"type": "http.disconnect"}


@on_a_loop
async def test_who_asks_for_ever_lets_others_run():
    exchange, _ = begin()
    await exchange.send(START)
    await exchange.send(BODY)

    async def ask():
        while True:
            await exchange.receive()

    asking = asyncio.create_task(ask())
    await asyncio.sleep(0)
    asking.cancel()
    await asyncio.wait([asking])
    assert asking.cancelled()


@on_a_loop
async def test_a_receive_that_waits_ends_with_the_response():
    exchange, _ = begin()
    await exchange.receive()
    waiting = asyncio.create_task(exchange.receive())
    await asyncio.sleep(0)
    await exchange.send(START)
    await exchange.send(MORE)
    await asyncio.sleep(0)
    assert not waiting.done()
    await exchange.send(BODY)
    assert (await waiting)["type"] == "http.disconnect"


@on_a_loop
async def test_tell_end_ends_a_receive_that_waits():
    exchange, _ = begin()
    await exchange.receive()
    waiting = asyncio.create_task(exchange.receive())
    await asyncio.sleep(0)
    exchange.tell_end()
    assert (await waiting)["type"] == "http.disconnect"


@on_a_loop
async def test_the_next_request_is_kept_while_the_application_waits():
    exchange, transport = begin(GET + GET[:10])
    await exchange.receive()
    waiting = asyncio.create_task(exchange.receive())
    await asyncio.sleep(0)
    transport.feed(GET[10:])
    await asyncio.sleep(0)
    await exchange.send(START)
    await exchange.send(BODY)
    await waiting
    await exchange.release()
    assert exchange.connection.next_cycle()
    assert exchange.connection.next_event().target == b"/here"


@on_a_loop
async def test_what_is_read_ahead_is_bounded():
    exchange, transport = begin()
    await exchange.receive()
    waiting = asyncio.create_task(exchange.receive())
    transport.feed(bytes(MIB))
    for _ in range(50):
        await asyncio.sleep(0)
    kept = len(exchange.connection.buffer)
    assert READ_AHEAD <= kept < READ_AHEAD + READ_SIZE
    assert not waiting.done()
    waiting.cancel()


@on_a_loop
async def test_release_lets_nobody_read_any_more():
    exchange, transport = begin()
    await exchange.receive()
    waiting = asyncio.create_task(exchange.receive())
    await asyncio.sleep(0)
    await exchange.release()
    transport.feed(b"next")
    await asyncio.sleep(0)
    assert await transport.read() == b"next"
    waiting.cancel()


@on_a_loop
async def test_a_receive_that_is_cancelled_loses_nothing():
    exchange, transport = begin(post(length=4))
    waiting = asyncio.create_task(exchange.receive())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    transport.feed(b"abcd")
    assert (await exchange.receive())["body"] == b"abcd"


@on_a_loop
async def test_a_receive_that_is_cancelled_leaves_no_time_limit():
    """As `asyncio.wait_for(receive(), 1)` does; the app may work on."""
    exchange, transport = begin(post(length=4), MemoryTransport(Clock()))
    waiting = asyncio.create_task(exchange.receive())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    assert transport.deadline == math.inf


@on_a_loop
async def test_a_body_that_stalls_is_refused_in_time(logged):
    clock = Clock()
    exchange, transport = begin(post(length=4), MemoryTransport(clock))
    waiting = asyncio.create_task(exchange.receive())
    await asyncio.sleep(0)
    clock.now += 59
    sweep([transport], clock())
    await asyncio.sleep(0)
    assert not waiting.done()
    clock.now += 2
    sweep([transport], clock())
    assert (await waiting)["type"] == "http.disconnect"
    assert transport.sent.startswith(b"HTTP/1.1 408 ")


# send: what comes out.


@on_a_loop
async def test_a_whole_body_gets_its_length():
    _, transport = await serve(saying(START, BODY))
    line, fields, body = parse(transport.sent)
    assert line == b"HTTP/1.1 200 OK"
    assert fields == [b"content-length: 5"]
    assert body == b"hello"


@on_a_loop
async def test_a_body_in_pieces_is_chunked():
    _, transport = await serve(saying(START, MORE, MORE, EMPTY))
    _, fields, body = parse(transport.sent)
    assert fields == [b"transfer-encoding: chunked"]
    assert body == b"5\r\nhello\r\n5\r\nhello\r\n0\r\n\r\n"


@on_a_loop
async def test_http_1_0_is_ended_by_the_connection():
    data = b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
    exchange, transport = await serve(saying(START, MORE, EMPTY), data)
    _, fields, body = parse(transport.sent)
    assert fields == [b"connection: close"]
    assert body == b"hello"
    assert not exchange.connection.next_cycle()


@on_a_loop
async def test_nothing_is_written_before_the_body():
    """ "Must not start sending ... until it has received ... body event." """
    exchange, transport = begin()
    await exchange.send(START)
    assert transport.sent == b""
    await exchange.send(MORE)
    assert transport.sent.endswith(b"hello\r\n")
    assert exchange.state == "sending"


@on_a_loop
async def test_an_empty_first_piece_sends_the_head():
    """The client of a stream should see at once that it begins."""
    exchange, transport = begin()
    await exchange.send(START)
    await exchange.send({**EMPTY, "more_body": True})
    assert transport.sent.endswith(b"chunked\r\n\r\n")


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
@on_a_loop
async def test_bytes_may_be_of_any_kind(kind):
    body = {**BODY, "body": kind(b"hello")}
    _, transport = await serve(saying(START, {**body, "more_body": True}))
    assert b"5\r\nhello\r\n" in transport.sent
    _, transport = await serve(saying(START, body))
    assert transport.sent.endswith(b"\r\ncontent-length: 5\r\n\r\nhello")


@on_a_loop
async def test_a_view_is_counted_in_bytes():
    view = memoryview(b"hello---").cast("I")
    _, transport = await serve(saying(START, {**BODY, "body": view}))
    assert parse(transport.sent)[1:] == ([b"content-length: 8"], b"hello---")


@pytest.mark.parametrize(
    "headers",
    [
        [(b"x-a", b"1"), (b"x-b", b"2")],
        [[b"x-a", b"1"], [b"x-b", b"2"]],
        ((b"x-a", b"1"), [b"x-b", b"2"]),
        {b"x-a": b"1", b"x-b": b"2"}.items(),
    ],
)
@on_a_loop
async def test_headers_may_be_any_iterable(headers):
    start = {**START, "headers": headers}
    _, transport = await serve(saying(start, BODY))
    assert parse(transport.sent)[1][1:3] == [b"x-a: 1", b"x-b: 2"]


@on_a_loop
async def test_headers_may_be_a_generator_that_is_read_once():
    headers = ((b"x-%d" % n, b"y") for n in range(3))
    start = {**START, "headers": headers}
    _, transport = await serve(saying(start, BODY))
    assert parse(transport.sent)[1][1:4] == [b"x-0: y", b"x-1: y", b"x-2: y"]


@on_a_loop
async def test_headers_may_be_left_out():
    exchange, _ = await serve(saying(START, BODY))
    assert exchange.status == 200


@on_a_loop
async def test_repeated_headers_stay_apart_and_in_order():
    headers = [(b"set-cookie", b"a=1"), (b"x", b""), (b"set-cookie", b"b=2")]
    start = {**START, "headers": headers}
    _, transport = await serve(saying(start, BODY))
    assert parse(transport.sent)[1][1:4] == [
        *(b"set-cookie: a=1", b"x: ", b"set-cookie: b=2")
    ]


@pytest.mark.parametrize("coding", [b"chunked", b"gzip, chunked", b"gzip"])
@on_a_loop
async def test_transfer_encoding_is_the_servers_business(coding):
    headers = [(b"Transfer-Encoding", coding), (b"content-length", b"5")]
    start = {**START, "headers": headers}
    _, transport = await serve(saying(start, BODY))
    _, fields, body = parse(transport.sent)
    assert fields == [b"content-length: 5"]
    assert body == b"hello"


@on_a_loop
async def test_the_application_may_ask_for_the_end_of_the_connection():
    start = {**START, "headers": [(b"connection", b"close")]}
    exchange, transport = await serve(saying(start, BODY))
    assert parse(transport.sent)[1].count(b"connection: close") == 1
    assert not exchange.connection.next_cycle()


@on_a_loop
async def test_head_gets_the_head():
    data = GET.replace(b"GET", b"HEAD")
    start = {**START, "headers": [(b"content-length", b"5")]}
    for messages in (start, BODY), (start, MORE, EMPTY), (start, EMPTY):
        exchange, transport = await serve(saying(*messages), data)
        line, fields, body = parse(transport.sent)
        assert line == b"HTTP/1.1 200 OK"
        assert (fields, body) == ([b"content-length: 5"], b"")
        assert exchange.connection.next_cycle()


@pytest.mark.parametrize(
    ("status", "expected"),
    [(204, []), (205, [b"content-length: 0"]), (304, [b"etag: x"])],
)
@on_a_loop
async def test_statuses_that_have_no_body(status, expected):
    headers = [(b"etag", b"x")] if status == 304 else []
    start = {**START, "status": status, "headers": headers}
    for messages in (start, BODY), (start, MORE, EMPTY):
        exchange, transport = await serve(saying(*messages))
        _, fields, body = parse(transport.sent)
        assert (fields, body) == (expected, b"")
        assert exchange.connection.next_cycle()


@on_a_loop
async def test_early_hints():
    links = (b"<%b>; rel=preload" % name for name in (b"/a", b"/b"))
    hint = {"type": "http.response.early_hint", "links": links}
    _, transport = await serve(saying(START, hint, BODY))
    line, fields, rest = parse(transport.sent)
    assert line == b"HTTP/1.1 103 Early Hints"
    assert fields == [b"link: </a>; rel=preload", b"link: </b>; rel=preload"]
    assert rest.startswith(b"HTTP/1.1 200 OK\r\n")


@on_a_loop
async def test_early_hints_that_come_too_late_or_to_http_1_0_are_dropped():
    hint = {"type": "http.response.early_hint", "links": [b"</a>"]}
    _, transport = await serve(saying(START, MORE, hint, EMPTY))
    assert b"103" not in transport.sent
    old = b"GET / HTTP/1.0\r\n\r\n"
    _, transport = await serve(saying(START, hint, BODY), old)
    assert b"103" not in transport.sent


@on_a_loop
async def test_trailers_for_a_client_that_takes_them():
    data = GET[:-2] + b"TE: trailers\r\n\r\n"
    start = {**START, "trailers": True}
    first = {
        "type": "http.response.trailers",
        "headers": [(b"x-a", b"1")],
        "more_trailers": True,
    }
    last = {
        "type": "http.response.trailers",
        "headers": iter([(b"x-b", b"2")]),
    }
    exchange, transport = await serve(saying(start, BODY, first, last), data)
    _, fields, body = parse(transport.sent)
    assert fields == [b"transfer-encoding: chunked"]
    assert body == b"5\r\nhello\r\n0\r\nx-a: 1\r\nx-b: 2\r\n\r\n"
    assert exchange.connection.next_cycle()


@on_a_loop
async def test_trailers_for_a_client_that_does_not():
    start = {**START, "trailers": True}
    last = {"type": "http.response.trailers", "headers": [(b"x-b", b"2")]}
    exchange, transport = await serve(saying(start, BODY, last))
    assert parse(transport.sent)[2] == b"5\r\nhello\r\n0\r\n\r\n"
    assert exchange.connection.next_cycle()


@on_a_loop
async def test_wrong_trailers_are_raised_where_they_were_sent():
    wrong = {"headers": [("a", "text")], "more_trailers": True}
    raised = []

    async def app(scope, receive, send):
        await send({**START, "trailers": True})
        await send(BODY)
        event = {"type": "http.response.trailers"}
        try:
            await send({**event, **wrong})
        except BadResponse as error:
            raised.append(error)
        await send({**event, "headers": [(b"a", b"b")]})

    exchange, _ = await serve(app)
    assert raised
    assert exchange.state == "complete"


@on_a_loop
async def test_a_receive_that_waits_for_body_ends_with_the_response():
    exchange, transport = begin(post(b"half", length=8))
    assert (await exchange.receive())["body"] == b"half"
    waiting = asyncio.create_task(exchange.receive())
    await asyncio.sleep(0)
    await exchange.send({**START, "headers": []})
    await exchange.send(BODY)
    assert (await waiting)["type"] == "http.disconnect"
    transport.feed(b"rest")  # the connection can go on
    assert await transport.read() == b"rest"


@on_a_loop
async def test_asking_for_ever_does_not_stop_the_others():
    exchange, transport = begin()
    await exchange.receive()
    transport.feed(b"")
    await exchange.receive()
    turns = []
    asyncio.get_running_loop().call_soon(turns.append, "another's turn")
    for _ in range(1000):
        assert (await exchange.receive())["type"] == "http.disconnect"
    assert turns


@on_a_loop
async def test_a_last_send_that_is_cancelled_has_been_sent():
    seen = []

    class Slow(MemoryTransport):
        def write(self, data):
            super().write(data)
            return True

        async def drain(self):
            await asyncio.Event().wait()

    exchange, transport = begin(transport=Slow(), finished=(seen.append,))
    await exchange.send({**START, "headers": []})
    sending = asyncio.create_task(exchange.send(BODY))
    await asyncio.sleep(0)
    sending.cancel()
    await asyncio.wait([sending])
    assert transport.sent.endswith(BODY["body"])
    assert seen == [exchange]


@on_a_loop
async def test_trailers_of_an_answer_to_head():
    data = GET.replace(b"GET", b"HEAD")
    start = {**START, "trailers": True}
    last = {"type": "http.response.trailers", "headers": [(b"x-b", b"2")]}
    exchange, transport = await serve(saying(start, BODY, last), data)
    assert parse(transport.sent)[2] == b""
    assert exchange.connection.next_cycle()


# Sending a file by its path.


def pathsend(path):
    return {"type": "http.response.pathsend", "path": str(path)}


@pytest.mark.parametrize("size", [0, 1, 5 * MIB])
@on_a_loop
async def test_a_file(tmp_path, size):
    path = tmp_path / "file"
    path.write_bytes(b"x" * size)
    exchange, transport = await serve(saying(START, pathsend(path)))
    _, fields, body = parse(transport.sent)
    assert fields == [b"content-length: %d" % size]
    assert len(body) == size
    assert exchange.sent == size
    assert exchange.connection.next_cycle()


@on_a_loop
async def test_a_file_for_head(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"hello")
    data = GET.replace(b"GET", b"HEAD")
    exchange, transport = await serve(saying(START, pathsend(path)), data)
    assert parse(transport.sent)[2] == b""
    assert exchange.connection.next_cycle()


@on_a_loop
async def test_a_file_for_http_1_0(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"hello")
    data = b"GET / HTTP/1.0\r\n\r\n"
    _, transport = await serve(saying(START, pathsend(path)), data)
    assert transport.sent.endswith(b"\r\n\r\nhello")


@on_a_loop
async def test_a_file_whose_length_the_application_gives(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"hello")
    start = {**START, "headers": [(b"content-length", b"5")]}
    _, transport = await serve(saying(start, pathsend(path)))
    assert transport.sent.count(b"content-length: 5") == 1
    assert transport.sent.endswith(b"\r\n\r\nhello")


@pytest.mark.parametrize("length", [b"4", b"6"])
@on_a_loop
async def test_a_file_whose_length_is_another(tmp_path, length, logged):
    path = tmp_path / "file"
    path.write_bytes(b"hello")
    start = {**START, "headers": [(b"content-length", length)]}
    _, transport = await serve(saying(start, pathsend(path)))
    assert transport.sent.startswith(b"HTTP/1.1 500 ")


@on_a_loop
async def test_a_file_that_is_missing_is_the_applications_error(tmp_path):
    caught = []

    async def app(scope, receive, send):
        await send(START)
        try:
            await send(pathsend(tmp_path / "nowhere"))
        except FileNotFoundError as error:
            caught.append(error)
            await send(BODY)

    _, transport = await serve(app)
    assert caught
    assert transport.sent.endswith(b"hello")


@on_a_loop
async def test_a_missing_file_that_nobody_catches(tmp_path, logged):
    for path in tmp_path / "nowhere", tmp_path:
        _, transport = await serve(saying(START, pathsend(path)))
        assert transport.sent.startswith(b"HTTP/1.1 500 ")
    assert len(errors(logged)) == 2


# What applications do wrong.


async def boom(*arguments):
    raise ValueError("boom")


def then_boom(*messages):
    async def app(scope, receive, send):
        for message in messages:
            await send(message)
        await boom()

    return app


@pytest.mark.parametrize("messages", [(), (START,)])
@on_a_loop
async def test_an_error_before_the_body_is_a_500(messages, logged):
    exchange, transport = await serve(then_boom(*messages))
    line, fields, body = parse(transport.sent)
    assert line == b"HTTP/1.1 500 Internal Server Error"
    assert b"connection: close" in fields
    assert body == b"Internal Server Error"
    assert not exchange.connection.next_cycle()
    (error,) = errors(logged)
    assert error.startswith("ValueError: boom (test_exchange.py:")
    assert logged.records[0].exc_info


@on_a_loop
async def test_an_error_after_early_hints_is_a_500(logged):
    hint = {"type": "http.response.early_hint", "links": [b"</a>"]}
    _, transport = await serve(then_boom(START, hint))
    assert b"HTTP/1.1 500 " in transport.sent


@pytest.mark.parametrize("more", [(), (MORE,)])
@on_a_loop
async def test_an_error_in_the_body_cuts_the_connection(more, logged):
    exchange, transport = await serve(then_boom(START, MORE, *more))
    assert transport.closed
    assert b"0\r\n\r\n" not in transport.sent
    assert not exchange.connection.next_cycle()
    assert len(errors(logged)) == 1


@on_a_loop
async def test_an_error_after_the_answer_is_logged_and_no_more(logged):
    exchange, transport = await serve(then_boom(START, BODY))
    assert transport.sent.endswith(b"hello")
    assert exchange.connection.next_cycle()
    assert len(errors(logged)) == 1


@on_a_loop
async def test_an_error_of_the_application_that_is_a_cancellation(logged):
    """It awaited a task that was cancelled; nobody cancelled the server."""

    async def app(scope, receive, send):
        other = asyncio.create_task(asyncio.sleep(PATIENCE))
        other.cancel()
        await other

    exchange, transport = begin()
    with suppress(asyncio.CancelledError):
        await exchange.run(app, scope_of(exchange))
    assert transport.sent.startswith(b"HTTP/1.1 500 ")
    assert errors(logged)


@pytest.mark.parametrize("messages", [(), (START,)])
@on_a_loop
async def test_returning_without_an_answer_is_a_500(messages, logged):
    _, transport = await serve(saying(*messages))
    assert transport.sent.startswith(b"HTTP/1.1 500 ")
    (error,) = errors(logged)
    assert "GET /here" in error


@on_a_loop
async def test_returning_in_the_middle_cuts_the_connection(logged):
    _, transport = await serve(saying(START, MORE))
    assert transport.closed
    assert len(errors(logged)) == 1


@pytest.mark.parametrize("later", [START, MORE, BODY, EMPTY])
@on_a_loop
async def test_messages_after_the_answer_are_ignored(later, logged):
    exchange, transport = await serve(saying(START, BODY, later, later))
    assert transport.sent.count(b"hello") == 1
    assert exchange.connection.next_cycle()
    assert not errors(logged)


@pytest.mark.parametrize(
    ("before", "message", "error"),
    [
        ((), BODY, ContractError),
        ((START,), START, ContractError),
        ((START, MORE), START, ContractError),
        ((), {"type": "nonsense"}, ContractError),
        ((), None, ContractError),
        ((), {**START, "status": "200"}, ContractError),
        ((), {**START, "headers": None}, ContractError),
        ((START,), {**BODY, "body": "hello"}, ContractError),
        ((), {**START, "status": 99}, BadResponse),
        ((), {**START, "status": 101}, BadResponse),
        ((), {**START, "status": 1000}, BadResponse),
        ((), {**START, "status": -1}, BadResponse),
        ((), {**START, "headers": [("x", "y")]}, BadResponse),
        ((), {**START, "headers": [(b"x", "y")]}, BadResponse),
        ((), {**START, "headers": [(b"x", 1)]}, BadResponse),
        ((), {**START, "headers": [(b"x",)]}, BadResponse),
        ((), {**START, "headers": [b"xy"]}, BadResponse),
        ((), {**START, "headers": {"x": "y"}}, BadResponse),
        ((), {**START, "headers": "xy"}, BadResponse),
        ((), {**START, "headers": [None]}, BadResponse),
        ((), {**START, "headers": [(b"x y", b"z")]}, BadResponse),
        ((), {**START, "headers": [(b"x", b"a\r\nb: c")]}, BadResponse),
        ((), {**START, "headers": [(b"x", b"a\0")]}, BadResponse),
        (
            (START,),
            {"type": "http.response.early_hint", "links": [b"a\r\nb"]},
            BadResponse,
        ),
    ],
)
@on_a_loop
async def test_a_wrong_message_is_raised_where_it_was_sent(
    before, message, error, logged
):
    """In the application's own line, with the line in the log."""
    caught = []

    async def app(scope, receive, send):
        for right in before:
            await send(right)
        try:
            await send(message)
        except error as wrong:
            caught.append(wrong)
            raise

    await serve(app)
    (wrong,) = caught
    line = app.__code__.co_firstlineno + 4
    assert place(wrong).endswith(f" (test_exchange.py:{line})")
    assert errors(logged)[0].endswith(f" (test_exchange.py:{line})")


@on_a_loop
async def test_text_in_headers_is_named(logged):
    start = {**START, "headers": [("x-a", "b")]}
    await serve(saying(start, BODY))
    assert (
        "headers must be (bytes, bytes); got ('x-a', 'b')"
        in (errors(logged)[0])
    )


@on_a_loop
async def test_a_wrong_message_that_is_caught_changes_nothing():
    async def app(scope, receive, send):
        with pytest.raises(ContractError):
            await send(BODY)
        with pytest.raises(BadResponse):
            await send({**START, "headers": [("x", "y")]})
        await send(START)
        with pytest.raises(ContractError):
            await send(START)
        await send(BODY)

    _, transport = await serve(app)
    assert transport.sent.startswith(b"HTTP/1.1 200 ")
    assert transport.sent.endswith(b"hello")


@pytest.mark.parametrize(
    ("length", "messages"),
    [
        (b"4", (BODY,)),
        (b"6", (BODY,)),
        (b"4", (MORE,)),
        (b"five", (BODY,)),
        (b"-5", (BODY,)),
        (b"", (BODY,)),
    ],
)
@on_a_loop
async def test_a_wrong_length_that_is_seen_at_once_is_a_500(
    length, messages, logged
):
    start = {**START, "headers": [(b"content-length", length)]}
    _, transport = await serve(saying(start, *messages))
    line, fields, body = parse(transport.sent)
    assert line.startswith(b"HTTP/1.1 500 ")
    assert body == b"Internal Server Error"
    assert f"{len(body)}" in b"".join(fields).decode()
    assert "content-length" in errors(logged)[0]


@pytest.mark.parametrize(
    ("length", "messages"),
    [
        (b"9", (MORE, BODY)),
        (b"11", (MORE, BODY)),
        (b"11", (MORE, MORE, EMPTY)),
    ],
)
@on_a_loop
async def test_a_wrong_length_that_is_seen_later_cuts(
    length, messages, logged
):
    start = {**START, "headers": [(b"content-length", length)]}
    _, transport = await serve(saying(start, *messages))
    assert transport.closed
    assert len(parse(transport.sent)[2]) <= int(length)
    assert len(errors(logged)) == 1


@on_a_loop
async def test_two_lengths_are_refused(logged):
    headers = [(b"content-length", b"5"), (b"content-length", b"5")]
    _, transport = await serve(saying({**START, "headers": headers}, BODY))
    assert transport.sent.startswith(b"HTTP/1.1 500 ")


# A client that leaves.


@on_a_loop
async def test_send_after_the_client_has_gone_is_an_os_error(logged):
    caught = []

    async def app(scope, receive, send):
        await receive()
        assert (await receive())["type"] == "http.disconnect"
        for message in START, BODY:
            try:
                await send(message)
            except OSError as error:
                caught.append(error)
        raise caught[0]

    exchange, transport = begin()
    transport.feed(b"")
    await exchange.run(app, scope_of(exchange))
    assert [type(error) for error in caught] == [ClientDisconnected] * 2
    assert transport.sent == b""
    assert not errors(logged)


@on_a_loop
async def test_a_write_that_fails_is_an_os_error_and_a_disconnect(logged):
    told = []

    async def app(scope, receive, send):
        await receive()
        await send(START)
        await send(MORE)
        transport.abort()
        with pytest.raises(ClientDisconnected):
            await send(MORE)
        told.append(await receive())
        await send(MORE)

    exchange, transport = begin()
    await exchange.run(app, scope_of(exchange))
    assert told == [{"type": "http.disconnect"}]
    assert not errors(logged)


@on_a_loop
async def test_returning_quietly_after_the_client_left_is_right(logged):
    async def app(scope, receive, send):
        await receive()
        await receive()

    exchange, transport = begin()
    transport.feed(b"")
    await exchange.run(app, scope_of(exchange))
    assert transport.sent == b""
    assert not errors(logged)


@on_a_loop
async def test_a_client_that_leaves_inside_its_body(logged):
    told = []

    async def app(scope, receive, send):
        told.append(await receive())
        told.append(await receive())
        await send(START)

    exchange, transport = begin(post(b"ab", length=4))
    transport.feed(b"")
    await exchange.run(app, scope_of(exchange))
    assert told[0]["more_body"]
    assert told[1] == {"type": "http.disconnect"}
    assert transport.sent.startswith(b"HTTP/1.1 400 ")
    assert not errors(logged)


@on_a_loop
async def test_receive_never_raises_for_a_client_that_left(logged):
    """Not even if "100 Continue" can be sent to nobody any more."""
    exchange, transport = begin(post(b"", b"Expect: 100-continue", length=4))
    transport.abort()
    transport.feed(b"")
    assert (await exchange.receive())["type"] == "http.disconnect"


@on_a_loop
async def test_a_bad_chunk_is_a_400_and_a_disconnect(logged):
    told = []

    async def app(scope, receive, send):
        told.append(await receive())
        told.append(await receive())
        with pytest.raises(ClientDisconnected):
            await send(START)

    exchange, transport = begin(chunked(b"2\r\nab\r\n"))
    transport.feed(b"nonsense\r\n")
    await exchange.run(app, scope_of(exchange))
    assert [m["type"] for m in told] == ["http.request", "http.disconnect"]
    assert transport.sent.startswith(b"HTTP/1.1 400 ")
    assert b"connection: close" in transport.sent
    assert not exchange.connection.next_cycle()
    assert not errors(logged)


@on_a_loop
async def test_a_bad_chunk_after_the_answer_began_cuts(logged):
    async def app(scope, receive, send):
        await receive()
        await send(START)
        await send(MORE)
        assert (await receive())["type"] == "http.disconnect"

    exchange, transport = begin(chunked(b"2\r\nab\r\n"))
    transport.feed(b"nonsense\r\n")
    await exchange.run(app, scope_of(exchange))
    assert transport.closed
    assert b"400" not in transport.sent


# Expect: 100-continue


CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


@on_a_loop
async def test_a_refusal_where_trailers_were_promised_is_whole():
    async def app(scope, receive, send):
        await send({**START, "trailers": True})
        raise RuntimeError("no answer after all")

    _, transport = await serve(app)
    line, _, body = parse(transport.sent)
    assert line == b"HTTP/1.1 500 Internal Server Error"
    assert body == b"Internal Server Error"


@on_a_loop
async def test_continue_is_said_when_the_application_reads():
    exchange, transport = begin(post(b"", b"Expect: 100-continue", length=2))
    await asyncio.sleep(0)
    assert transport.sent == b""
    waiting = asyncio.create_task(exchange.receive())
    await asyncio.sleep(0)
    assert transport.sent == CONTINUE
    transport.feed(b"ok")
    assert (await waiting)["body"] == b"ok"
    await exchange.send(START)
    await exchange.send(BODY)
    assert transport.sent.count(b"100 Continue") == 1
    assert exchange.connection.next_cycle()


@on_a_loop
async def test_continue_is_not_said_when_the_answer_comes_first():
    data = post(b"", b"Expect: 100-continue", length=2)
    exchange, transport = await serve(saying(START, BODY), data)
    assert b"100 Continue" not in transport.sent
    assert b"connection: close" in transport.sent
    assert not exchange.connection.next_cycle()


@on_a_loop
async def test_continue_is_not_said_when_the_body_is_there():
    data = post(b"ok", b"Expect: 100-continue")
    exchange, transport = begin(data)
    assert (await exchange.receive())["body"] == b"ok"
    assert transport.sent == b""


@on_a_loop
async def test_continue_is_not_said_to_http_1_0():
    data = b"POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 2\r\n"
    exchange, transport = begin(data + b"\r\n")
    transport.feed(b"ok")
    assert (await exchange.receive())["body"] == b"ok"
    assert transport.sent == b""


# Around it.


@on_a_loop
async def test_finished_is_called_once_when_the_response_is_complete():
    seen = []
    exchange, _ = begin(finished=(seen.append,))
    await exchange.send(START)
    await exchange.send(MORE)
    assert not seen
    await exchange.send(BODY)
    await exchange.send(BODY)
    assert seen == [exchange]
    assert (exchange.status, exchange.sent) == (200, 10)


@on_a_loop
async def test_what_was_refused_is_not_counted(logged):
    """The log should say what the client got."""
    start = {**START, "headers": [(b"content-length", b"4")]}
    exchange, transport = await serve(saying(start, BODY))
    assert exchange.status == 500
    assert exchange.sent == len(parse(transport.sent)[2])


@on_a_loop
async def test_the_servers_own_lines_come_from_outside():
    connection = Connection()
    connection.receive_data(GET)
    connection.next_event()
    transport = MemoryTransport()
    exchange = Exchange(connection, transport, lambda _: b"server: me\r\n")
    await exchange.send(START)
    await exchange.send(BODY)
    assert b"server: me\r\n" in transport.sent


@on_a_loop
async def test_in_context_keeps_what_is_set_inside():
    variable = contextvars.ContextVar("variable", default="outside")
    seen = []

    async def inside():
        variable.set("inside")
        await asyncio.sleep(0)
        seen.append(variable.get())
        child = asyncio.create_task(report())
        await child

    async def report():
        seen.append(variable.get())

    waits = []
    await in_context(inside(), lambda: waits.append(1))
    assert seen == ["inside", "inside"]
    assert variable.get() == "outside"
    assert len(waits) == 2


@on_a_loop
async def test_in_context_passes_errors_and_cancellation_through():
    with pytest.raises(ValueError, match="boom"):
        await in_context(boom(), lambda: None)

    cleaned = []

    async def sleeper():
        try:
            await asyncio.sleep(PATIENCE)
        finally:
            await asyncio.sleep(0)
            cleaned.append(True)

    async def outer():
        await in_context(sleeper(), lambda: None)

    task = asyncio.create_task(outer())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert cleaned


@on_a_loop
async def test_in_context_works_with_time_limits():
    async def sleeper():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await asyncio.sleep(PATIENCE)

    await in_context(sleeper(), lambda: None)
