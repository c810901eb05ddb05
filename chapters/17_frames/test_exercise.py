"""The check: whole messages, whatever stands between their fragments."""

import pytest

FIN, CONTINUATION, TEXT, BINARY, PING, PONG = 0x80, 0, 1, 2, 9, 10
CAFE = "Café".encode()
DUE = {True: "inside of a message", False: "where no message is under way"}


def take(messages, *talk):
    """Hand frames over; return what each of them completed."""
    try:
        return [messages.take(first, payload) for first, payload in talk]
    except UnicodeDecodeError as error:
        pytest.fail(
            f"{error.object} was decoded by itself. Half of a character came "
            "in one fragment, half in the next: decode whole messages."
        )
    except ValueError as error:
        pytest.fail(f"These frames are in order, and were refused: {error}")


def refuses(messages, *talk):
    """Say whether a frame of these is refused."""
    try:
        for first, payload in talk:
            messages.take(first, payload)
    except ValueError:
        return True
    return False


def test_a_message_in_one_frame(answer):
    got = take(answer.Messages(), (FIN | TEXT, CAFE), (FIN | BINARY, b"\xff"))
    assert got == ["Café", b"\xff"], (
        "FIN in a frame with the opcode TEXT or BINARY: a whole message."
    )


def test_a_message_in_fragments(answer):
    got = take(
        answer.Messages(),
        (TEXT, b"Hel"),
        (CONTINUATION, b""),
        (FIN | CONTINUATION, b"lo"),
    )
    assert got[:2] == [None, None], (
        f"A frame without FIN completes nothing, but {got[0]!r} was returned: "
        "keep its payload, and return None."
    )
    assert got[2] == "Hello", (
        "The last fragment completes the message: all payloads in their "
        "order, as the kind that the first frame named."
    )


def test_a_control_frame_between_fragments(answer):
    got = take(
        answer.Messages(),
        (BINARY, b"\x00"),
        (FIN | PING, b"there?"),
        (CONTINUATION, b"\x01"),
        (FIN | PONG, b""),
    )
    assert got[1::2] == [("ping", b"there?"), ("pong", b"")], (
        "A control frame is returned at once, as a pair: who asks must not "
        "wait for the end of a message that may take hours."
    )


def test_the_message_goes_on_after_it(answer):
    messages = answer.Messages()
    talk = [(TEXT, b"Hel"), (FIN | PING, b"there?")]
    take(messages, *talk)
    try:
        got = messages.take(FIN | CONTINUATION, b"lo")
    except ValueError:
        got = None
    assert got == "Hello", (
        f'"Hel", a Ping, "lo" gave {got!r}. A Ping has FIN, too, and it ended '
        "the message, or became a part of it. It should do neither."
    )


def test_a_character_cut_in_two(answer):
    got = take(
        answer.Messages(),
        (TEXT, CAFE[:4]),
        (FIN | PING, b""),
        (FIN | CONTINUATION, CAFE[4:]),
    )
    assert got[-1] == "Café", "Two bytes of one letter, in two fragments."


@pytest.mark.parametrize(("kind", "empty"), [(TEXT, ""), (BINARY, b"")])
def test_an_empty_message(answer, kind, empty):
    messages = answer.Messages()
    whole = take(messages, (FIN | kind, b""))
    parts = take(messages, (kind, b""), (FIN | CONTINUATION, b""))
    assert whole + parts == [empty, None, empty], (
        "An empty message is a message. None says that nothing is complete; "
        "this one is."
    )


def test_two_messages_have_nothing_in_common(answer):
    messages = answer.Messages()
    take(messages, (BINARY, b"a"), (FIN | CONTINUATION, b"b"))
    got = take(messages, (TEXT, b"c"), (FIN | CONTINUATION, b"d"))
    assert got == [None, "cd"], (
        "The second message is a text, cd: forget the first one's bytes and "
        "its kind when it is complete."
    )


@pytest.mark.parametrize(
    ("before", "first"),
    [
        ([(TEXT, b"a")], FIN | TEXT),
        ([(TEXT, b"a")], BINARY),
        ([(TEXT, b""), (FIN | PING, b"")], FIN | BINARY),
        ([], FIN | CONTINUATION),
        ([], CONTINUATION),
        ([(FIN | TEXT, b"a")], FIN | CONTINUATION),
        ([(FIN | TEXT, b"")], CONTINUATION),
    ],
)
def test_what_the_order_forbids(answer, before, first):
    messages = answer.Messages()
    inside = before[:1] and not before[0][0] & FIN
    take(messages, *before)
    assert refuses(messages, (first, b"x")), (
        f"A frame with the first byte {first:#04x} came {DUE[bool(inside)]} "
        "and was taken: nobody can say where which message ends. Refuse it."
    )


@pytest.mark.parametrize("before", [[], [(TEXT, b"a")]])
def test_a_control_frame_in_pieces(answer, before):
    messages = answer.Messages()
    take(messages, *before)
    assert refuses(messages, (PING, b"x")), (
        "A Ping without FIN was taken: a control frame is never in pieces."
    )


def test_a_text_that_is_not_utf_8(answer):
    talk = (TEXT, CAFE[:4]), (FIN | CONTINUATION, b"!")
    assert refuses(answer.Messages(), *talk), (
        "Half a character and then something else is not UTF-8: a ValueError."
    )
