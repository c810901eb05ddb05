"""Exercise 03, one good answer."""

import re

from asgi_ref.request import TOKEN, ProtocolError

Headers = list[tuple[bytes, bytes]]


def read_fields(head: bytes) -> Headers:
    """Return the field lines of a head. Raises ProtocolError."""
    lines = head.split(b"\r\n")
    if lines[-2:] != [b"", b""]:
        raise ProtocolError(400, "the head does not end in CR LF CR LF")
    fields = [read_field(line) for line in lines[1:-2]]
    if re.search(rb"[\r\n]", b"".join(lines)):
        raise ProtocolError(400, "a bare CR or LF")
    if [name for name, _ in fields].count(b"host") != 1:
        raise ProtocolError(400, "not exactly one Host")
    return fields


def read_field(line: bytes) -> tuple[bytes, bytes]:
    """Return a field line as name and value. Raises ProtocolError."""
    name, colon, value = line.partition(b":")
    if not colon or re.fullmatch(TOKEN, name) is None:
        raise ProtocolError(400, "not a name and a colon")
    return name.lower(), value.strip(b" \t")
