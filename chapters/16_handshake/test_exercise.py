"""The check: each answer is judged as a browser judges it."""

import pytest

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
SPOKEN = [b"chat", b"chat.v2"]


def ask(answer, protocol=None, version=b"13", spoken=SPOKEN):
    """Return status and fields of an answer; None leaves a field out."""
    fields = {b"host": b"a", b"sec-websocket-key": KEY}
    if version is not None:
        fields[b"sec-websocket-version"] = version
    if protocol is not None:
        fields[b"sec-websocket-protocol"] = protocol
    try:
        status, headers = answer.answer(fields, spoken)
    except (KeyError, ValueError) as error:
        pytest.fail(
            f"answer raised {error!r}. A client may leave a field out, or "
            "write anything into it; it gets a status all the same."
        )
    headers = list(headers)
    names = [name for name, _ in headers]
    assert len(names) == len(set(names)), (
        f"A field is in the answer twice: {headers}."
    )
    return status, dict(headers)


def chosen(answer, protocol, spoken=SPOKEN):
    """Return the subprotocol of an answer that opens the WebSocket."""
    status, fields = ask(answer, protocol, spoken=spoken)
    assert status == 101, (
        f"{protocol!r} is in order, and was answered with {status}: that "
        "two sides have no subprotocol in common is no error."
    )
    assert fields.get(b"sec-websocket-accept") == ACCEPT, (
        "The answer to the key is not there any more: the browser hangs up."
    )
    return fields.get(b"sec-websocket-protocol")


@pytest.mark.parametrize("version", [b"8", None, b"14", b"13, 8", b""])
def test_another_version(answer, version):
    status, fields = ask(answer, version=version)
    assert status == 426, (
        f"Version {version!r} was answered with {status}. Here 13 is spoken "
        "and nothing else: say 426, Upgrade Required."
    )
    assert fields.get(b"sec-websocket-version") == b"13", (
        "426 must say which version would do, in Sec-WebSocket-Version. "
        "Without it the client can only guess."
    )
    assert b"sec-websocket-accept" not in fields, (
        "Nothing was agreed upon: a 426 has no Sec-WebSocket-Accept."
    )
    assert fields.get(b"upgrade") == b"websocket", (
        "426 must name the protocol in Upgrade (RFC 9110, 15.5.22)."
    )


def test_version_13(answer):
    status, fields = ask(answer)
    assert status == 101, "Version 13 is the one to accept."
    assert b"sec-websocket-version" not in fields, (
        "The version is said to whom it is refused, not in a 101."
    )


def test_a_client_that_asks_for_no_subprotocol(answer):
    assert chosen(answer, None) is None, (
        "The browser hangs up: it asked for no subprotocol and was given one."
    )


def test_the_first_one_of_the_clients(answer):
    assert chosen(answer, b"chat.v2, chat") == b"chat.v2", (
        "The client names its best first, and here both would do. Go through "
        "its list, not through ours."
    )
    assert chosen(answer, b"chat.v3 ,\tchat") == b"chat", (
        "chat.v3 is not spoken here, chat is: look at all of the list. "
        "White space around a comma belongs to no name."
    )


@pytest.mark.parametrize("asked", [b"soap", b"chat.v", b"hat, chat.v22"])
def test_nothing_in_common(answer, asked):
    assert chosen(answer, asked) is None, (
        f"The client asked for {asked!r}, and that is not spoken here: leave "
        "the field out. A part of a name is not the name."
    )


def test_case_matters(answer):
    assert chosen(answer, b"Chat") is None, (
        "Chat is not chat: names of subprotocols are compared letter by "
        "letter."
    )
    assert chosen(answer, b"Chat", spoken=[b"Chat"]) == b"Chat", (
        "Chat is spoken here and was asked for: it must come back as it was "
        "written, or the browser does not find it in its list."
    )


@pytest.mark.parametrize("asked", [b"", b" , "])
def test_an_empty_list(answer, asked):
    assert chosen(answer, asked, [b"", b"chat"]) is None, (
        "Empty parts of a list do not count; an empty name is none."
    )


@pytest.mark.parametrize("asked", [b"chat, chat", b"chat,soap,soap"])
def test_one_of_them_twice(answer, asked):
    status, _ = ask(answer, asked)
    assert status == 400, (
        f"{asked!r} names one of them twice and was answered with {status}; "
        "the client broke a rule of section 4.1: 400."
    )
