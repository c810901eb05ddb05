"""A load generator that costs little, so that the server gets the machine.

    python load.py SCENARIO PORT [SECONDS]

Request bytes are built once.  Sockets are plain and blocking.  The client
keeps a request waiting on each of its connections: it reads the answer of
the oldest, sends the next request there, and goes on to its neighbour.  The
first answer of a run is parsed with care.  All later ones must begin with
the same status and have exactly the same size, which one system call tells.

With --wait it says "ready" when its connections are open, runs once for
each line that it reads, prints each time how many answers it got, and keeps
its connections open until its standard input ends.  So another program can
look at the server just before and just after, and can take turns.

What it does not do: it measures nothing but the wall clock, it does not
pipeline, and it talks to 127.0.0.1 only.
"""

import argparse
import json
import signal
import socket
import struct
import sys
import zlib
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle
from time import perf_counter

KIB = 1024
MIB = 1024 * KIB
UPLOAD = 100 * MIB
IDLE_CONNECTIONS = 1_000
ANSWER_LIMIT = 10  # seconds for one read or write on a socket
LIFETIME = 60  # seconds for the whole client, whatever happens
STATUS = b"HTTP/1.1 200"

BROWSER_LINES = b"""\
Connection: keep-alive
Cache-Control: max-age=0
Pragma: no-cache
DNT: 1
Upgrade-Insecure-Requests: 1
User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 \
(KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36
Accept: text/html,application/xhtml+xml,application/xml;q=0.9,\
image/avif,image/webp,image/apng,*/*;q=0.8
Accept-Language: en-GB,en;q=0.9,de;q=0.8,fr;q=0.7
Accept-Encoding: gzip, deflate, br, zstd
Referer: http://127.0.0.1/articles/2024/06/a-page-with-a-long-name?page=2
Origin: http://127.0.0.1
If-None-Match: "5d8c72a5edda8d6a:3239"
If-Modified-Since: Tue, 18 Jun 2024 09:41:00 GMT
Priority: u=0, i
Sec-CH-UA: "Not/A)Brand";v="8", "Chromium";v="126", "Browser";v="126"
Sec-CH-UA-Mobile: ?0
Sec-CH-UA-Platform: "Linux"
Sec-CH-UA-Platform-Version: "6.5.0"
Sec-CH-UA-Arch: "x86"
Sec-CH-UA-Bitness: "64"
Sec-CH-UA-Model: ""
Sec-CH-Prefers-Color-Scheme: light
Sec-Fetch-Site: same-origin
Sec-Fetch-Mode: navigate
Sec-Fetch-User: ?1
Sec-Fetch-Dest: document
X-Requested-With: XMLHttpRequest
X-Request-Id: 7f3c1f0e-2b1d-4b0a-9f52-6c1f6f0d9a11
Traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01
Cookie: session=eyJ1c2VyIjoxMjM0NSwidGhlbWUiOiJsaWdodCJ9.ZnE0.x7Jv2kQw; \
theme=light; csrftoken=VbQ2hXc0n8Zt5yKq1mWe7Rj4uLs9pDfA; \
_ga=GA1.1.1234567890.1718700000; _ga_ABCDEFGHIJ=GS1.1.1718700000.1.1.\
1718700123.60.0.0; consent=necessary%2Cstatistics; lang=en
"""


@dataclass(frozen=True)
class Plan:
    """What one scenario sends, on how many connections, and awaits.

    opening: for a WebSocket, the handshake.  Then the reply is a frame, and
    its size is that of the whole frame, or 0 if it is to be read from it.
    """

    pieces: Sequence[bytes]
    reply: int
    connections: int
    close: bool = False
    opening: bytes = b""

    def send(self, sock: socket.socket) -> None:
        """Send one whole request."""
        for piece in self.pieces:
            sock.sendall(piece)


def head(target: str, lines: bytes = b"", length: int = 0) -> bytes:
    """Build the bytes of a request up to the empty line."""
    method = "POST" if length else "GET"
    first = f"{method} {target} HTTP/1.1\nHost: 127.0.0.1\n".encode()
    if length:
        lines += b"Content-Length: %d\n" % length
    return (first + lines + b"\n").replace(b"\n", b"\r\n")


def upload(size: int) -> Plan:
    """A long body, sent by 1 MiB pieces that are all the same object."""
    pieces = [head("/count", length=size), *[bytes(MIB)] * (size // MIB)]
    return Plan(pieces, len(str(size)), 1)


def frame(first: int, payload: bytes) -> bytes:
    """Build a client's frame; the mask is zeros, which costs us nothing.

    The server cannot know that: it has to unmask all the same.
    """
    size = len(payload)
    if size < 126:
        length = bytes([128 + size])
    elif size < 64 * KIB:
        length = bytes([254]) + struct.pack(">H", size)
    else:
        length = bytes([255]) + struct.pack(">Q", size)
    return bytes([first]) + length + bytes(4) + payload


def handshake(extension: bytes = b"") -> bytes:
    """Build the request that opens a WebSocket."""
    lines = b"Upgrade: websocket\nConnection: Upgrade\n"
    lines += b"Sec-WebSocket-Version: 13\n"
    lines += b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\n"
    if extension:
        lines += b"Sec-WebSocket-Extensions: %b\n" % extension
    return head("/ws", lines)


def deflated(message: bytes) -> bytes:
    """Compress a message that refers to none before it."""
    compressor = zlib.compressobj(wbits=-12)
    data = compressor.compress(message)
    data += compressor.flush(zlib.Z_SYNC_FLUSH)
    return frame(0xC1, data[:-4])


TAKEOVER = b"permessage-deflate; client_no_context_takeover"
ITEMS = [
    {"id": n, "name": f"item {n}", "price": n * 7.3, "tags": ["a", "b"]}
    for n in range(18)
]
HELLO = Plan([head("/")], 13, 20)
ECHO = Plan([head("/echo", length=64 * KIB) + bytes(64 * KIB)], 64 * KIB, 4)
STREAM = Plan([head("/stream")], MIB, 1)
PLANS = {
    "hello": HELLO,
    "headers": Plan([head("/", BROWSER_LINES)], 13, 20),
    "connect": Plan([head("/", b"Connection: close\n")], 13, 20, close=True),
    "echo64k": ECHO,
    "upload": upload(UPLOAD),
    "stream": STREAM,
    "ws64": Plan([frame(0x81, b"x" * 64)], 66, 20, opening=handshake()),
    "ws1m": Plan([frame(0x82, bytes(MIB))], MIB + 10, 1, opening=handshake()),
    "wsflate": Plan(
        [deflated(json.dumps(ITEMS).encode())], 0, 20,
        opening=handshake(TAKEOVER),
    ),
}
SCENARIOS = (*PLANS, "idle", "wsidle", "warmup")
BUFFER = bytearray(MIB + 64 * KIB)


def connect(port: int) -> socket.socket:
    """Open a blocking connection on which the kernel keeps the time.

    SO_RCVTIMEO and SO_SNDTIMEO cost nothing for each call, where
    settimeout() would add a poll() before every read and write.
    """
    sock = socket.create_connection(("127.0.0.1", port), ANSWER_LIMIT)
    sock.settimeout(None)
    limit = struct.pack("ll", ANSWER_LIMIT, 0)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def connect_and_ask(port: int) -> socket.socket:
    """Open a connection and have one request answered on it."""
    sock = connect(port)
    HELLO.send(sock)
    read_first(sock, HELLO.reply)
    return sock


def open_websocket(port: int, plan: Plan) -> socket.socket:
    """Open a connection, shake hands, and have one message answered."""
    sock = connect(port)
    sock.sendall(plan.opening)
    data = b""
    while b"\r\n\r\n" not in data:
        data += receive_some(sock)
    if not data.startswith(b"HTTP/1.1 101 ") or not data.endswith(b"\r\n\r\n"):
        raise ValueError(f"no WebSocket: {data!r}")
    if b"deflate" in plan.opening and b"deflate" not in data:
        raise ValueError(f"no deflate: {data!r}")
    plan.send(sock)
    read_frame(sock, plan)
    return sock


def read_frame(sock: socket.socket, plan: Plan) -> int:
    """Read one frame of the server; return its size."""
    size = plan.reply
    if not size:
        got = sock.recv(4, socket.MSG_PEEK | socket.MSG_WAITALL)
        size = 4 + int.from_bytes(got[2:], "big")
        if got[1] != 126:
            size = 2 + got[1]
    got = sock.recv_into(BUFFER, size, socket.MSG_WAITALL)
    if got != size or BUFFER[0] & 0x80 == 0:
        raise ValueError(f"{got} bytes for {size}: {bytes(BUFFER[:20])!r}")
    return size


def read_first(sock: socket.socket, reply: int) -> int:
    """Read one whole answer with care; return its size in bytes."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += receive_some(sock)
    size = check_head(data, reply)
    while len(data) < size:
        data += receive_some(sock)
    if len(data) > size:
        raise ValueError(f"{len(data) - size} bytes too many")
    return size


def receive_some(sock: socket.socket) -> bytes:
    """Read what there is; the end of the connection is an error."""
    data = sock.recv(64 * KIB)
    if not data:
        raise ValueError("the server closed the connection early")
    return data


def check_head(data: bytes, reply: int) -> int:
    """Check status and length; return how long the answer must be."""
    top, _, _ = data.partition(b"\r\n\r\n")
    if not top.startswith(STATUS):
        raise ValueError(f"unexpected answer: {top[:60]!r}")
    if b"\r\ncontent-length: %d\r\n" % reply not in top.lower() + b"\r\n":
        raise ValueError(f"content-length is not {reply}: {top!r}")
    return len(top) + 4 + reply


def read_next(sock: socket.socket, plan: Plan, size: int) -> int:
    """Read one answer of a known size; size 0 means not known yet."""
    if plan.opening:
        return read_frame(sock, plan)
    if not size:
        return read_first(sock, plan.reply)
    check_read(sock.recv_into(BUFFER, size, socket.MSG_WAITALL), size)
    return size


def read_to_end(sock: socket.socket, plan: Plan, size: int) -> int:
    """Read one answer, and the end of the connection after it."""
    got = sock.recv_into(BUFFER, len(BUFFER), socket.MSG_WAITALL)
    sock.close()
    size = size or check_head(bytes(BUFFER[:got]), plan.reply)
    check_read(got, size)
    return size


def check_read(got: int, size: int) -> None:
    """The cheap check that each answer passes."""
    if got != size or not BUFFER.startswith(STATUS):
        raise ValueError(f"{got} bytes for {size}: {bytes(BUFFER[:60])!r}")


def run_kept(
    plan: Plan, sockets: Sequence[socket.socket], seconds: float
) -> int:
    """Ask again and again on open connections; return how often."""
    deadline = perf_counter() + seconds
    for sock in sockets:
        plan.send(sock)
    turns = cycle(sockets)
    done = size = 0
    while perf_counter() < deadline:
        sock = next(turns)
        size = read_next(sock, plan, size)
        plan.send(sock)
        done += 1
    for _ in sockets:
        size = read_next(next(turns), plan, size)
    return done + len(sockets)


def run_fresh(plan: Plan, port: int, seconds: float) -> int:
    """Open a new connection for each request; return how many."""
    deadline = perf_counter() + seconds
    waiting = deque(ask_once(plan, port) for _ in range(plan.connections))
    done = size = 0
    while perf_counter() < deadline:
        size = read_to_end(waiting.popleft(), plan, size)
        waiting.append(ask_once(plan, port))
        done += 1
    for sock in waiting:
        size = read_to_end(sock, plan, size)
    return done + len(waiting)


def ask_once(plan: Plan, port: int) -> socket.socket:
    """Open a connection and send a request, do not wait for the answer."""
    sock = connect(port)
    plan.send(sock)
    return sock


def warm_up(port: int) -> int:
    """Be a first client that comes and goes, with small and big requests.

    In a young process the C library returns a big buffer to the system
    after each use, and only later learns to keep it.  No server should be
    measured before it has learned that.
    """
    done = 0
    for plan in (HELLO, ECHO, STREAM, upload(8 * MIB)):
        sockets = [connect_and_ask(port) for _ in range(plan.connections)]
        done += run_kept(plan, sockets, 0.12)
        for sock in sockets:
            sock.close()
    return done


def run(
    name: str, port: int, seconds: float, sockets: list[socket.socket]
) -> int:
    """Run one scenario; connections that stay open are in the list."""
    if name == "warmup":
        return warm_up(port)
    if name == "idle":
        sockets += [connect_and_ask(port) for _ in range(IDLE_CONNECTIONS)]
        return len(sockets)
    if name == "wsidle":
        plan = PLANS["ws64"]
        for _ in range(IDLE_CONNECTIONS):
            sockets.append(open_websocket(port, plan))
        return len(sockets)
    if PLANS[name].close:
        return run_fresh(PLANS[name], port, seconds)
    return run_kept(PLANS[name], sockets, seconds)


def open_before(name: str, port: int) -> list[socket.socket]:
    """Open the connections that belong to a scenario but not to its time."""
    if name not in PLANS or PLANS[name].close:
        return []
    plan = PLANS[name]
    if plan.opening:
        return [open_websocket(port, plan) for _ in range(plan.connections)]
    return [connect_and_ask(port) for _ in range(plan.connections)]


def main() -> None:
    """Read the command line, run one scenario, print what was done."""
    parser = argparse.ArgumentParser(description="Load one local server.")
    parser.add_argument("scenario", choices=SCENARIOS)
    parser.add_argument("port", type=int)
    parser.add_argument("seconds", type=float, nargs="?", default=1.0)
    parser.add_argument("--wait", action="store_true")
    options = parser.parse_args()
    signal.alarm(LIFETIME + int(options.seconds))
    sockets = open_before(options.scenario, options.port)
    if options.wait:
        print("ready", flush=True)
    for _ in sys.stdin if options.wait else ["go"]:
        begin = perf_counter()
        done = run(options.scenario, options.port, options.seconds, sockets)
        took = perf_counter() - begin
        print(json.dumps({"requests": done, "seconds": took}), flush=True)


if __name__ == "__main__":
    main()
