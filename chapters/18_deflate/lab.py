"""Compressed messages: a bomb, a memory, and what was agreed upon."""

import random
import sys
import tracemalloc
import zlib

sys.path.insert(0, ".")  # the root, where this is run

from asgi_ref.deflate import NAME, TAIL, Agreement, Deflate, agree
from asgi_ref.frames import BINARY, FIN, RSV1, TEXT, FrameError, Frames, encode

MIB = 1024 * 1024
LIMIT = 65536  # bytes of one message: what this server allows
NO_MASK = bytes(4)  # a client must mask; zeros change nothing


def client_frame(message):
    """Return one compressed message, as a client sends it."""
    compressor = zlib.compressobj(level=9, wbits=-15)
    payload = compressor.compress(message)
    payload += compressor.flush(zlib.Z_SYNC_FLUSH)
    payload = payload.removesuffix(TAIL)
    size = len(payload).to_bytes(2, "big")
    return bytes([FIN | RSV1 | BINARY, 0xFE]) + size + NO_MASK + payload


def obvious(piece, room, last):
    """Return what a piece of a message means."""
    inflater = zlib.decompressobj(wbits=-15)
    return inflater.decompress(piece + TAIL)


def receive(frame, inflate):
    """Read a frame with chapter 17's reader; print what it grew to."""
    reader = Frames(LIMIT, inflate)
    reader.receive_data(frame)
    message = reader.next_event()
    print(f"frame {len(frame)} bytes, message {len(message)} bytes")


def fails():
    """Receive two messages of nothing but zeros."""
    print("limit", LIMIT, "bytes")
    for size in MIB, 8 * MIB:
        receive(client_frame(bytes(size)), obvious)


def peak_of(inflate, frame):
    """Return how much memory the reading of a frame took at most."""
    tracemalloc.start()
    try:
        receive(frame, inflate)
    except FrameError as error:
        print(f"{error.code}: {error}")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak


def afterwards(piece, room, last):
    """Inflate it all, and then look at the size."""
    data = obvious(piece, room, last)
    if len(data) > room:
        raise FrameError(1009, "too big, as we see now")
    return data


def bounded():
    """Refuse the bomb when it is made, and while it is made."""
    frame = client_frame(bytes(8 * MIB))
    for inflate in afterwards, Deflate(Agreement(), LIMIT).inflate:
        peak = peak_of(inflate, frame)
        most = "more than 8 MiB" if peak > 8 * MIB else "less than 1 MiB"
        print("  memory:", most)


def again():
    """Say the same thing three times."""
    server, client = Deflate(Agreement()), Deflate(Agreement())
    for _ in range(3):
        payload = server.compress(b"Hello")
        print(payload.hex(" "), "->", client.inflate(payload, LIMIT, True))


def chat():
    """Count the bytes of a chat, with a memory and without."""
    words = "hello", "who is there?", "only me", "good night"
    line = '{"type": "chat", "from": "ann", "text": "%s"}'
    messages = [(line % text).encode() for text in words]
    print("sent as they are:", [len(message) for message in messages])
    for forgets in False, True:
        server = Deflate(Agreement(server_forgets=forgets))
        sizes = [len(server.compress(message)) for message in messages]
        print("forgets: " if forgets else "remembers:", sizes)
    photo = random.Random(18).randbytes(1000)  # as good as compressed
    print("a photo of 1000 bytes:", len(Deflate(Agreement()).compress(photo)))


def offers():
    """Answer three offers."""
    for offer in (
        {b"client_max_window_bits": b""},
        {b"server_no_context_takeover": b"", b"server_max_window_bits": b"9"},
        {b"server_max_window_bits": b"8"},
    ):
        words = [name + b"=" * bool(v) + v for name, v in offer.items()]
        print("offer: ", b"; ".join(words).decode())
        agreement = agree([(NAME, offer.items())])
        print("answer:", agreement and agreement.line.decode()[20:])


def eight():
    """Ask zlib for a raw stream with a window of 256 bytes."""
    try:
        zlib.compressobj(wbits=-8)
    except ValueError as error:
        print("ValueError:", error)


def memory_of(make):
    """Return about how many KiB something costs, once it is in use."""
    tracemalloc.start()
    kept = make()
    now, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return round(now / 1024, -1) if kept else 0


def used(bits, level):
    """Return a compressor that has compressed something."""
    compressor = zlib.compressobj(wbits=-bits, memLevel=level)
    return compressor, compressor.compress(b"Hello")


def inflating(bits):
    """Return an inflater that has inflated something."""
    inflater = zlib.decompressobj(wbits=-bits)
    return inflater, inflater.decompress(HELLO + TAIL)


def memory():
    """Say what each WebSocket costs that does not forget."""
    for bits, level in (15, 8), (12, 5):
        cost = memory_of(lambda b=bits, m=level: used(b, m))
        print(f"compressor, {bits} bits, level {level}: about {cost:.0f} KiB")
    for bits in 15, 12:
        cost = memory_of(lambda b=bits: inflating(b))
        print(f"inflater,   {bits} bits:          about {cost:.0f} KiB")


HELLO = bytes.fromhex("f248cdc9c90700")
LAYOUT = [
    (encode(TEXT | RSV1, HELLO)[:2], "FIN, RSV1, text; 7 bytes"),
    (HELLO, "Hello, compressed"),
    (TAIL, "cut off, put back"),
]


def walk(wire=print):
    """Let a client say hello twice, and answer once."""
    agreement = agree([(NAME, [(b"client_max_window_bits", b"")])])
    wire("server", agreement.line)
    deflate = Deflate(agreement, LIMIT)
    for payload in HELLO, bytes.fromhex("f200110000"):
        wire("client", payload)
        data = deflate.inflate(payload, LIMIT, True)
        wire("application", data)
    wire("server", deflate.compress(data))


if __name__ == "__main__":
    for part in fails, bounded, again, chat, offers, eight, memory:
        print(f"== {part.__name__} ==")
        part()
