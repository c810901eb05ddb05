"""A fuzzer for frames: good ones, broken at random, whole and in pieces.

    python tests/conformance/fuzz_frames.py --cases 200000 --seed 1

Whatever arrives, these things must hold:

1. The only exception is FrameError, with one of CODES.
2. The events do not depend on where the network cut the bytes.
3. They are what a plain reader, written for this test, says too.
4. Nothing is read after a Close or an error, and no message is too long.

The same seed gives the same cases: `--only 4711` runs one case and shows
its bytes.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
import zlib
from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from asgi_ref.deflate import Agreement, Deflate  # noqa: E402
from asgi_ref.frames import Close, FrameError, Frames, Ping, Pong  # noqa: E402

CODES = {1002, 1007, 1009}
LIMIT = 400
TAIL = b"\x00\x00\xff\xff"
CLOSE_CODES = {*range(1000, 1004), *range(1007, 1015), *range(3000, 5000)}
TEXTS = ["", "a", "Hello", "é", "€", "😀", "κόσμε", "x" * 130, "é" * 90]
CUT = ["é".encode()[:1], b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xff"]

Outcome = tuple[list[object], int | None]


# Making cases


def frame(first: int, payload: bytes, chance: random.Random) -> bytes:
    size, mask = len(payload), chance.randbytes(4)
    form = 1 if size < 126 else 2
    if chance.random() < 0.03:
        form = chance.choice([2, 8])
    length = (
        bytes([0x80 | size])
        if form == 1
        else bytes([0xFE if form == 2 else 0xFF]) + size.to_bytes(form, "big")
    )
    masked = bytes(b ^ mask[i % 4] for i, b in enumerate(payload))
    return bytes([first]) + length + mask + masked


def control(chance: random.Random) -> bytes:
    kind = chance.choice([0x89, 0x89, 0x8A, 0x8A, 0x88])
    payload = chance.randbytes(chance.choice([0, 1, 4, 125]))
    if kind == 0x88:
        code = chance.choice([1000, 1001, 3000, 4999, 1005, 999, 5000])
        payload = code.to_bytes(2, "big") + chance.choice(TEXTS[:5]).encode()
        payload = chance.choice([payload, b"", payload[:1]])
    return frame(kind, payload, chance)


def message(chance: random.Random, deflated: bool) -> bytes:
    """A message in one or several frames, with others between them."""
    payload = chance.choice(TEXTS).encode()
    if chance.random() < 0.1:
        payload += chance.choice(CUT)
    opcode = chance.choice([1, 2])
    if deflated and chance.random() < 0.6:
        opcode |= 0x40
        compressor = zlib.compressobj(wbits=-15)
        payload = compressor.compress(payload * chance.choice([1, 1, 9]))
        payload += compressor.flush(zlib.Z_SYNC_FLUSH)
        payload = payload.removesuffix(TAIL)
    cuts = sorted(
        chance.randint(0, len(payload))
        for _ in range(chance.choice([0, 0, 1, 2, 5]))
    )
    edges = [0, *cuts, len(payload)]
    data = b""
    for number, (start, end) in enumerate(pairwise(edges)):
        first = (0 if number else opcode) | (0x80 if end is edges[-1] else 0)
        if number == len(edges) - 2:
            first |= 0x80
        else:
            first &= 0x7F
        data += frame(first, payload[start:end], chance)
        if chance.random() < 0.2:
            data += control(chance)
    return data


def spoil(data: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(data))
    match chance.randrange(4):
        case 0:
            changed = bytes([data[at] ^ (1 << chance.randrange(8))])
            return data[:at] + changed + data[at + 1 :]
        case 1:
            return data[:at] + data[at + chance.randint(1, 4) :]
        case 2:
            return data[:at] + chance.randbytes(3) + data[at:]
        case _:
            return data[:at]


def case(seed: int, number: int) -> tuple[bool, bytes, list[bytes]]:
    """Return: is deflate agreed upon, the bytes, the same in pieces."""
    chance = random.Random(f"{seed}/{number}")
    deflated = chance.random() < 0.5
    data = b"".join(
        message(chance, deflated) for _ in range(chance.randint(1, 4))
    )
    for _ in range(chance.choice([0, 0, 0, 1, 1, 2])):
        if data:
            data = spoil(data, chance)
    number_of_cuts = chance.choice([1, 2, 3, 8, len(data)])
    cuts = {chance.randint(0, len(data)) for _ in range(number_of_cuts)}
    edges = sorted({0, len(data), *cuts})
    return deflated, data, [data[a:b] for a, b in pairwise(edges)]


# Two readers


def read(pieces: list[bytes], deflated: bool) -> Outcome:
    """What the package says."""
    inflate = Deflate(Agreement(client_bits=15)).inflate
    reader = Frames(LIMIT, inflate if deflated else None)
    events: list[object] = []
    try:
        for piece in pieces:
            reader.receive_data(piece)
            while (event := reader.next_event()) is not None:
                events.append(event)
    except FrameError as error:
        reader.receive_data(b"\x81\x80abcd")
        assert reader.next_event() is None, "it reads on after an error"
        return events, error.code
    return events, None


class Wrong(Exception):
    """The plain reader has found something wrong."""


def plain_read(data: bytes, deflated: bool) -> Outcome:
    """What a reader says that has all the bytes and takes its time."""
    plain = Plain(data, deflated)
    try:
        while plain.step():
            pass
    except Wrong as error:
        return plain.events, error.args[0]
    return plain.events, None


class Plain:
    def __init__(self, data: bytes, deflated: bool) -> None:
        self.data, self.deflated = data, deflated
        self.events: list[object] = []
        self.kind, self.payload, self.packed = 0, b"", False
        self.inflater = zlib.decompressobj(-15)

    def step(self) -> bool:
        """Take one frame; False if that was all."""
        data = self.data
        if len(data) < 2:
            return False
        first, second = data[0], data[1]
        self.check_first(first)
        if second < 0x80:
            raise Wrong(1002)
        if first & 8 and second > 0xFD:
            raise Wrong(1002)
        size, start = second & 0x7F, 2
        if size > 125:
            start = 4 if size == 126 else 10
            size = int.from_bytes(data[2:start], "big")
        if len(data) < start + 4:
            return False
        least = {2: 0, 4: 126, 10: 65536}[start]
        if not least <= size < 1 << 63:
            raise Wrong(1002)
        mask, payload = data[start : start + 4], data[start + 4 :][:size]
        payload = bytes(b ^ mask[i % 4] for i, b in enumerate(payload))
        self.data = data[start + 4 + size :]
        whole = len(payload) == size
        if first & 8:
            return whole and self.take_control(first & 15, payload)
        return self.take_data(first, payload, size, whole)

    def check_first(self, first: int) -> None:
        opcode = first & 15
        allowed_bits = 0x80
        if self.deflated and opcode in (1, 2):
            allowed_bits |= 0x40
        if first & 0xF0 & ~allowed_bits or opcode not in (0, 1, 2, 8, 9, 10):
            raise Wrong(1002)
        if opcode & 8 and not first & 0x80:
            raise Wrong(1002)
        if not opcode & 8 and (opcode == 0) != bool(self.kind):
            raise Wrong(1002)

    def take_control(self, opcode: int, payload: bytes) -> bool:
        if opcode == 9:
            self.events.append(Ping(payload))
        elif opcode == 10:
            self.events.append(Pong(payload))
        else:
            code = int.from_bytes(payload[:2], "big") if payload else 1005
            valid = code in CLOSE_CODES and len(payload) > 1
            if payload and not valid:
                raise Wrong(1002)
            try:
                self.events.append(Close(code, payload[2:].decode()))
            except UnicodeDecodeError:
                raise Wrong(1007) from None
            return False
        return True

    def take_data(
        self, first: int, payload: bytes, size: int, whole: bool
    ) -> bool:
        if first & 15:
            self.kind, self.packed = first & 15, bool(first & 0x40)
            self.payload = b""
        if not self.packed and len(self.payload) + size > LIMIT:
            raise Wrong(1009)
        last = whole and bool(first & 0x80)
        if self.packed:
            payload = self.inflated(payload + (TAIL if last else b""))
        self.payload += payload
        if len(self.payload) > LIMIT:
            raise Wrong(1009)
        if self.kind == 1:
            self.check_text(last)
        if last:
            text = self.kind == 1
            self.events.append(self.payload.decode() if text else self.payload)
            self.kind = 0
        return whole

    def inflated(self, data: bytes) -> bytes:
        try:
            out = self.inflater.decompress(data)
            if self.inflater.eof:
                rest = self.inflater.unused_data
                self.inflater = zlib.decompressobj(-15)
                out += self.inflater.decompress(rest)
        except zlib.error:
            raise Wrong(1007) from None
        return out

    def check_text(self, last: bool) -> None:
        try:
            self.payload.decode()
        except UnicodeDecodeError as error:
            cut = error.reason == "unexpected end of data"
            if last or not cut:
                raise Wrong(1007) from None


# Comparing


@dataclass
class Summary:
    """What came of many cases."""

    cases: int = 0
    events: int = 0
    accepted: int = 0
    refused: Counter[int] = field(default_factory=Counter)
    failures: list[tuple[int, str, bytes]] = field(default_factory=list)
    seconds: float = 0.0

    def __str__(self) -> str:
        refused = ", ".join(f"{c}: {n}" for c, n in self.refused.items())
        rate = self.cases / self.seconds if self.seconds else 0
        return (
            f"{self.cases} cases in {self.seconds:.1f} s ({rate:.0f}/s)\n"
            f"events: {self.events}, accepted to the end: {self.accepted}\n"
            f"refused: {self.refused.total()} ({refused})\n"
            f"failures: {len(self.failures)}"
        )


def examine(deflated: bool, data: bytes, pieces: list[bytes]) -> Outcome:
    """Return what a case gives. Raises AssertionError, or a bug's own."""
    outcome = events, code = read([data], deflated)
    assert code is None or code in CODES, f"code {code}"
    sizes = [len(e) for e in events if isinstance(e, (str, bytes))]
    assert max(sizes, default=0) <= LIMIT, "a message is too long"
    expected, in_pieces = plain_read(data, deflated), read(pieces, deflated)
    # Inflating stops where a stream is broken or too long, and which of the
    # two is met first depends on how much is looked at.
    if not (deflated and {code, expected[1], in_pieces[1]} & {1007, 1009}):
        assert outcome == expected, f"{outcome}, plainly: {expected}"
        assert in_pieces == outcome, f"{outcome}, in pieces: {in_pieces}"
    assert in_pieces[0] == events
    return outcome


def run(cases: int, seed: int) -> Summary:
    """Run many cases; failures are collected, not raised."""
    summary = Summary()
    start = time.perf_counter()
    for number in range(cases):
        deflated, data, pieces = case(seed, number)
        summary.cases += 1
        try:
            events, code = examine(deflated, data, pieces)
        except Exception as error:
            text = f"{type(error).__name__}: {error}"
            summary.failures.append((number, text, data))
            continue
        summary.events += len(events)
        if code is None:
            summary.accepted += 1
        else:
            summary.refused[code] += 1
    summary.seconds = time.perf_counter() - start
    return summary


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, help="run this case and show it")
    options = parser.parse_args()
    if options.only is not None:
        deflated, data, pieces = case(options.seed, options.only)
        print(deflated, data, pieces, sep="\n")
        print(examine(deflated, data, pieces))
        return 0
    summary = run(options.cases, options.seed)
    for number, text, data in summary.failures[:20]:
        print(f"case {number}: {text:.300}\n    {data!r:.200}")
    print(summary)
    return 1 if summary.failures else 0


if __name__ == "__main__":
    sys.exit(main())
