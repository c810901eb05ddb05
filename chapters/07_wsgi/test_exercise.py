"""The check: what a validator sees between the two, and what a client sees."""

import io
import sys
import warnings
from wsgiref.validate import WSGIWarning, validator

import pytest

from asgi_ref.request import parse_request

GET = b"GET /caf%C3%A9?q=1 HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\n"
POST += b"Content-Length: 4\r\n\r\n"
TEXT = [("Content-Type", "text/plain")]

# The validator says in a destructor that nobody called close(); so do we.
pytestmark = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)


class Client:
    """What has reached it: heads and pieces."""

    def __init__(self):
        self.heads, self.pieces = [], []

    def send_head(self, status, headers):
        self.heads.append((status, headers))

    def send_body(self, data):
        self.pieces.append(data)


def environ_of(answer, head=GET, body=b""):
    return answer.make_environ(parse_request(head), io.BytesIO(body))


def serve(answer, app, client=None):
    """Let the gateway call an application; return the client."""
    client = client or Client()
    environ = environ_of(answer)
    answer.run(app, environ, client.send_head, client.send_body)
    return client


def refused(error):
    """Say what the validator found."""
    reason = str(error) if isinstance(error, AssertionError) else repr(error)
    pytest.fail(f"wsgiref.validate refuses this gateway. It says: {reason}")


class Closing:
    """An iterable that knows whether it was closed."""

    closed = 0

    def __init__(self, blocks):
        self.blocks = iter(blocks)

    def __iter__(self):
        return self.blocks

    def close(self):
        self.closed += 1


def info():
    """Return the exc_info of an error."""
    try:
        raise LookupError("no news")
    except LookupError:
        return sys.exc_info()


# environ


@pytest.mark.parametrize("head", [GET, POST], ids=["get", "post"])
def test_the_validator_lets_it_pass(answer, head):
    def app(environ, start_response):
        start_response("200 OK", TEXT)
        environ["wsgi.errors"].write("")
        return [environ["wsgi.input"].read(4)]

    client, environ = Client(), environ_of(answer, head, b"mine")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", WSGIWarning)
            send = client.send_head, client.send_body
            answer.run(validator(app), environ, *send)
    except Exception as error:
        refused(error)


def test_the_query_is_what_follows_the_question_mark(answer):
    assert environ_of(answer).get("QUERY_STRING") == "q=1", (
        "Of /caf%C3%A9?q=1 the query is q=1: text, and not decoded, since "
        "only the application knows what its %26 is."
    )


def test_the_path_is_bytes_shown_as_latin_1(answer):
    path = environ_of(answer)["PATH_INFO"]
    assert path == "/caf\xc3\xa9", (
        "PATH_INFO is a native string: the path's bytes, one character for "
        "each, so that every application can encode it back with latin-1."
    )


# When things are sent


def test_each_block_is_sent_before_the_next_is_asked_for(answer):
    client = Client()

    def app(environ, start_response):
        start_response("200 OK", TEXT)
        for number in range(3):
            assert len(client.pieces) == number, (
                "The gateway asks for the next block before it has sent the "
                "one that it has: a stream would arrive all at once."
            )
            yield b"tick"

    serve(answer, app, client)
    assert client.pieces == [b"tick"] * 3, (
        "Three blocks were yielded, and the client must get these three."
    )


def test_the_head_waits_for_the_first_byte(answer):
    client = Client()

    def app(environ, start_response):
        start_response("200 OK", TEXT)
        assert not client.heads, (
            "The head was sent by start_response() itself: no error page can "
            "take its place any more."
        )
        yield b""
        assert not client.heads, (
            "The head was sent with an empty block. It waits for the first "
            "byte of the body: until then it can be replaced."
        )
        yield b"now"

    serve(answer, app, client)
    assert client.heads == [("200 OK", TEXT)], (
        "The client must get the head that the application gave, once."
    )


def test_an_answer_without_a_body_has_a_head(answer):
    def app(environ, start_response):
        start_response("204 No Content", [])
        return []

    assert serve(answer, app).heads == [("204 No Content", [])], (
        "The body ended without a byte, and the head was to wait for one. "
        "It is due at the end at the latest."
    )


def test_what_is_written_is_sent_at_once(answer):
    client = Client()

    def app(environ, start_response):
        write = start_response("200 OK", TEXT)
        if not callable(write):
            pytest.fail(
                "start_response() must return write(data), which sends at "
                "once: there are applications older than iterables."
            )
        write(b"one")
        assert (len(client.heads), client.pieces) == (1, [b"one"]), (
            "write() must have sent the head and its data when it returns."
        )
        return [b"two"]

    assert serve(answer, app, client).pieces == [b"one", b"two"], (
        "First what was written, then what is iterated, and each piece once."
    )


# exc_info


def test_an_error_page_takes_the_place_of_the_head(answer):
    def app(environ, start_response):
        start_response("200 OK", TEXT)
        start_response("500 Oops", TEXT, info())
        return [b"sorry"]

    assert serve(answer, app).heads == [("500 Oops", TEXT)], (
        "Nothing was sent when the application changed its mind: the head "
        "with exc_info replaces the first one, and the client gets only it."
    )


def test_an_error_page_that_comes_too_late(answer):
    client = Client()

    def app(environ, start_response):
        start_response("200 OK", TEXT)
        yield b"half"
        start_response("500 Oops", TEXT, info())
        yield b"sorry"

    try:
        serve(answer, app, client)
    except LookupError:
        assert client.pieces == [b"half"], (
            "The client got more than what was sent before the error."
        )
    else:
        pytest.fail(
            "The head has gone out, so an error page cannot be sent: raise "
            "the exception in exc_info again, and let the server hang up."
        )


def test_a_second_call_is_an_error(answer):
    def app(environ, start_response):
        start_response("200 OK", TEXT)
        start_response("404 Not Found", TEXT)
        return [b"which?"]

    try:
        serve(answer, app)
    except Exception:
        return
    pytest.fail(
        "start_response() was called twice, without exc_info: that is the "
        "application's mistake, and must be raised as an error."
    )


# close()


def test_what_was_returned_is_closed(answer):
    result = Closing([b"one"])

    def app(environ, start_response):
        start_response("200 OK", TEXT)
        return result

    serve(answer, app)
    assert result.closed == 1, (
        "The application returned an object with close(), and the server "
        "must call it, once, when it needs no more of it."
    )


def test_what_was_returned_is_closed_after_an_error(answer):
    def blocks():
        yield b"one"
        raise LookupError("no news")

    result = Closing(blocks())

    def app(environ, start_response):
        start_response("200 OK", TEXT)
        return result

    try:
        serve(answer, app)
    except LookupError:
        pass
    else:
        pytest.fail(
            "The application raised, and the gateway said nothing. The error "
            "is the server's to log, so let it pass."
        )
    assert result.closed == 1, (
        "The application raised, and nobody called close(): the file or the "
        "database connection behind it stays open."
    )
