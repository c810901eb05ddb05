"""A fuzzer: good requests, broken at random, read whole and in pieces.

    python tests/conformance/fuzz.py --cases 200000 --seed 1

Whatever arrives, four things must hold:

1. The only exception is ProtocolError; a refusal has one of STATUSES.
2. The number of events is bounded by the number of bytes: no hang.
3. The verdict does not depend on where the network cut the bytes.
4. A refusal can still be answered, and nothing is read after it.

The same seed gives the same cases, so that a failure can be looked at again:
`--only 4711` runs one case and shows its bytes.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from request_table import GOOD, verdict  # noqa: E402

STATUSES = {400, 414, 421, 431, 501, 505}
LONGEST = 1500  # a sample that is longer shows nothing more
SAMPLES = [entry.data for entry in GOOD if 0 < len(entry.data) <= LONGEST]

# What attackers like to insert.
SPICE = [
    b"\r\n", b"\n", b"\r", b"\r\n\r\n", b"\n\n", b"\x00", b" ", b"\t", b":",
    b";", b",", b'"', b"\\", b"0", b"0\r\n\r\n", b"f" * 17, b"\xff", b"\x7f",
    b"\x16", b"#", b"http://", b"*", b"HTTP/1.0", b"HTTP/2.0", b"HEAD",
    b"CONNECT", b"OPTIONS", b"Host: b\r\n", b"Host:\r\n", b"chunked, ",
    b"Content-Length: 5\r\n", b"Content-Length: 0\r\n",
    b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: gzip\r\n",
    b"Connection: close\r\n", b"Connection: keep-alive\r\n",
    b"Expect: 100-continue\r\n", b"TE: trailers\r\n", b"A: b\r\n",
]  # fmt: skip
LINES = [piece[:-2] for piece in SPICE if piece.endswith(b"\r\n")]


def flip(data: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(data))
    changed = bytes([data[at] ^ (1 << chance.randrange(8))])
    return data[:at] + changed + data[at + 1 :]


def replace(data: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(data))
    return data[:at] + chance.randbytes(1) + data[at + 1 :]


def delete(data: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(data))
    return data[:at] + data[at + chance.randint(1, 4) :]


def insert(data: bytes, chance: random.Random) -> bytes:
    at = chance.randint(0, len(data))
    return data[:at] + chance.choice(SPICE) + data[at:]


def insert_line(data: bytes, chance: random.Random) -> bytes:
    lines = data.split(b"\r\n")
    lines.insert(chance.randint(0, len(lines)), chance.choice(LINES))
    return b"\r\n".join(lines)


def duplicate_line(data: bytes, chance: random.Random) -> bytes:
    lines = data.split(b"\r\n")
    at = chance.randrange(len(lines))
    return b"\r\n".join([*lines[:at], lines[at], *lines[at:]])


def move_line(data: bytes, chance: random.Random) -> bytes:
    lines = data.split(b"\r\n")
    line = lines.pop(chance.randrange(len(lines)))
    lines.insert(chance.randint(0, len(lines)), line)
    return b"\r\n".join(lines)


def splice(data: bytes, chance: random.Random) -> bytes:
    other = chance.choice(SAMPLES)
    front = data[: chance.randint(0, len(data))]
    return front + other[chance.randint(0, len(other)) :]


def append(data: bytes, chance: random.Random) -> bytes:
    return data + chance.choice(SAMPLES)


def other_line_end(data: bytes, chance: random.Random) -> bytes:
    ends = data.count(b"\r\n")
    if not ends:
        return data
    parts = data.split(b"\r\n")
    at = chance.randint(1, ends)
    end = chance.choice([b"\n", b"\r", b"\n\r", b"\r\r\n", b""])
    return b"\r\n".join(parts[:at]) + end + b"\r\n".join(parts[at:])


def repeat(data: bytes, chance: random.Random) -> bytes:
    start = chance.randrange(len(data))
    end = min(len(data), start + chance.randint(1, 20))
    times = chance.choice([2, 3, 10, 120])
    return data[:start] + data[start:end] * times + data[end:]


def truncate(data: bytes, chance: random.Random) -> bytes:
    return data[: chance.randint(0, len(data))]


MUTATIONS = [
    flip, replace, delete, insert, insert_line, duplicate_line, move_line,
    splice, append, other_line_end, repeat, truncate,
]  # fmt: skip


def case(seed: int, number: int) -> tuple[bytes, list[bytes]]:
    """Return the bytes of a case, and the same bytes in pieces."""
    chance = random.Random(f"{seed}/{number}")
    data = chance.choice(SAMPLES)
    for _ in range(chance.choice([1, 1, 1, 2, 2, 3, 5])):
        if data:
            data = chance.choice(MUTATIONS)(data, chance)
    number_of_cuts = chance.choice([1, 2, 3, 8, len(data)])
    cuts = {chance.randint(0, len(data)) for _ in range(number_of_cuts)}
    edges = sorted({0, len(data), *cuts})
    return data, [data[start:end] for start, end in pairwise(edges)]


@dataclass
class Summary:
    """What came of many cases."""

    cases: int = 0
    requests: int = 0
    accepted: int = 0
    refused: Counter[int] = field(default_factory=Counter)
    failures: list[tuple[int, str, bytes]] = field(default_factory=list)
    seconds: float = 0.0

    def __str__(self) -> str:
        refused = ", ".join(
            f"{status}: {count}"
            for status, count in sorted(self.refused.items())
        )
        rate = self.cases / self.seconds if self.seconds else 0
        return (
            f"{self.cases} cases in {self.seconds:.1f} s ({rate:.0f}/s)\n"
            f"accepted to the end: {self.accepted}"
            f" ({self.requests} requests in all cases)\n"
            f"refused: {self.refused.total()} ({refused})\n"
            f"failures: {len(self.failures)}"
        )


def examine(data: bytes, pieces: list[bytes]) -> tuple[int, int | str]:
    """Return how many requests a case holds and how it ends.

    Raises AssertionError, or whatever the package raises.
    """
    requests, end = verdict([data] if data else [])
    assert isinstance(end, str) or end in STATUSES, f"status {end}"
    in_pieces = verdict(pieces)
    assert in_pieces == (requests, end), (
        f"whole: {len(requests)} requests, {end};"
        f" in pieces: {len(in_pieces[0])} requests, {in_pieces[1]}"
    )
    return len(requests), end


def run(cases: int, seed: int) -> Summary:
    """Run many cases; failures are collected, not raised."""
    summary = Summary()
    start = time.perf_counter()
    for number in range(cases):
        data, pieces = case(seed, number)
        summary.cases += 1
        try:
            requests, end = examine(data, pieces)
        except Exception as error:
            text = f"{type(error).__name__}: {error}"
            summary.failures.append((number, text, data))
            continue
        summary.requests += requests
        if isinstance(end, int):
            summary.refused[end] += 1
        else:
            summary.accepted += 1
    summary.seconds = time.perf_counter() - start
    return summary


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, help="run this case and show it")
    options = parser.parse_args()
    if options.only is not None:
        data, pieces = case(options.seed, options.only)
        print(data, pieces, sep="\n")
        print(examine(data, pieces))
        return 0
    summary = run(options.cases, options.seed)
    for number, text, data in summary.failures[:20]:
        print(f"case {number}: {text}\n    {data!r:.300}")
    print(summary)
    return 1 if summary.failures else 0


if __name__ == "__main__":
    sys.exit(main())
