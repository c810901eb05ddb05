"""A handshake: when does a browser believe that we speak WebSocket?"""

import socket
import sys
from base64 import b64decode, b64encode
from hashlib import sha1

sys.path.insert(0, ".")  # the root, where this is run

from asgi_ref.connection import Connection
from asgi_ref.handshake import GUID, REFUSAL_FIELDS, Handshake
from asgi_ref.request import ProtocolError, parse_request
from asgi_ref.response import BadResponse, Response, status_line

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
ASK = (
    b"GET /chat HTTP/1.1\r\nHost: a\r\n"
    b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %b\r\n"
    b"Sec-WebSocket-Protocol: chat.v2, chat\r\n\r\n" % KEY
)
SWITCH = (
    b"HTTP/1.1 101 Switching Protocols\r\n"
    b"Upgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: %b\r\n\r\n"
)
ANSWERS = {
    "the key as it came": KEY,
    "its SHA-1": b64encode(sha1(KEY).digest()),
    "decoded first": b64encode(sha1(b64decode(KEY) + GUID).digest()),
    "in hexadecimal": b64encode(sha1(KEY + GUID).hexdigest().encode()),
}
RIGHT = b64encode(sha1(KEY + GUID).digest())  # the browser's own sum
HELLO = b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"
LADDER = [
    ("browser", "server", "GET /chat, Upgrade: websocket, a key"),
    ("server", "browser", "101, the answer to the key"),
    ("browser", "server", "81 85 37 fa ... (11 bytes)"),
    ("server", "browser", "81 02 68 69 (4 bytes)"),
]


def browser(answer):
    """Judge an answer as a browser does (RFC 6455, section 4.1)."""
    line, *lines = answer.partition(b"\r\n\r\n")[0].split(b"\r\n")
    fields = dict(line.lower().split(b": ") for line in lines)
    accept = answer.partition(b"ccept: ")[2].partition(b"\r\n")[0]
    if line.split(b" ")[1] != b"101":
        return f"unexpected status {line.split(b' ')[1].decode()}"
    if fields.get(b"upgrade") != b"websocket":
        return "no upgrade to websocket"
    if b"upgrade" not in fields.get(b"connection", b""):
        return "no upgrade in Connection"
    if accept != RIGHT:
        return "wrong Sec-WebSocket-Accept"
    chosen = fields.get(b"sec-websocket-protocol", b"chat")
    return "opens" if chosen in (b"chat.v2", b"chat") else "wrong subprotocol"


def converse(answer):
    """Ask, answer, and return what the server reads next."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(ASK)
        ours.recv(4096)
        ours.sendall(answer)
        if browser(theirs.recv(4096)) == "opens":
            theirs.sendall(HELLO)
        theirs.close()
        return ours.recv(4096)


def fails():
    """Answer the key in four ways that come to mind."""
    print("== fails ==")
    for title, accept in ANSWERS.items():
        print(title, "-", accept.decode())
        print("    browser:", browser(SWITCH % accept))
        print("    next read:", converse(SWITCH % accept))


def forward(head):
    """Pass a head on as a proxy must: what is for one hop stays behind."""
    request = parse_request(head)
    one_hop = {b"connection", *request.tokens(b"connection")}
    passed = [field for field in request.headers if field[0] not in one_hop]
    lines = b"".join(b"%b: %b\r\n" % field for field in passed)
    return b"GET %b HTTP/1.1\r\n%b\r\n" % (request.target, lines)


def respond(head):
    """Return the answer to a handshake, or to one that is refused."""
    try:
        return Handshake(parse_request(head)).accept()
    except ProtocolError as error:
        status = error.status
        response = Response(status, REFUSAL_FIELDS.get(status, ()))
        text = str(error).encode()
        length = b"content-length: %d\r\n" % len(text)
        head = status_line(status) + response.block + length
        return head + b"\r\n" + text


def show(data):
    """Print a head line by line, and what is behind it."""
    head, _, rest = data.partition(b"\r\n\r\n")
    print("   ", head.decode().replace("\r\n", "\n    "))
    if rest:
        print("\n   ", rest)


def opened():
    """Answer the key as the module does."""
    print("\n== opened ==")
    show(respond(ASK))
    print("    browser:", browser(respond(ASK)))
    print("    next read:", converse(respond(ASK)))


def refused():
    """Ask in ways that are not in order."""
    print("\n== refused ==")
    for old, new in [
        (b"GET", b"POST"),
        (b"13", b"8"),
        (KEY, b"c2hvcnQ="),
        (b"chat.v2, chat", b"chat, chat"),
    ]:
        print(old.decode(), "->", new.decode())
        show(respond(ASK.replace(old, new)))


def ignored():
    """Ask a server that has never heard of WebSocket."""
    print("\n== ignored ==")
    connection = Connection()
    connection.receive_data(ASK)
    connection.next_event()
    answer = connection.send_response(Response(200), whole=5)
    answer += connection.send_data(b"hello", more=False)
    show(answer)
    print("    browser:", browser(answer))
    print("    next cycle:", connection.next_cycle())


def through_a_proxy():
    """Let a proxy pass the wish on that was not told to."""
    print("\n== through a proxy ==")
    print("the server receives")
    show(forward(ASK))
    print("and answers")
    show(respond(forward(ASK)))


def subprotocols():
    """Choose what is spoken inside the WebSocket."""
    print("\n== subprotocols ==")
    handshake = Handshake(parse_request(ASK))
    print("asked for", handshake.subprotocols)
    for name in "chat", None, "Chat":
        try:
            answer = handshake.accept(name)
        except BadResponse as error:
            print(f"{name}:", str(error).replace("; ", "\n    "))
        else:
            last = answer.decode().split("\r\n")[-3]
            print(f"{name}: {last}")


def whose_bytes():
    """Read the first bytes that are not HTTP: with HTTP, and without."""
    print("\n== whose bytes ==")
    http, switched = Connection(), Connection()
    http.receive_data(HELLO)
    print("HTTP makes of them:", http.next_event())
    switched.receive_data(ASK)
    switched.next_event()
    buffer = switched.switch_protocols()
    switched.receive_data(HELLO)
    print("after switching, HTTP:", switched.next_event())
    print("and in the buffer:", buffer.take(len(buffer)))


def walk(wire=print):
    """Open a WebSocket; refuse an old one."""
    wire("client", ASK)
    handshake = Handshake(parse_request(ASK))
    wire("server", handshake.accept("chat"))
    wire("client", HELLO)
    old = ASK.replace(b"13", b"8")
    wire("client", old)
    wire("server", respond(old))


def main():
    """Run all of it."""
    fails()
    opened()
    refused()
    ignored()
    through_a_proxy()
    subprotocols()
    whose_bytes()


if __name__ == "__main__":
    main()
