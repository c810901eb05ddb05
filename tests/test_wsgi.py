"""One call of a WSGI application: its environ, its response, its mistakes.

Each rule of PEP 3333 for servers is a test. The applications that keep the
rules run inside `wsgiref.validate`, which watches both sides.
"""

import gc
import io
import sys
import weakref
from wsgiref.validate import validator

import pytest

from asgi_ref.connection import Connection
from asgi_ref.response import BadResponse
from asgi_ref.wsgi import (
    Gateway,
    Input,
    WsgiError,
    about_connection,
    make_environ,
)

GET = b"GET /here HTTP/1.1\r\nHost: example.com\r\n\r\n"
HEAD = GET.replace(b"GET", b"HEAD", 1)
OLD = b"GET /here HTTP/1.0\r\n\r\n"
PLAIN = [("Content-Type", "text/plain")]


class Wire:
    """An Outlet that keeps, as HTTP, what it is sent."""

    def __init__(self, data=GET):
        self.connection = Connection()
        self.connection.receive_data(data)
        self.request = self.connection.next_event()
        self.sent, self.writes = b"", []

    def start(self, response, headers, whole):
        self.sent += self.connection.send_response(response, whole)

    def write(self, data):
        self.writes.append(data)
        self.sent += self.connection.send_data(data)

    def end(self):
        self.sent += self.connection.send_data(b"", more=False)

    def more(self):
        event = self.connection.next_event()
        return event if isinstance(event, bytes) else b""

    @property
    def fields(self):
        head = self.sent.partition(b"\r\n\r\n")[0].decode("latin-1")
        return dict(line.split(": ", 1) for line in head.split("\r\n")[1:])

    @property
    def body(self):
        return self.sent.partition(b"\r\n\r\n")[2]


def environ_of(wire, **told):
    body = io.BufferedReader(Input(wire.more))
    return make_environ(wire.request, body, about_connection(**told))


def serve(app, data=GET, wire=None):
    """Let a gateway call an application; return what was sent."""
    wire = wire or Wire(data)
    Gateway(wire).run(app, environ_of(wire))
    return wire


def answering(*blocks, headers=(), status="200 OK"):
    """An application, watched by the standard library's validator."""

    def app(environ, start_response):
        start_response(status, [*PLAIN, *headers])
        return list(blocks)

    return validator(app)


def streaming(*blocks, headers=()):
    def app(environ, start_response):
        start_response("200 OK", [*PLAIN, *headers])
        yield from blocks

    return validator(app)


# environ


def environ(data=GET, **told):
    return environ_of(Wire(data), **told)


def get(target, *lines):
    lines = [b"GET %b HTTP/1.1" % target, b"Host: example.com", *lines]
    return b"\r\n".join([*lines, b"", b""])


def test_the_variables_that_must_be_there():
    found = environ(get(b"/a?b=c"), server=("example.org", 8000))
    assert type(found) is dict
    assert found["REQUEST_METHOD"] == "GET"
    assert (found["SCRIPT_NAME"], found["PATH_INFO"]) == ("", "/a")
    assert found["QUERY_STRING"] == "b=c"
    assert found["SERVER_NAME"] == "example.org"
    assert found["SERVER_PORT"] == "8000"
    assert found["SERVER_PROTOCOL"] == "HTTP/1.1"
    assert found["HTTP_HOST"] == "example.com"
    assert found["wsgi.version"] == (1, 0)
    assert found["wsgi.url_scheme"] == "http"
    assert found["wsgi.errors"] is sys.stderr
    assert found["wsgi.multithread"] is True
    assert found["wsgi.multiprocess"] is found["wsgi.run_once"] is False


def test_the_protocol_is_the_clients():
    assert environ(OLD)["SERVER_PROTOCOL"] == "HTTP/1.0"


def test_one_thread_is_not_many():
    assert environ(multithread=False)["wsgi.multithread"] is False
    assert environ(multiprocess=True)["wsgi.multiprocess"] is True


def test_the_client_if_it_is_known():
    found = environ(client=("10.0.0.1", 4711))
    assert (found["REMOTE_ADDR"], found["REMOTE_PORT"]) == ("10.0.0.1", "4711")
    assert "REMOTE_ADDR" not in environ()


@pytest.mark.parametrize(
    ("target", "path"),
    [
        (b"/caf%C3%A9", "/café"),
        (b"/a%2Fb", "/a/b"),
        (b"/%FF", "/\N{LATIN SMALL LETTER Y WITH DIAERESIS}"),
        (b"http://example.com/x", "/x"),
        (b"/files/*", "/files/*"),
    ],
)
def test_the_path_is_decoded_to_bytes_that_are_shown_as_latin_1(target, path):
    info = environ(get(target))["PATH_INFO"].encode("latin-1")
    assert info in (path.encode(), path.encode("latin-1"))


def test_options_about_the_whole_server_have_no_path():
    data = get(b"*").replace(b"GET", b"OPTIONS", 1)
    assert environ(data)["PATH_INFO"] == ""


@pytest.mark.parametrize(
    ("target", "path"),
    [
        (b"/api/items", "/items"),
        (b"/api", ""),
        (b"/api/", "/"),
        (b"/apiary", "/apiary"),
        (b"/items", "/items"),
    ],
)
def test_script_name_is_where_the_application_is_mounted(target, path):
    found = environ(get(target), script_name="/api")
    assert (found["SCRIPT_NAME"], found["PATH_INFO"]) == ("/api", path)


def test_script_name_is_latin_1_like_the_path():
    found = environ(get(b"/caf%C3%A9/x"), script_name="/café")
    assert found["SCRIPT_NAME"].encode("latin-1") == "/café".encode()
    assert found["PATH_INFO"] == "/x"


def test_fields_become_variables():
    found = environ(get(b"/", b"User-Agent: curl", b"X-A: 1", b"X-A: 2"))
    assert found["HTTP_USER_AGENT"] == "curl"
    assert found["HTTP_X_A"] == "1, 2"


def test_content_type_and_length_have_no_http_in_front():
    lines = b"Content-Type: text/plain", b"Content-Length: 0"
    found = environ(get(b"/", *lines))
    assert found["CONTENT_TYPE"] == "text/plain"
    assert found["CONTENT_LENGTH"] == "0"
    assert not [key for key in found if key.startswith("HTTP_CONTENT")]
    assert "CONTENT_TYPE" not in environ()


def test_cookies_are_joined_with_semicolons():
    found = environ(get(b"/", b"Cookie: a=1", b"Cookie: b=2"))
    assert found["HTTP_COOKIE"] == "a=1; b=2"


def test_a_field_with_an_underscore_cannot_pose_as_another():
    found = environ(get(b"/", b"X-User: me", b"X_User: root"))
    assert found["HTTP_X_USER"] == "me"
    assert "HTTP_X_USER" not in environ(get(b"/", b"X_User: root"))


def test_a_client_cannot_choose_the_proxy_of_our_clients():
    assert "HTTP_PROXY" not in environ(get(b"/", b"Proxy: evil"))


def test_every_variable_is_text_in_latin_1():
    lines = (b"X-Byte: \xe9", b"Content-Type: \xff")
    told = {"script_name": "/\N{SNOWMAN}", "client": ("::1", 1)}
    for key, value in environ(get(b"/%E2%98%83?\x7e", *lines), **told).items():
        if not key.startswith("wsgi."):
            assert type(value) is str
            value.encode("latin-1")


def test_each_request_has_an_environ_of_its_own():
    told = about_connection()
    one = make_environ(Wire().request, io.BytesIO(), told)
    one["mine"] = one.pop("wsgi.version")
    two = make_environ(Wire().request, io.BytesIO(), told)
    assert "mine" not in two
    assert "wsgi.version" in two


def test_the_error_stream_takes_any_text():
    errors = environ()["wsgi.errors"]
    errors.write("snow \N{SNOWMAN}\n")
    errors.writelines(["a\n", "b\n"])
    errors.flush()


# wsgi.input


def post(body, length=None):
    length = len(body) if length is None else length
    return b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b" % (
        *(length, body),
    )


CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
CHUNKED += b"4\r\none\n\r\n4\r\ntwo\n\r\n0\r\n\r\n"


def body_of(data):
    return environ_of(Wire(data))["wsgi.input"]


@pytest.mark.parametrize("data", [post(b"one\ntwo\n"), CHUNKED])
def test_every_way_to_read_the_body(data):
    assert body_of(data).read() == b"one\ntwo\n"
    assert body_of(data).read(5) == b"one\nt"
    assert body_of(data).readline() == b"one\n"
    assert body_of(data).readline(2) == b"on"
    assert body_of(data).readlines() == [b"one\n", b"two\n"]
    assert body_of(data).readlines(1) == [b"one\n"]
    assert list(body_of(data)) == [b"one\n", b"two\n"]


def test_the_body_ends_where_it_ends():
    """What follows belongs to the next request."""
    body = body_of(post(b"mine", 4) + GET)
    assert body.read(100) == b"mine"
    assert body.read(100) == body.read() == body.readline() == b""


def test_no_body_is_an_empty_one():
    assert body_of(GET).read(1) == b""


def test_the_input_says_that_it_ends():
    assert environ(CHUNKED)["wsgi.input_terminated"] is True


def test_bytes_are_read_when_they_are_asked_for():
    pieces = iter([b"first", b"second", b""])
    body = io.BufferedReader(Input(lambda: next(pieces)))
    assert body.read(5) == b"first"
    assert next(pieces) == b"second"


def test_a_large_piece_is_handed_out_in_parts():
    pieces = iter([b"abcdef", b""])
    raw = Input(lambda: next(pieces))
    assert [raw.read(4), raw.read(4), raw.read(4)] == [b"abcd", b"ef", b""]


# The call


def test_the_application_is_called_with_two_positional_arguments():
    def app(one, two, /):
        two("200 OK", PLAIN)
        return []

    serve(validator(app))


def test_a_class_may_be_the_application():
    class App:
        def __init__(self, environ, start_response):
            self.start = start_response

        def __iter__(self):
            self.start("200 OK", PLAIN[:])
            yield b"from a class"

    assert b"from a class" in serve(validator(App)).body


def test_start_response_may_be_called_in_the_first_iteration():
    wire = serve(streaming(b"late"))
    assert wire.body == b"4\r\nlate\r\n0\r\n\r\n"


def test_an_environ_that_was_changed_does_not_confuse_the_server():
    def app(environ, start_response):
        environ["REQUEST_METHOD"] = "HEAD"
        start_response("200 OK", PLAIN)
        return [b"body"]

    assert serve(app).body == b"body"


# How the body ends


@pytest.mark.parametrize("blocks", [(b"hello",), (b"he", b"llo")])
def test_a_list_has_a_length(blocks):
    def app(environ, start_response):
        start_response("200 OK", PLAIN)
        return list(blocks)  # the validator would hide that it is a list

    wire = serve(app)
    assert wire.fields["content-length"] == "5"
    assert wire.body == b"hello"
    assert wire.writes == list(blocks)


def test_no_blocks_at_all_are_a_length_of_0():
    wire = serve(streaming())
    assert wire.fields["content-length"] == "0"


def test_what_has_no_length_is_chunked_a_chunk_for_each_block():
    wire = serve(streaming(b"one", b"two"))
    assert wire.fields["transfer-encoding"] == "chunked"
    assert wire.body == b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"


def test_http_1_0_is_told_the_end_by_the_end_of_the_connection():
    wire = serve(streaming(b"one", b"two"), OLD)
    assert wire.fields["connection"] == "close"
    assert wire.body == b"onetwo"


def test_head_gets_the_head_only():
    wire = serve(answering(b"hello", headers=[("Content-Length", "5")]), HEAD)
    assert wire.fields["Content-Length"] == "5"
    assert wire.body == b""


def test_not_modified_has_no_body():
    def app(environ, start_response):
        start_response("304 Not Modified", [("ETag", '"x"')])
        return []

    wire = serve(validator(app))
    assert wire.body == b""
    assert "content-length" not in wire.fields


def test_the_applications_length_is_kept():
    wire = serve(streaming(b"he", b"llo", headers=[("Content-Length", "5")]))
    assert wire.fields["Content-Length"] == "5"
    assert wire.body == b"hello"


def test_no_more_is_sent_than_the_length_and_the_iteration_stops():
    asked = []

    def app(environ, start_response):
        start_response("200 OK", [*PLAIN, ("Content-Length", "5")])
        for number in range(9):
            asked.append(number)
            yield b"abc"

    assert serve(validator(app)).body == b"abcab"
    assert asked == [0, 1]


def test_a_body_shorter_than_its_length_is_an_error():
    with pytest.raises(BadResponse, match=r"less body .* \(2 < 5\)"):
        serve(streaming(b"he", headers=[("Content-Length", "5")]))


# When things are sent


def test_each_block_is_sent_before_the_next_is_asked_for():
    wire = Wire()

    def app(environ, start_response):
        start_response("200 OK", PLAIN)
        for number in range(3):
            assert len(wire.writes) == number
            yield b"block"

    serve(validator(app), wire=wire)


def test_the_head_waits_for_the_first_block_that_is_not_empty():
    wire = Wire()

    def app(environ, start_response):
        start_response("200 OK", PLAIN)
        yield b""
        assert wire.sent == b""
        yield b"now"
        assert b"now" in wire.sent

    serve(validator(app), wire=wire)


def test_an_empty_block_is_not_the_end():
    wire = serve(streaming(b"one", b"", b"two"))
    assert wire.body == b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"


# write()


def writing(*blocks, then=(), headers=()):
    def app(environ, start_response):
        write = start_response("200 OK", [*PLAIN, *headers])
        for block in blocks:
            write(block)
        return list(then)

    return validator(app)


def test_what_is_written_comes_first_and_at_once():
    wire = serve(writing(b"one", b"two", then=[b"three"]))
    assert wire.writes == [b"one", b"two", b"three"]
    assert wire.fields["transfer-encoding"] == "chunked"


def test_an_empty_write_sends_the_head():
    wire = Wire()

    def app(environ, start_response):
        start_response("200 OK", PLAIN)(b"")
        assert wire.sent.startswith(b"HTTP/1.1 200")
        return [b"later"]

    serve(app, wire=wire)
    assert wire.body == b"5\r\nlater\r\n0\r\n\r\n"


def test_writing_more_than_the_length_is_an_error():
    headers = [("Content-Length", "3")]
    with pytest.raises(WsgiError, match="more than content-length"):
        serve(writing(b"ab", b"cd", headers=headers))


@pytest.mark.parametrize("how", ["return", "yield", "write"])
@pytest.mark.parametrize("block", ["text", bytearray(b"x"), None, 1])
def test_the_body_is_bytes(block, how):
    def app(environ, start_response):
        write = start_response("200 OK", PLAIN)
        if how == "write":
            write(block)
        return iter([block]) if how == "yield" else [block]

    with pytest.raises(WsgiError, match="body must be bytes; got"):
        serve(app)


# start_response


@pytest.mark.parametrize(
    "status",
    [
        *("", "200", "OK", "100 Continue", "2000 OK", " 200 OK", 200),
        *(b"200 OK", "200 OK\r\nX: y", "200 \N{SNOWMAN}", "200OK"),
    ],
)
def test_a_status_is_three_digits_a_blank_and_a_phrase(status):
    def app(environ, start_response):
        start_response(status, [])
        return []

    with pytest.raises(WsgiError, match="status must be like"):
        serve(app)


@pytest.mark.parametrize(
    "headers",
    [
        (("A", "b"),),
        None,
        [["A"]],
        [("A", 1)],
        [(b"A", b"b")],
        [("A", None)],
        ["AB"[:1]],
        [("A", "\N{SNOWMAN}")],
    ],
)
def test_headers_are_a_list_of_pairs_of_latin_1_text(headers):
    with pytest.raises(WsgiError, match="headers must be"):
        serve(lambda environ, start: start("200 OK", headers))


@pytest.mark.parametrize(
    ("name", "value"),
    [("X", "a\r\nB: c"), ("X", "a\n"), ("X", "\0"), ("X:", ""), ("X Y", "")],
)
def test_a_header_cannot_end_the_headers(name, value):
    with pytest.raises(BadResponse):
        serve(lambda environ, start: start("200 OK", [(name, value)]))


@pytest.mark.parametrize(
    "name", ["Connection", "transfer-encoding", "Keep-Alive", "UPGRADE", "TE"]
)
def test_the_connection_is_the_servers(name):
    with pytest.raises(WsgiError, match=f"{name} is the server's"):
        serve(lambda environ, start: start("200 OK", [(name, "x")]))


def test_headers_keep_their_order_and_their_repetition():
    cookies = [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")]
    wire = serve(answering(headers=cookies))
    assert b"Set-Cookie: a=1\r\nSet-Cookie: b=2\r\n" in wire.sent


def test_a_second_call_is_an_error():
    def app(environ, start_response):
        start_response("200 OK", PLAIN)
        start_response("200 OK", PLAIN)

    with pytest.raises(WsgiError, match="called twice"):
        serve(app)


def test_a_second_call_is_an_error_also_after_one_that_failed():
    def app(environ, start_response):
        with pytest.raises(WsgiError, match="status"):
            start_response("OK", PLAIN)
        start_response("200 OK", PLAIN)

    with pytest.raises(WsgiError, match="called twice"):
        serve(app)


def test_an_application_that_never_calls_it_has_not_answered():
    for app in lambda *_: [], lambda *_: [b"body"], lambda *_: iter(()):
        with pytest.raises(WsgiError, match="did not call start_response"):
            serve(app)


def failing(blocks, once=None):
    """An application that turns an exception into an error page."""

    def app(environ, start_response):
        start_response("200 OK", PLAIN[:])
        yield from blocks
        try:
            raise LookupError("inside")
        except LookupError:
            info = sys.exc_info()
            start_response("500 Oops", [*PLAIN, ("X-Page", "error")], info)
            info = None
        yield b"error page"

    return validator(app)


def test_with_exc_info_the_head_is_replaced():
    wire = serve(failing([b""]))
    assert wire.sent.startswith(b"HTTP/1.1 500 ")
    assert wire.fields["X-Page"] == "error"
    assert wire.sent.count(b"Content-Type") == 1
    assert b"error page" in wire.body


def test_with_exc_info_too_late_the_exception_is_raised_again():
    wire = Wire()
    with pytest.raises(LookupError, match="inside"):
        serve(failing([b"body"]), wire=wire)
    assert wire.sent.startswith(b"HTTP/1.1 200 ")
    assert b"error page" not in wire.sent


def test_the_traceback_is_not_kept():
    """It would hold the frame in which it is a variable: a circle."""

    class Local:
        pass

    def app(environ, start_response):
        local, kept = Local(), weakref.ref
        alive.append(kept(local))
        write = start_response("200 OK", PLAIN)
        write(b"x")
        try:
            raise LookupError
        except LookupError:
            start_response("500 Oops", PLAIN, sys.exc_info())

    alive = []
    gc.disable()
    try:
        with pytest.raises(LookupError) as caught:
            serve(app)
        caught.value.__traceback__ = None
        del caught
        assert alive[0]() is None
    finally:
        gc.enable()


# close()


class Closing:
    closed = 0

    def __init__(self, blocks):
        self.blocks = iter(blocks)

    def __iter__(self):
        return self.blocks

    def close(self):
        self.closed += 1


def closing(result, headers=()):
    def app(environ, start_response):
        start_response("200 OK", [*PLAIN, *headers])
        return result

    return app


@pytest.mark.parametrize("data", [GET, HEAD])
def test_the_iterable_is_closed_once(data):
    result = Closing([b"one", b"two"])
    serve(validator(closing(result)), data)
    assert result.closed == 1


def test_the_iterable_is_closed_after_an_error_inside_it():
    def blocks():
        yield b"one"
        raise LookupError

    result = Closing(blocks())
    with pytest.raises(LookupError):
        serve(closing(result))
    assert result.closed == 1


def test_the_iterable_is_closed_when_the_client_has_gone():
    class Gone(Wire):
        def write(self, data):
            raise ConnectionResetError

    result = Closing([b"one"])
    with pytest.raises(ConnectionResetError):
        serve(closing(result), wire=Gone())
    assert result.closed == 1


def test_the_iterable_is_closed_when_not_all_of_it_is_sent():
    result = Closing([b"one", b"two"])
    serve(closing(result, [("Content-Length", "3")]))
    assert result.closed == 1


# wsgi.file_wrapper


def test_a_file_is_sent_in_blocks_and_closed():
    file = io.BytesIO(b"from the file")
    file.read(5)

    def app(environ, start_response):
        start_response("200 OK", PLAIN)
        return environ["wsgi.file_wrapper"](file, 4)

    wire = serve(app)
    assert wire.writes == [b"the ", b"file"]
    assert file.closed


def test_a_file_wrapper_need_not_know_the_size_nor_close():
    class Reads:
        def __init__(self):
            self.read = io.BytesIO(b"abc").read

    def app(environ, start_response):
        start_response("200 OK", PLAIN)
        return environ["wsgi.file_wrapper"](Reads())

    assert b"abc" in serve(app).body
