"""Frames: where does a message end, when no head says so any more?"""

import random
import sys
import timeit
from functools import partial

sys.path.insert(0, ".")  # the root, where this is run

from asgi_ref import frames
from asgi_ref.frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    FIN,
    MASKED,
    ORDER,
    PING,
    PONG,
    TEXT,
    TWO_BYTES,
    FrameError,
    Frames,
    encode,
    encode_close,
    xor,
)

MASK = b"\x37\xfa\x21\x3d"  # as in the RFC's examples; browsers draw lots
LIST = "milk, eggs, bread, butter, " * 5
NAMES = {CONTINUATION: "more", TEXT: "text", BINARY: "binary"}
NAMES |= {CLOSE: "Close", PING: "Ping", PONG: "Pong"}


def sent(first, payload):
    """Return the frame of a client."""
    size = len(payload)
    if size < 126:
        length = bytes([MASKED | size])
    else:
        length = bytes([TWO_BYTES]) + size.to_bytes(2, "big")
    return bytes([first]) + length + MASK + xor(payload, MASK)


CAFE = "Café".encode()  # five bytes: the é has two
TALKS = {
    "125 bytes": sent(FIN | TEXT, LIST[:125].encode()),
    "126 bytes": sent(FIN | TEXT, LIST[:126].encode()),
    "a new café": sent(TEXT, CAFE[:4]) + sent(FIN | CONTINUATION, CAFE[4:]),
}


def head():
    """Return the beginning of a frame, for a figure."""
    data = TALKS["126 bytes"]
    return [
        (data[:1], "FIN, text"),
        (data[1:2], "masked, 126"),
        (data[2:4], "length 126"),
        (data[4:8], "mask"),
        (data[8:10], "mi of milk"),
    ]


def order():
    """Return frames.ORDER with words for the first bytes."""
    words = {False: "", True: "FIN, "}
    return {
        (expects, words[first >= FIN] + NAMES[first & 0x0F]): after
        for (expects, first), after in ORDER.items()
    }


def first_reader(data):
    """Return the messages in data."""
    messages, at = [], 0
    while at < len(data):
        size = data[at + 1] & 0x7F
        mask = data[at + 2 : at + 6]
        payload = data[at + 6 : at + 6 + size]
        messages.append(xor(payload, mask).decode())
        at += 6 + size
    return messages


def fails():
    """Read three conversations."""
    for name, data in TALKS.items():
        print(f"{name}:")
        try:
            for message in first_reader(data):
                print(f"    {message[:34]!a} ({len(message)})")
        except UnicodeDecodeError as error:
            print("   ", type(error).__name__, error.object)


def events_of(data, reader=None):
    """Return what frames make of bytes, and the error if there is one."""
    reader, events = reader or Frames(), []
    reader.receive_data(data)
    try:
        while (event := reader.next_event()) is not None:
            events.append(event)
    except FrameError as error:
        events.append(f"{error.code}: {error}")
    return events


def with_frames():
    """Read the same bytes with the module, the last ones first."""
    for name in reversed(TALKS):
        print(f"{name}:")
        for message in events_of(TALKS[name]):
            print(f"    {message[:34]!a} ({len(message)})")


def cut_and_cut():
    """Cut one text twice: as the network does, and as the sender does."""
    whole = sent(FIN | TEXT, b"Hello")
    reader = Frames()
    print("in 11 deliveries, of a byte each:")
    for n in range(len(whole)):
        for event in events_of(whole[n : n + 1], reader):
            print(f"    after byte {n + 1}: {event!r}")
    print("in three fragments, in one delivery:")
    parts = sent(TEXT, b"Hel") + sent(FIN | PING, b"there?")
    parts += sent(CONTINUATION, b"") + sent(FIN | CONTINUATION, b"lo")
    for event in events_of(parts):
        print(f"    {event!r}")


def lengths():
    """Write lengths, and read one that takes more bytes than it needs."""
    for size in 0, 125, 126, 65_535, 65_536:
        data = encode(BINARY, bytes(size))
        print(f"{size:6}: {data[: len(data) - size].hex(' ')}")
    long_five = bytes([FIN | TEXT, TWO_BYTES]) + b"\x00\x05" + MASK
    print(events_of(long_five + xor(b"Hello", MASK)))


def while_it_arrives():
    """Announce a thousand bytes of text, and send a few."""
    for start in b"ok", b"ok\xff", b"ok\xed\xa0", b"ok\xc3":
        begun = sent(FIN | TEXT, start + bytes(1000))[: 8 + len(start)]
        print(start, "->", events_of(begun) or "need more")


def masks():
    """Mask what a page has chosen."""
    chosen = b"GET /script.js HTTP/1.1\r\n"
    for mask in MASK, b"\x9c\x03\xe5\x61":
        print(xor(chosen, mask)[:12].hex(" "), "...")
    print(xor(xor(chosen, MASK), MASK))


def closes():
    """Read Close frames, and try to write one that cannot be sent."""
    print(events_of(sent(FIN | CLOSE, b"\x03\xe8bye")))
    print(events_of(sent(FIN | CLOSE, b"")))
    print(events_of(sent(FIN | CLOSE, b"\x03\xee")))  # 1006
    print(encode_close(1000, "bye"), encode_close(1005))
    try:
        encode_close(1006)
    except ValueError as error:
        print(error)


def walk(wire=print):
    """Read a text in two fragments, with a question between them."""
    reader = Frames()
    cut = sent(TEXT, CAFE[:4])
    rest = sent(FIN | PING, b"?") + sent(FIN | CONTINUATION, CAFE[4:])
    for data in cut[:8], cut[8:] + rest, sent(FIN | CLOSE, b"\x03\xe8"):
        wire("client", data)
        reader.receive_data(data)
        while (event := reader.next_event()) is not None:
            wire("reader", event)


def loop(data, mask):
    """Mask as the RFC says it."""
    return bytes(byte ^ mask[i % 4] for i, byte in enumerate(data))


def measure():
    """Time three ways to mask. Nothing of it is recorded."""
    ways = ("loop", loop, 0), ("XOR", xor, sys.maxsize), ("slices", xor, 0)
    for size in 125, 1024, 4096, 16_384, 65_536, 1 << 20:
        print(f"{size:8} bytes:", end="")
        data = random.Random(size).randbytes(size)
        for name, mask_it, strided in ways:
            frames.STRIDED = strided  # from how many bytes xor() slices
            timer = timeit.Timer(partial(mask_it, data, MASK))
            count = max(1, 200_000 // size)
            best = min(timer.repeat(7, count)) / count
            print(f"  {name} {best * 1e6:9.2f} us", end="")
        print()


def main():
    """Run all of it."""
    parts = fails, with_frames, cut_and_cut, lengths
    for part in *parts, while_it_arrives, masks, closes:
        print(f"== {part.__name__.replace('_', ' ')} ==")
        part()


if __name__ == "__main__":
    if "measure" in sys.argv:
        measure()
    else:
        main()
