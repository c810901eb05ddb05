"""A connection: many requests, one after the other, and whose turn it is."""

import pytest

from asgi_ref.buffer import Buffer
from asgi_ref.connection import (
    READING,
    TLS_ON_PLAIN_PORT,
    WRITING,
    Connection,
    OutOfTurn,
    Reading,
    Signal,
    Writing,
)
from asgi_ref.request import ProtocolError, Request
from asgi_ref.response import BadResponse, Response

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
OLD_GET = b"GET / HTTP/1.0\r\n\r\n"
HEAD = b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = (
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5\r\nhello\r\n0\r\n\r\n"
)
WAITING = (
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n"
    b"Expect: 100-continue\r\n\r\n"
)
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


def connected(data=b"", **settings):
    connection = Connection(**settings)
    if data:
        connection.receive_data(data)
    return connection


def asked(data=GET):
    """Return a connection whose request was read to its end."""
    connection = connected(data)
    events_of(connection)
    assert connection.writing is Writing.HEAD
    return connection


def events_of(connection):
    """Return the events until nothing more comes, data joined."""
    events, data = [], b""
    for _ in range(1000):
        event = connection.next_event()
        if isinstance(event, bytes):
            data += event
            continue
        if data:
            events.append(data)
            data = b""
        events.append(event)
        if isinstance(event, Signal):
            return events
    raise AssertionError("no end of events")


def answer(connection, data=b"ok", status=200, headers=()):
    response = Response(status, headers)
    head = connection.send_response(response, len(data))
    return head + connection.send_data(data, more=False)


def refusal(connection):
    with pytest.raises(ProtocolError) as caught:
        events_of(connection)
    assert connection.reading is Reading.CLOSED
    assert connection.next_event() is Signal.CLOSED
    assert not connection.keep_alive
    return caught.value.status


def deliver(connection, pieces):
    for piece in pieces:
        connection.receive_data(piece)
        connection.next_event()


# From the first byte to the next request.


def test_one_request_and_its_answer():
    connection = connected()
    assert connection.next_event() is Signal.NEED_DATA
    connection.receive_data(GET)
    request = connection.next_event()
    assert isinstance(request, Request)
    assert connection.request is request
    assert connection.next_event() is Signal.END_OF_BODY
    assert connection.next_event() is Signal.END_OF_BODY
    head = connection.send_response(
        Response(200, [(b"A", b"b")]), 2, b"date: now\r\n"
    )
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert head.endswith(b"\r\n\r\n")
    assert set(head.split(b"\r\n")[1:-2]) == {
        b"date: now",
        b"A: b",
        b"content-length: 2",
    }
    assert connection.send_data(b"ok", more=False) == b"ok"
    assert connection.next_cycle()
    assert connection.next_event() is Signal.NEED_DATA
    connection.receive_data(b"")
    assert connection.next_event() is Signal.CLOSED
    assert connection.next_event() is Signal.CLOSED


@pytest.mark.parametrize("sample", [POST, CHUNKED])
def test_a_body_comes_in_pieces(sample):
    connection = connected(sample)
    request, data, end = events_of(connection)
    assert request.method == "POST"
    assert data == b"hello"
    assert end is Signal.END_OF_BODY
    assert connection.next_event() is Signal.END_OF_BODY


def read_and_answer(pieces):
    """Return what a connection reads from pieces: a list of requests."""
    connection, found = Connection(), []
    for piece in [*pieces, b""]:
        connection.receive_data(piece)
        for event in events_of(connection):
            if isinstance(event, Request):
                found.append([event.method, event.target, b""])
            elif isinstance(event, bytes):
                found[-1][2] += event
        while connection.reading is Reading.DONE:
            answer(connection)
            assert connection.next_cycle()
            for event in events_of(connection):
                if isinstance(event, Request):
                    found.append([event.method, event.target, b""])
                elif isinstance(event, bytes):
                    found[-1][2] += event
    assert connection.next_event() is Signal.CLOSED
    return found


PIPELINES = [GET + GET, POST + GET, GET + POST + HEAD, CHUNKED + POST]
PIPELINES += [b"\r\n" + POST + b"\r\n" + CHUNKED + b"\r\n" + GET]


@pytest.mark.parametrize("sample", PIPELINES)
def test_pipelined_requests_in_any_pieces(sample):
    whole = read_and_answer([sample])
    assert len(whole) == sample.count(b" HTTP/1.1\r\n")
    for _, _, body in whole:
        assert body in (b"", b"hello")
    one_by_one = [sample[at : at + 1] for at in range(len(sample))]
    assert read_and_answer(one_by_one) == whole
    for at in range(1, len(sample)):
        assert read_and_answer([sample[:at], sample[at:]]) == whole


def test_pipelined_requests_are_answered_in_order():
    targets = [b"/1", b"/2", b"/3"]
    data = b"".join(GET.replace(b"/ ", target + b" ") for target in targets)
    connection, sent = connected(data), b""
    for target in targets:
        request, end = events_of(connection)
        assert request.target == target
        assert end is Signal.END_OF_BODY
        # The next request is not read before this one is answered.
        assert connection.next_event() is Signal.END_OF_BODY
        sent += answer(connection, target)
        assert connection.next_cycle()
    assert [part[:2] for part in sent.split(b"\r\n\r\n")[1:]] == targets
    assert connection.next_event() is Signal.NEED_DATA


def test_an_idle_connection_holds_nothing():
    connection = asked(POST)
    first = connection.request
    answer(connection)
    assert connection.next_cycle()
    assert connection.request is not first
    assert len(connection.buffer) == 0
    assert not connection.buffer


# The tables.

READ = {
    (Reading.HEAD, "request"): lambda: reading(POST[:-5]),
    (Reading.HEAD, "request without body"): lambda: reading(GET),
    (Reading.BODY, "end of body"): lambda: reading(POST),
    (Reading.DONE, "next cycle"): lambda: next_cycle_of(GET),
    (Reading.HEAD, "end of connection"): lambda: reading(b""),
    (Reading.HEAD, "error"): lambda: failing(b"x\r\n\r\n"),
    (Reading.BODY, "error"): lambda: failing(CHUNKED[:-15] + b"x\r\n"),
    (Reading.DONE, "switch protocols"): lambda: switched(GET),
}


def reading(data):
    connection = Connection()
    connection.receive_data(data)
    events_of(connection)
    return connection


def failing(data):
    connection = connected(data)
    with pytest.raises(ProtocolError):
        events_of(connection)
    return connection


def next_cycle_of(data):
    connection = asked(data)
    answer(connection)
    assert connection.next_cycle()
    return connection


def switched(data):
    connection = asked(data)
    connection.switch_protocols()
    return connection


def test_every_row_of_reading_is_tried():
    assert set(READ) == set(READING)


@pytest.mark.parametrize("row", READ)
def test_reading(row):
    assert READ[row]().reading is READING[row]


def in_state(state):
    """Return a connection whose writing side is in a state."""
    if state is Writing.NOTHING:
        return Connection()
    connection = asked()
    if state is Writing.CLOSED:
        connection.switch_protocols()
    if state in (Writing.BODY, Writing.DONE):
        connection.send_response(Response(200))
    if state is Writing.DONE:
        connection.send_end()
    return connection


def waiting(connection):
    """Let the client wait for "100 Continue", whatever was said so far."""
    connection._awaits_continue = True
    return connection


WRITE = {
    "100 Continue": lambda at: waiting(at).send_continue(),
    "103 Early Hints": lambda at: at.send_early_hints([b"</a>"]),
    "response": lambda at: at.send_response(Response(200)),
    "take back": lambda at: at.take_back(),
    "data": lambda at: at.send_data(b"x"),
    "end": lambda at: at.send_data(b"", more=False),
    "next cycle": lambda at: at.next_cycle(),
    "switch protocols": lambda at: at.switch_protocols(),
}
# These say by what they return that nothing was done.
MILD = {
    "100 Continue": b"",
    "103 Early Hints": b"",
    "take back": None,
    "next cycle": False,
}
READ_BY = {"request", "error"}  # made by next_event


def test_every_event_of_writing_is_tried():
    assert {event for _, event in WRITING} == {*WRITE, *READ_BY}


@pytest.mark.parametrize("event", WRITE)
@pytest.mark.parametrize("state", Writing)
def test_writing(state, event):
    connection = in_state(state)
    assert connection.writing is state
    act = WRITE[event]
    after = WRITING.get((state, event))
    if after is not None:
        act(connection)
        assert connection.writing is after
    elif event in MILD:
        assert act(connection) == MILD[event]
        assert connection.writing is state
    else:
        with pytest.raises(OutOfTurn, match=event):
            act(connection)
        assert connection.writing is state


@pytest.mark.parametrize("state", Writing)
@pytest.mark.parametrize("event", [*WRITE, *READ_BY, "no such event"])
def test_the_table_refuses_what_is_not_in_it(state, event):
    if (state, event) in WRITING:
        assert WRITING[state, event] in Writing
    else:
        with pytest.raises(OutOfTurn, match=event):
            WRITING[state, event]


def test_what_the_reader_changes_in_writing():
    assert asked().writing is WRITING[Writing.NOTHING, "request"]
    failed = failing(b"x\r\n\r\n")
    assert failed.writing is WRITING[Writing.NOTHING, "error"]


@pytest.mark.parametrize(
    "send",
    [
        lambda at: at.send_end(),
        lambda at: at.send_end([(b"a", b"b")]),
        lambda at: at.send_data(b"x", more=False),
        lambda at: at.send_file(5),
        lambda at: at.send_file(0),
    ],
)
@pytest.mark.parametrize(
    "state", [state for state in Writing if state != "body"]
)
def test_the_other_ways_to_end_a_body(state, send):
    connection = in_state(state)
    with pytest.raises(OutOfTurn):
        send(connection)
    assert connection.writing is state


def test_nothing_after_the_end():
    connection = asked()
    answer(connection, b"ok")
    with pytest.raises((OutOfTurn, BadResponse)):
        connection.send_data(b"more", more=False)
    assert connection.next_cycle()


# 100 Continue.


def test_continue_is_sent_once():
    connection = connected(WAITING)
    assert connection.next_event().method == "POST"
    assert connection.next_event() is Signal.NEED_DATA
    assert connection.send_continue() == CONTINUE
    assert connection.send_continue() == b""
    connection.receive_data(b"hello")
    assert events_of(connection) == [b"hello", Signal.END_OF_BODY]
    assert b"connection: close" not in answer(connection)
    assert connection.next_cycle()


@pytest.mark.parametrize(
    "data",
    [
        GET,
        POST[:-5],
        WAITING.replace(b"1.1\r\nHost", b"1.0\r\nHost"),
        WAITING.replace(b"Content-Length: 5\r\n", b""),
        WAITING.replace(b"Length: 5", b"Length: 0"),
        WAITING.replace(b"100-continue", b"200-ok"),
        WAITING + b"h",  # the body is on its way
    ],
)
def test_continue_is_not_sent(data):
    connection = connected(data)
    connection.next_event()
    assert connection.send_continue() == b""


def test_continue_is_not_sent_after_the_answer():
    connection = connected(WAITING)
    connection.next_event()
    connection.send_response(Response(200), 2)
    assert connection.send_continue() == b""
    assert connection.send_data(b"ok", more=False) == b"ok"


def test_continue_is_not_sent_before_a_request():
    assert Connection().send_continue() == b""


def test_a_client_that_was_not_told_to_go_on_is_cut():
    connection = connected(WAITING)
    connection.next_event()
    assert b"\r\nconnection: close\r\n" in answer(connection, status=413)
    assert not connection.next_cycle()


def test_the_next_request_waits_for_itself():
    connection = connected(WAITING)
    connection.next_event()
    assert connection.send_continue() == CONTINUE
    connection.receive_data(b"hello" + WAITING)
    events_of(connection)
    answer(connection)
    assert connection.next_cycle()
    assert connection.next_event().expects_continue
    assert connection.send_continue() == CONTINUE


# 103 Early Hints.


def test_early_hints():
    connection = asked()
    hints = connection.send_early_hints([b"</a>; rel=preload", b"</b>"])
    assert hints == (
        b"HTTP/1.1 103 Early Hints\r\n"
        b"link: </a>; rel=preload\r\nlink: </b>\r\n\r\n"
    )
    assert connection.send_early_hints([b"</c>"])
    assert answer(connection).startswith(b"HTTP/1.1 200")


def test_early_hints_too_late_or_too_old():
    connection = asked()
    connection.send_response(Response(200))
    assert connection.send_early_hints([b"</a>"]) == b""
    assert asked(OLD_GET).send_early_hints([b"</a>"]) == b""


def test_early_hints_are_checked():
    with pytest.raises(BadResponse):
        asked().send_early_hints([b"</a>\r\n\r\n"])


# The answer's body.


@pytest.mark.parametrize(
    ("data", "status"), [(HEAD, 200), (GET, 204), (GET, 205), (GET, 304)]
)
@pytest.mark.parametrize("whole", [None, 5])
def test_answers_without_a_body(data, status, whole):
    connection = asked(data)
    head = connection.send_response(Response(status), whole)
    assert connection.silent
    assert b"transfer-encoding" not in head
    assert (b"content-length: 0\r\n" in head) == (status == 205)
    assert connection.send_data(b"hello") == b""
    assert connection.send_data(b"hello", more=False) == b""
    assert connection.next_cycle()
    assert not connection.silent or connection.writing is Writing.NOTHING


def test_head_tells_the_length_of_get():
    connection = asked(HEAD)
    length = [(b"content-length", b"5")]
    head = connection.send_response(Response(200, length))
    assert b"content-length: 5\r\n" in head
    assert connection.send_end() == b""
    assert connection.next_cycle()


def test_chunked_if_the_length_is_not_known():
    connection = asked()
    head = connection.send_response(Response(200))
    assert b"\r\ntransfer-encoding: chunked\r\n" in head
    assert not connection.silent
    assert connection.send_data(b"hello") == b"5\r\nhello\r\n"
    assert connection.send_data(b"") == b""
    assert connection.send_data(b"!", more=False) == b"1\r\n!\r\n0\r\n\r\n"
    assert connection.next_cycle()


def test_until_close_if_the_client_is_old():
    data = OLD_GET[:-2] + b"Connection: keep-alive\r\n\r\n"
    connection = asked(data)
    head = connection.send_response(Response(200))
    assert b"transfer-encoding" not in head
    assert b"\r\nconnection: close\r\n" in head
    assert connection.send_data(b"hello") == b"hello"
    assert connection.send_end() == b""
    assert not connection.next_cycle()


def test_the_length_is_kept():
    connection = asked()
    connection.send_response(Response(200, [(b"content-length", b"5")]))
    connection.send_data(b"hell")
    with pytest.raises(BadResponse, match="less"):
        connection.send_data(b"", more=False)
    connection = asked()
    connection.send_response(Response(200, [(b"content-length", b"5")]))
    with pytest.raises(BadResponse, match="more"):
        connection.send_data(b"hello!")


TRAILERS = [(b"X-Sum", b"42"), (b"Y", b"")]


@pytest.mark.parametrize(
    ("field", "sent"),
    [
        (b"TE: trailers", True),
        (b"TE: gzip, Trailers", True),
        (b"TE: gzip", False),
        (b"X: trailers", False),
    ],
)
def test_trailers_only_for_those_who_take_them(field, sent):
    connection = asked(GET[:-2] + field + b"\r\n\r\n")
    connection.send_response(Response(200))
    end = connection.send_end(TRAILERS)
    if sent:
        assert end == b"0\r\nX-Sum: 42\r\nY: \r\n\r\n"
    else:
        assert end == b"0\r\n\r\n"
    assert connection.next_cycle()


@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
@pytest.mark.parametrize("length", [0, 2])
def test_no_trailers_without_chunks(method, length):
    data = method + GET[3:-2] + b"TE: trailers\r\n\r\n"
    connection = asked(data)
    connection.send_response(Response(200), length)
    connection.send_data(b"x" * length)
    assert connection.send_end(TRAILERS) == b""


def test_trailers_are_checked():
    connection = asked(GET[:-2] + b"TE: trailers\r\n\r\n")
    connection.send_response(Response(200))
    with pytest.raises(BadResponse):
        connection.send_end([(b"a", b"b\r\n\r\nc")])
    # Framing and routing may not come late (RFC 9110, section 6.5.1).
    assert connection.send_end([(b"Content-Length", b"5")]) == b"0\r\n\r\n"


@pytest.mark.parametrize("size", [0, 5])
def test_a_file_is_the_whole_body(size):
    connection = asked()
    head = connection.send_response(Response(200), size)
    assert b"content-length: %d\r\n" % size in head
    connection.send_file(size)
    assert connection.next_cycle()


@pytest.mark.parametrize("size", [4, 6])
def test_a_file_of_another_length(size):
    connection = asked()
    said = Response(200, [(b"content-length", b"5")])
    connection.send_response(said, size)
    with pytest.raises(BadResponse):
        connection.send_file(size)


# Does the connection go on?


@pytest.mark.parametrize(
    ("version", "field", "goes_on"),
    [
        (b"1.1", b"", True),
        (b"1.1", b"Connection: close\r\n", False),
        (b"1.1", b"Connection: keep-alive\r\n", True),
        (b"1.0", b"", False),
        (b"1.0", b"Connection: keep-alive\r\n", True),
        (b"1.0", b"Connection: close\r\n", False),
    ],
)
def test_keep_alive(version, field, goes_on):
    data = b"GET / HTTP/%b\r\nHost: a\r\n%b\r\n" % (version, field)
    connection = asked(data + data)
    sent = answer(connection)
    assert (b"\r\nconnection: close\r\n" in sent) != goes_on
    told = version == b"1.0" and goes_on
    assert (b"\r\nconnection: keep-alive\r\n" in sent) == told
    assert connection.next_cycle() is goes_on


def test_the_server_may_end_it():
    connection = asked()
    connection.keep_alive = False
    assert b"\r\nconnection: close\r\n" in answer(connection)
    assert not connection.next_cycle()


def test_the_server_may_end_it_before_the_request():
    connection = connected(GET)
    connection.keep_alive = False
    events_of(connection)
    assert b"\r\nconnection: close\r\n" in answer(connection)


@pytest.mark.parametrize(
    "values", [[b"close"], [b"Close"], [b"close", b"upgrade"]]
)
def test_the_application_may_end_it(values):
    connection = asked()
    headers = [(b"Connection", value) for value in values]
    sent = answer(connection, headers=headers)
    assert sent.count(b"connection: close") == 1
    assert not connection.next_cycle()


def test_no_next_cycle_before_both_sides_are_done():
    connection = connected(POST[:-1])
    connection.next_event()
    assert not connection.next_cycle()
    answer(connection)
    assert not connection.next_cycle()  # the body is not read to its end
    connection.receive_data(POST[-1:])
    events_of(connection)
    assert connection.next_cycle()
    assert not connection.next_cycle()


# What is refused.


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"x\r\n\r\n", 400),
        (b"\r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\n\r\n", 505),
        (b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", 501),
        (POST.replace(b": 5", b": x"), 400),
        (CHUNKED.replace(b"chunked", b"gzip, chunked"), 501),
    ],
)
def test_a_refusal_can_be_answered(data, status):
    connection = connected(data)
    assert refusal(connection) == status
    sent = answer(connection, b"why", status)
    assert sent.startswith(b"HTTP/1.1 %d " % status)
    assert b"\r\nconnection: close\r\n" in sent
    assert sent.endswith(b"\r\n\r\nwhy")
    assert not connection.next_cycle()


@pytest.mark.parametrize("cut", range(1, len(GET)))
def test_the_end_inside_a_head(cut):
    connection = connected(GET[:cut])
    assert connection.next_event() is Signal.NEED_DATA
    connection.receive_data(b"")
    assert refusal(connection) == 400


@pytest.mark.parametrize(
    ("data", "begun"),
    [
        (b"", False), (b"\r", False), (b"\r\n", False), (b"\r\nG", True),
        (b"G", True), (b"\n", True), (b"\r\n\r", True), (b"\rG", True),
    ],
)  # fmt: skip
def test_an_empty_line_after_the_last_body_is_no_head(data, begun):
    # RFC 9112, section 2.2
    connection = asked(POST + data)
    answer(connection)
    assert connection.next_cycle()
    assert connection.next_event() is Signal.NEED_DATA
    assert connection.begun is begun
    connection.receive_data(b"")
    if begun:
        assert refusal(connection) == 400
    else:
        assert connection.next_event() is Signal.CLOSED


@pytest.mark.parametrize(("sample", "body"), [(POST, 5), (CHUNKED, 15)])
def test_the_end_inside_a_body(sample, body):
    for left in range(1, body + 1):
        connection = connected(sample[:-left])
        events_of(connection)
        assert connection.next_event() is Signal.NEED_DATA
        connection.receive_data(b"")
        assert refusal(connection) == 400
        assert connection.writing is Writing.HEAD


def test_the_end_after_a_whole_request():
    connection = connected(POST)
    connection.receive_data(b"")
    assert events_of(connection)[-1] is Signal.END_OF_BODY
    answer(connection)
    assert connection.next_cycle()
    assert connection.next_event() is Signal.CLOSED


def test_an_error_in_a_body_while_the_answer_is_on_its_way():
    connection = connected(CHUNKED[:-15] + b"x\r\n")
    connection.next_event()
    connection.send_response(Response(200))
    assert refusal(connection) == 400
    assert connection.writing is Writing.BODY
    assert connection.send_data(b"x", more=False)
    assert not connection.next_cycle()


@pytest.mark.parametrize("step", [1, 3, 1000])
@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET /" + b"x" * 100, 414),
        (b"x" * 100, 414),
        (b"GET / HTTP/1.1\r\nA: " + b"x" * 100, 431),
        (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 20, 431),
    ],
)
def test_limits(data, status, step):
    connection = connected(limit_head=64)
    pieces = [data[at : at + step] for at in range(0, len(data), step)]
    with pytest.raises(ProtocolError) as caught:
        deliver(connection, pieces)
    assert caught.value.status == status
    assert step == 1000 or len(connection.buffer) < 64 + step


def test_a_head_as_long_as_the_limit():
    connection = connected(GET, limit_head=len(GET))
    assert isinstance(connection.next_event(), Request)
    connection = connected(GET, limit_head=len(GET) - 1)
    assert refusal(connection) == 431


def test_the_limit_is_not_for_the_body():
    data = POST.replace(b": 5", b": 500") + b"x" * 495
    connection = connected(data, limit_head=100)
    _, body, end = events_of(connection)
    assert len(body) == 500
    assert end is Signal.END_OF_BODY


@pytest.mark.parametrize(
    "hello",
    [
        b"\x16",
        b"\x16\x03\x01\x02\x00\x01",
        b"\x16\x03\x01\x00\n\n\x01",
        b"\x16\x03\x01\r\n\r\n",
        b"\x16" + b"x" * 200,
        b"\x16\n" + b"x" * 200,
    ],
)
def test_tls_on_a_plain_port(hello):
    for pieces in [[hello], [hello[:1], hello[1:]]]:
        connection = connected(limit_head=100)
        with pytest.raises(ProtocolError, match="TLS") as caught:
            deliver(connection, pieces)
        assert caught.value.status == 400
        assert str(caught.value) == TLS_ON_PLAIN_PORT


def test_fail_of_the_server():
    connection = connected(GET[:10])
    connection.next_event()
    connection.fail()  # a time limit
    assert connection.next_event() is Signal.CLOSED
    assert answer(connection, status=408).startswith(b"HTTP/1.1 408")
    assert not connection.next_cycle()


# Taking back, and leaving HTTP.


def test_take_back():
    connection = asked()
    connection.send_response(Response(200), 5)
    connection.take_back()
    sent = answer(connection, b"sorry", 500)
    assert sent.startswith(b"HTTP/1.1 500 ")
    assert connection.next_cycle()


@pytest.mark.parametrize(
    "state", [state for state in Writing if state != "body"]
)
def test_take_back_where_there_is_nothing(state):
    connection = in_state(state)
    connection.take_back()
    assert connection.writing is state


def test_switch_protocols_hands_over_what_is_unread():
    connection = connected(GET + b"\x81\x05")
    events_of(connection)
    buffer = connection.switch_protocols()
    assert isinstance(buffer, Buffer)
    assert buffer.take(10) == b"\x81\x05"
    assert connection.next_event() is Signal.CLOSED
    assert connection.reading is Reading.CLOSED
    assert not connection.next_cycle()


def test_switch_protocols_waits_for_the_body():
    connection = connected(POST[:-2])
    connection.next_event()
    with pytest.raises(OutOfTurn):
        connection.switch_protocols()
    # Nothing has changed: HTTP can still answer.
    assert connection.writing is Writing.HEAD
    assert answer(connection).startswith(b"HTTP/1.1 200")


# Work in proportion to the bytes.


def test_a_dripping_head_is_searched_once():
    connection = connected()
    head = GET[:-2] + b"name: value\r\n" * 90
    for byte in head:
        connection.receive_data(bytes([byte]))
        assert connection.next_event() is Signal.NEED_DATA
        assert connection.buffer._searched >= len(connection.buffer) - 2
    connection.receive_data(b"\r\n")
    assert isinstance(connection.next_event(), Request)


def test_a_whole_body_of_small_chunks_is_few_events():
    data = CHUNKED[:-15] + b"1\r\nx\r\n" * 5000 + b"0\r\n\r\n"
    connection = connected(data)
    connection.next_event()
    events = 0
    while connection.next_event() is not Signal.END_OF_BODY:
        events += 1
    assert events < 10


def test_a_body_that_did_not_wait_for_100_continue_keeps_the_connection():
    connection = connected(WAITING + b"hello" + GET)
    events_of(connection)
    assert b"connection: close" not in answer(connection)
    assert connection.next_cycle()
    assert isinstance(connection.next_event(), Request)


def test_a_head_request_that_is_refused_gets_no_body():
    """RFC 9110, section 9.3.2: whatever the reason is."""
    connection = connected(HEAD[:-2] + b"Content-Length: x\r\n\r\n")
    assert refusal(connection) == 400
    assert answer(connection, b"why").endswith(b"\r\n\r\n")


def test_only_a_body_without_length_and_chunks_is_open_ended():
    lengths = [(b"Content-Length", b"2")]
    for sample, headers, expected in [
        (GET, [], False),
        (OLD_GET, [], True),
        (OLD_GET, lengths, False),
        (OLD_GET.replace(b"GET", b"HEAD"), [], False),
    ]:
        connection = asked(sample)
        connection.send_response(Response(200, headers))
        assert connection.open_ended is expected
