"""The referee: whose fault it was, by which rule, and on which line."""

import asyncio
import logging
import sys
from pathlib import Path

import pytest

from asgi_ref.contract import HTTP, LIFESPAN, WEBSOCKET
from asgi_ref.referee import (
    SERVER,
    ContractBroken,
    Finding,
    Referee,
    section,
    strict,
    warn,
)

WWW = "ASGI HTTP and WebSocket 2.5"
SCOPE = {
    "type": "http",
    "asgi": {"version": "3.0", "spec_version": "2.5"},
    "http_version": "1.1",
    "method": "GET",
    "scheme": "http",
    "path": "/a b",
    "raw_path": b"/a%20b",
    "query_string": b"",
    "root_path": "",
    "headers": [(b"host", b"a")],
    "client": ("127.0.0.1", 50000),
    "server": ("127.0.0.1", 8000),
    "state": {},
    "extensions": {"http.response.trailers": {}},
}
SOCKET = {**SCOPE, "type": "websocket", "scheme": "ws", "subprotocols": []}
del SOCKET["method"]
LIFE = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}
SCOPES = {"http": SCOPE, "websocket": SOCKET, "lifespan": LIFE}

REQUEST = {"type": "http.request"}
GONE = {"type": "http.disconnect"}
START = {"type": "http.response.start", "status": 200}
BODY = {"type": "http.response.body", "body": b"hello"}
MORE = {**BODY, "more_body": True}
SIZED = {**START, "headers": [(b"content-length", b"5")]}
CONNECT = {"type": "websocket.connect"}
HEARD = {"type": "websocket.receive", "text": "hi"}
LEFT = {"type": "websocket.disconnect", "code": 1000}
ACCEPT = {"type": "websocket.accept"}
SAY = {"type": "websocket.send", "text": "hi"}
CLOSE = {"type": "websocket.close"}
STARTUP = {"type": "lifespan.startup"}
SHUTDOWN = {"type": "lifespan.shutdown"}
STARTED = {"type": "lifespan.startup.complete"}
STOPPED = {"type": "lifespan.shutdown.complete"}


def watch(scope, *script, send=None):
    """Play a script; return what the referee says.

    A message that the server can say is received, any other one is sent.
    """
    findings, told, said = [], [], []

    async def app(scope, receive, send):
        for message in script:
            if is_servers(message):
                assert await receive() is message
            else:
                await send(message)

    async def receive():
        told.append(1)
        return [m for m in script if is_servers(m)][len(told) - 1]

    async def note(message):
        said.append(message)
        if send is not None:
            await send(message)

    asyncio.run(Referee(app, findings.append)(scope, receive, note))
    sent = [m for m in script if not is_servers(m)]
    assert all(a is b for a, b in zip(said, sent, strict=True))
    return findings


def is_servers(message):
    return isinstance(message, dict) and message.get("type") in SERVER.send


def one(findings, culprit):
    """Return the fault of the only finding, and its rule."""
    (finding,) = findings
    assert finding.culprit == culprit
    return finding.fault, finding.rule


# What is right.


@pytest.mark.parametrize(
    ("kind", "script"),
    [
        (
            "http",
            [
                {**SIZED, "trailers": True},
                {**MORE, "body": b"he"},
                {**BODY, "body": b"llo"},
                {"type": "http.response.trailers", "headers": []},
            ],
        ),
        ("http", [REQUEST, SIZED, BODY]),
        ("http", [{**REQUEST, "body": b"a", "more_body": True}, START, BODY]),
        ("http", [START, MORE, {**BODY, "body": b""}]),
        ("http", [START, BODY, GONE, GONE]),
        (
            "http",
            [
                {**START, "trailers": True},
                BODY,
                {"type": "http.response.trailers", "headers": []},
            ],
        ),
        ("http", [START, BODY, BODY, START]),  # what comes late is ignored
        ("http", [{**START, "status": 204}, {**BODY, "body": b""}]),
        ("http", [{**START, "my.key": 1}, BODY]),  # the format can grow
        ("http", [REQUEST, GONE]),  # nobody is there to be answered
        ("http", [REQUEST, START, MORE, GONE, MORE]),
        ("websocket", [CONNECT, ACCEPT, HEARD, SAY, CLOSE]),
        ("websocket", [CONNECT, ACCEPT, SAY, LEFT, LEFT]),
        ("websocket", [CONNECT, CLOSE, SAY]),
        ("websocket", [CONNECT, LEFT]),
        ("lifespan", [STARTUP, STARTED, SHUTDOWN, STOPPED]),
        ("lifespan", [STARTUP, {"type": "lifespan.startup.failed"}]),
    ],
)
def test_what_is_right(kind, script):
    assert watch(SCOPES[kind], *script) == []


def test_what_only_should_be_is_left_alone():
    capitals = {**SCOPE, "headers": [(b"Host", b"a"), (b"X-A", b"1")]}
    assert watch(capitals, REQUEST, START, BODY) == []

    async def changes(scope, receive, send):
        scope["path"] = "/elsewhere"
        await send(START)
        await send(BODY)

    findings = []
    run(Referee(changes, findings.append))
    assert findings == []


@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_a_scope_may_leave_out_much(kind):
    needed = "type asgi path headers http_version method query_string"
    scope = {
        key: value
        for key, value in SCOPES[kind].items()
        if key in needed.split()
    }
    script = [START, BODY] if kind == "http" else [CONNECT, CLOSE]
    assert watch(scope, *script) == []


def test_a_websocket_may_have_no_query():
    assert watch({**SOCKET, "query_string": None}, CONNECT, CLOSE) == []


def test_another_protocol_is_not_judged():
    async def app(scope, receive, send):
        await send(await receive())

    heard = []

    async def receive():
        return {"type": "mqtt.message"}

    async def send(message):
        heard.append(message)

    referee = Referee(app, pytest.fail)
    asyncio.run(referee({"type": "mqtt"}, receive, send))
    assert heard == [{"type": "mqtt.message"}]


def test_an_unknown_extension_that_is_offered_is_not_judged():
    scope = {**SCOPE, "extensions": {"http.response.zerocopysend": {}}}
    send_file = {"type": "http.response.zerocopysend", "file": 3}
    assert watch(scope, START, send_file) == []
    fault, rule = one(watch(SCOPE, START, send_file, BODY), "application")
    assert "unknown message 'http.response.zerocopysend'" in fault
    assert rule == "ASGI 3.0, Error Handling"


def test_headers_from_a_generator_are_passed_on_unread():
    headers = ((name, b"1") for name in ["str"])
    assert watch(SCOPE, {**START, "headers": headers}, BODY) == []
    assert list(headers) == [("str", b"1")]


# The application.


@pytest.mark.parametrize(
    ("script", "fault", "rule"),
    [
        (
            [{**START, "headers": [(b"Content-Type", b"a")]}, BODY],
            "http.response.start: header b'Content-Type' is not in lower case",
            f"{WWW}, Response Start",
        ),
        (
            [{**START, "headers": [("content-type", b"a")]}, BODY],
            "http.response.start: headers must be (bytes, bytes);"
            " got ('content-type', b'a')",
            f"{WWW}, Response Start",
        ),
        (
            [{**START, "headers": [(b"content-length",)]}, BODY],
            "http.response.start: headers must be (bytes, bytes);"
            " got (b'content-length',)",
            f"{WWW}, Response Start",
        ),
        (
            [{**START, "headers": [(b":status", b"200")]}, BODY],
            "http.response.start: b':status' is no header",
            f"{WWW}, Response Start",
        ),
        (
            [START, {**BODY, "body": bytearray(b"hello")}],
            'http.response.body: "body" must be bytes; got a bytearray',
            f"{WWW}, Response Body",
        ),
        (
            [START, {**BODY, "body": memoryview(b"hello")}],
            'http.response.body: "body" must be bytes; got a memoryview',
            f"{WWW}, Response Body",
        ),
        (
            [{**START, "status": "200"}, BODY],
            "http.response.start: \"status\" must be int; got '200'",
            f"{WWW}, Response Start",
        ),
        (
            [SIZED, {**BODY, "body": "hello"}],
            'http.response.body: "body" must be bytes or bytearray or'
            " memoryview; got 'hello'",
            f"{WWW}, Response Body",
        ),
        (
            [BODY, START, BODY],
            "send() of http.response.body, state: nothing sent; allowed here:"
            " http.response.start, http.response.start + trailers",
            f"{WWW}, Response Body",
        ),
        (
            [{"type": "http.response.strat"}, START, BODY],
            "unknown message 'http.response.strat'; known:"
            f" {', '.join(HTTP.send)}",
            "ASGI 3.0, Error Handling",
        ),
        (
            ["hello", START, BODY],
            "send() takes a dict; got 'hello'",
            "ASGI 3.0, Error Handling",
        ),
        (
            [START, {"type": "http.response.pathsend", "path": "/a"}],
            "http.response.pathsend: the server does not offer it",
            "ASGI 3.0, Extensions",
        ),
        (
            [SIZED, {**BODY, "body": b"hell"}],
            "a body of 4 bytes, not 5",
            "RFC 9110, 6.4.1 and 8.6",
        ),
        (
            [SIZED, MORE, {**MORE, "body": b"o"}, MORE, GONE],
            "a body of 6 bytes, not 5",
            "RFC 9110, 6.4.1 and 8.6",
        ),
        (
            [{**START, "status": 204}, BODY],
            "a body of 5 bytes, not 0",
            "RFC 9110, 6.4.1 and 8.6",
        ),
        (
            [{**SIZED, "status": 304}, BODY],
            "a body of 5 bytes, not 0",
            "RFC 9110, 6.4.1 and 8.6",
        ),
        (
            [
                {**SIZED, "trailers": True},
                {**BODY, "body": b"hell"},
                {"type": "http.response.trailers", "headers": []},
            ],
            "a body of 4 bytes, not 5",
            "RFC 9110, 6.4.1 and 8.6",
        ),
        ([], "returned, state: nothing sent", f"{WWW}, Connection Scope"),
        ([START], "returned, state: started", f"{WWW}, Connection Scope"),
        (
            [START, MORE],
            "returned, state: sending",
            f"{WWW}, Connection Scope",
        ),
        (
            [{**START, "trailers": True}, BODY],
            "returned, state: trailers due",
            f"{WWW}, Connection Scope",
        ),
    ],
)
def test_the_application_broke_http(script, fault, rule):
    assert one(watch(SCOPE, *script), "application") == (fault, rule)


@pytest.mark.parametrize(
    ("script", "fault", "rule"),
    [
        (
            [CONNECT, ACCEPT, {"type": "websocket.send"}, CLOSE],
            'websocket.send has either "text" or "bytes"',
            f"{WWW}, Send",
        ),
        (
            [CONNECT, ACCEPT, {**SAY, "bytes": b"hi"}, CLOSE],
            'websocket.send has either "text" or "bytes"',
            f"{WWW}, Send",
        ),
        (
            [CONNECT, {**ACCEPT, "headers": [(b"X-A", b"1")]}, CLOSE],
            "websocket.accept: header b'X-A' is not in lower case",
            f"{WWW}, Accept",
        ),
        (
            [
                CONNECT,
                {"type": "websocket.http.response.start", "status": 401},
                {"type": "websocket.http.response.body"},
                CLOSE,
            ],
            "websocket.http.response.start: the server does not offer it",
            "ASGI 3.0, Extensions",
        ),
        ([CONNECT], "returned, state: connecting", f"{WWW}, Connection Scope"),
        (
            [CONNECT, ACCEPT, SAY],
            "returned, state: open",
            f"{WWW}, Connection Scope",
        ),
    ],
)
def test_the_application_broke_websocket(script, fault, rule):
    findings = watch(SOCKET, *script)
    assert one(findings[:1], "application") == (fault, rule)
    assert {finding.fault.partition(": ")[2] for finding in findings[1:]} <= {
        "the server does not offer it"
    }


@pytest.mark.parametrize(
    ("script", "fault", "heading"),
    [
        ([], "returned, state: starting", "Connection Scope"),
        ([STARTUP], "returned, state: starting", "Connection Scope"),
        ([STARTUP, STARTED], "returned, state: started", "Connection Scope"),
        (
            [STARTUP, SHUTDOWN],  # Ctrl+C before it has started
            "returned, state: starting",
            "Connection Scope",
        ),
        (
            [STARTUP, STARTED, SHUTDOWN],
            "returned, state: stopping",
            "Connection Scope",
        ),
        (
            [STARTUP, STOPPED, STARTED, SHUTDOWN, STOPPED],
            "send() of lifespan.shutdown.complete, state: starting; allowed"
            " here: lifespan.startup.complete, lifespan.startup.failed",
            "Shutdown Complete",
        ),
    ],
)
def test_the_application_broke_lifespan(script, fault, heading):
    rule = f"ASGI lifespan 2.0, {heading}"
    assert one(watch(LIFE, *script), "application") == (fault, rule)


def test_an_application_that_raises_breaks_no_contract():
    async def app(scope, receive, send):
        raise ValueError(scope["type"])

    for scope in SCOPES.values():
        with pytest.raises(ValueError, match=scope["type"]):
            run(Referee(app, pytest.fail), scope)


def test_a_length_in_capitals_is_a_length():
    start = {**START, "headers": [(b"Content-Length", b"9")]}
    faults = [finding.fault for finding in watch(SCOPE, start, BODY)]
    assert faults == [
        "http.response.start: header b'Content-Length' is not in lower case",
        "a body of 5 bytes, not 9",
    ]


def test_not_modified_says_a_length_and_has_no_body():
    start = {**SIZED, "status": 304}
    assert watch(SCOPE, start, {**BODY, "body": b""}) == []


def test_a_file_is_a_body_whose_length_is_not_known():
    scope = {**SCOPE, "extensions": {"http.response.pathsend": {}}}
    path = {"type": "http.response.pathsend", "path": "/a"}
    assert watch(scope, SIZED, path) == []


def test_a_body_is_allowed_for_head_and_its_length_too():
    head = {**SCOPE, "method": "HEAD"}
    assert watch(head, SIZED, {**BODY, "body": b""}) == []
    assert watch(head, SIZED, BODY) == []


def test_a_length_that_no_number_is_means_nothing():
    for value in b"five", b"9" * 5000:
        headers = [(b"content-length", value)]
        assert watch(SCOPE, {**START, "headers": headers}, BODY) == []


# The server.


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"path": b"/"}, "http: \"path\" must be str; got b'/'"),
        ({"path": None}, 'http: "path" must be str; got None'),
        ({"asgi": "3.0"}, "http: \"asgi\" must be dict; got '3.0'"),
        ({"query_string": ""}, "http: \"query_string\" must be bytes; got ''"),
        ({"state": None}, 'http: "state" must be dict; got None'),
        ({"method": "get"}, "\"method\" must be in upper case; got 'get'"),
        ({"http_version": "1"}, "\"http_version\" is '1'"),
        ({"scheme": ""}, '"scheme" must not be empty'),
        (
            {"path": "/a%20b"},
            "\"path\" must be b'/a%20b', decoded; got '/a%20b'",
        ),
        (
            {"client": ("127.0.0.1", "5")},
            "\"client\" must be (str, int); got ('127.0.0.1', '5')",
        ),
        (
            {"client": ("/a.sock", None)},
            "\"client\" must be (str, int); got ('/a.sock', None)",
        ),
        ({"server": "/a"}, "\"server\" must be (str, int); got '/a'"),
        (
            {"headers": [("host", "a")]},
            "http: headers must be (bytes, bytes); got ('host', 'a')",
        ),
        ({"headers": [(b":path", b"/")]}, "http: b':path' is no header"),
    ],
)
def test_the_server_broke_the_scope(change, fault):
    findings = watch({**SCOPE, **change}, REQUEST, START, BODY)
    assert one(findings, "server") == (fault, f"{WWW}, Connection Scope")


@pytest.mark.parametrize(
    "change",
    [
        {"server": ("/a.sock", None)},
        {"server": None, "client": None},
        {"client": ["::1", 1]},
        {"root_path": "/api", "path": "/api/a b"},
        {"raw_path": None},
        {"raw_path": b"*", "path": "*"},
        {"raw_path": b"http://b/x", "path": "/x"},
        {"raw_path": b"/caf%C3%A9", "path": "/café"},
        {"extensions": None},
    ],
)
def test_a_scope_that_is_right(change):
    assert watch({**SCOPE, **change}, REQUEST, START, BODY) == []


def test_a_scope_without_a_path_is_still_served():
    scope = {key: SCOPE[key] for key in SCOPE if key not in ("path", "method")}
    findings = watch(scope, REQUEST, START, BODY)
    assert one(findings, "server")[0] == 'http without "method"'


LAST_PART = "receive() of http.request, state: request told"


@pytest.mark.parametrize(
    ("kind", "script", "fault", "heading"),
    [
        ("http", [REQUEST, REQUEST], LAST_PART, "Request"),
        (
            "http",
            [{**REQUEST, "body": "a"}],
            'http.request: "body" must be bytes',
            "Request",
        ),
        (
            "http",
            [{**REQUEST, "body": bytearray(b"a")}],
            'http.request: "body" must be bytes; got a bytearray',
            "Request",
        ),
        ("http", [GONE, REQUEST], "receive() of http.request", "Request"),
        (
            "http",
            [LEFT],
            "receive() of websocket.disconnect, state: request due",
            "Disconnect",
        ),
        (
            "websocket",
            [CONNECT, HEARD, CLOSE],
            "receive() of websocket.receive before websocket.accept",
            "Connect",
        ),
        (
            "websocket",
            [
                CONNECT,
                {"type": "websocket.http.response.start", "status": 401},
                HEARD,
                {"type": "websocket.http.response.body"},
            ],
            "receive() of websocket.receive before websocket.accept",
            "Connect",
        ),
        (
            "websocket",
            [HEARD, CLOSE],
            "receive() of websocket.receive, state: connect due",
            "Receive",
        ),
        (
            "websocket",
            [CONNECT, ACCEPT, {**HEARD, "bytes": b""}, CLOSE],
            'websocket.receive has either "text" or "bytes"',
            "Receive",
        ),
        (
            "websocket",
            [CONNECT, ACCEPT, {**LEFT, "code": None}],
            'websocket.disconnect: "code" must be int; got None',
            "Disconnect",
        ),
    ],
)
def test_the_server_broke_receive(kind, script, fault, heading):
    if kind == "http":
        script = [*script, START, BODY]
    extensions = {"websocket.http.response": {}}
    scope = {**SCOPES[kind], "extensions": extensions}
    findings = watch(scope, *script)
    found, rule = one(findings[:1], "server")
    assert found.startswith(fault)
    assert rule == f"{WWW}, {heading}"


def test_the_server_said_what_is_no_message():
    findings = []

    async def app(scope, receive, send):
        for _ in range(3):
            await receive()
        await send(START)
        await send(BODY)

    inbox = ["hello", {"body": b""}, {"type": "http.requst"}]

    async def receive():
        return inbox.pop(0)

    run(Referee(app, findings.append), receive=receive)
    assert [finding.culprit for finding in findings] == ["server"] * 3
    assert {finding.rule for finding in findings} == {
        "ASGI 3.0, Error Handling"
    }


def test_a_server_that_raises_after_the_end():
    async def send(message):
        if message is late:
            raise RuntimeError("already completed")

    late = {**BODY, "body": b"late"}
    with pytest.raises(RuntimeError):
        watch(SCOPE, START, BODY, late, send=send)
    findings = raised_by(send, START, BODY, late)
    assert one(findings, "server") == (
        "send() after the end raised RuntimeError('already completed')",
        f"{WWW}, Disconnected Client",
    )


def raised_by(send, *script):
    """Play a script that ends in an error; return the findings."""
    findings = []

    async def app(scope, receive, send):
        for message in script:
            await send(message)

    with pytest.raises(RuntimeError):
        run(Referee(app, findings.append), send=send)
    return findings


def test_an_os_error_says_that_the_client_has_gone():
    async def send(message):
        raise ConnectionResetError

    async def app(scope, receive, send):
        for _ in range(2):
            with pytest.raises(ConnectionResetError):
                await send(START)

    run(Referee(app, pytest.fail), send=send)


def test_what_the_server_refused_was_not_said():
    refusals = [RuntimeError("no")]

    async def send(message):
        if refusals:
            raise refusals.pop()

    async def app(scope, receive, send):
        with pytest.raises(RuntimeError):
            await send(START)
        await send(START)
        await send(BODY)

    run(Referee(app, pytest.fail), send=send)


def test_a_last_message_that_was_refused_is_still_due():
    async def send(message):
        if message is BODY:
            raise RuntimeError("no")

    async def app(scope, receive, send):
        await send(START)
        with pytest.raises(RuntimeError):
            await send(BODY)

    findings = []
    run(Referee(app, findings.append), send=send)
    assert one(findings, "application")[0] == "returned, state: started"


def test_who_closes_twice_is_answered_by_the_server_as_it_likes():
    async def send(message):
        if message is again:
            raise RuntimeError("closed")

    async def app(scope, receive, send):
        await send(CLOSE)
        with pytest.raises(RuntimeError):
            await send(again)

    again = dict(CLOSE)
    run(Referee(app, pytest.fail), SOCKET, send=send)


def test_two_tasks_may_send_at_once():
    """While one `send` waits for a slow client, another one may begin."""
    slow = asyncio.Event()

    async def send(message):
        if message is START:
            await slow.wait()

    async def app(scope, receive, send):
        first = asyncio.create_task(send(START))
        await asyncio.sleep(0)
        await send(MORE)
        slow.set()
        await first
        await send(BODY)

    run(Referee(app, pytest.fail), send=send)


# Reports.


async def nothing(message):
    """Take any message."""


async def asked():
    return REQUEST


def run(app, scope=SCOPE, receive=asked, send=nothing):
    asyncio.run(app(dict(scope), receive, send))


def here():
    """Return "test_referee.py:", and the line of the caller."""
    frame = sys._getframe(1)
    return f"{Path(__file__).name}:{frame.f_lineno}"


def test_the_line_of_the_application():
    lines = []

    async def app(scope, receive, send):
        lines.append(here())
        await deeper(send, lines)
        await send(BODY)

    findings = []
    run(Referee(app, findings.append))
    assert [finding.place for finding in findings] == [
        f"{Path(__file__).name}:{int(line.partition(':')[2]) + 1}"
        for line in lines[1:]
    ]


async def deeper(send, lines):
    lines.append(here())
    await send({**START, "headers": [(b"X", b"1")]})


def test_the_line_where_an_application_begins_if_it_returned():
    async def app(scope, receive, send):
        pass

    findings = []
    run(Referee(app, findings.append))
    first = app.__code__.co_firstlineno
    assert findings[0].place == f"{Path(__file__).name}:{first}"


def test_the_place_is_not_who_called_the_referee():
    """A task of its own has no line of the application above it."""

    class App:
        async def __call__(self, scope, receive, send):
            await asyncio.create_task(send(BODY))

    findings = []
    run(Referee(App(), findings.append))
    first = App.__call__.__code__.co_firstlineno
    assert {f.place for f in findings} == {f"{Path(__file__).name}:{first}"}


def test_the_place_is_not_outside_of_the_referee():
    """Here a framework sends, and what wrapped it is the learner's."""
    code = "async def app(scope, receive, send):\n    await send({})\n"
    framework = {}
    exec(compile(code, "<framework>", "exec"), framework)
    findings = []

    async def outside(scope, receive, send):
        await Referee(framework["app"], findings.append)(scope, receive, send)

    run(outside)
    assert [finding.place for finding in findings] == ["", ""]


def test_a_finding_as_text():
    finding = Finding("server", "did it", "ASGI 3.0, Events")
    assert str(finding) == "server: did it [ASGI 3.0, Events]"
    finding = Finding("application", "did it", "ASGI 3.0, Events", "main.py:2")
    assert str(finding) == (
        "application (main.py:2): did it [ASGI 3.0, Events]"
    )


def test_the_default_is_the_log(caplog):
    async def app(scope, receive, send):
        await send(START)

    with caplog.at_level(logging.WARNING, "asgi_ref"):
        run(Referee(app))
    (record,) = caplog.records
    assert "contract  application (test_referee.py:" in record.getMessage()
    assert Referee(app).report is warn


def test_strict_raises_where_it_happened():
    raised = []

    async def app(scope, receive, send):
        try:
            await send(BODY)
        except ContractBroken as error:
            raised.append(str(error))
        await send(START)
        await send(BODY)

    run(Referee(app, strict))
    assert raised[0].startswith("application (test_referee.py:")
    with pytest.raises(ContractBroken, match='"path" must be str'):
        run(Referee(app, strict), {**SCOPE, "path": b"/"})


# The tables.


def test_every_message_that_the_server_can_say_is_in_the_order():
    kinds = {event.partition(" + ")[0] for _, event in SERVER.order}
    assert kinds == set(SERVER.send)


def test_every_message_has_a_section():
    for table in HTTP, WEBSOCKET, LIFESPAN, SERVER:
        for kind in table.send:
            assert section(kind).count(", ") == 1
    assert (
        section("http.response.early_hint") == "ASGI extensions, Early Hints"
    )
    assert section("lifespan.startup.failed") == (
        "ASGI lifespan 2.0, Startup Failed"
    )
