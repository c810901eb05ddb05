"""Two Hosts: the last one does not win

All other checks are there, but the fields go through a dict.
"""

import re

from asgi_ref.request import TOKEN, ProtocolError


def read_fields(head):
    """Return the field lines of a head. Raises ProtocolError."""
    fields = {}
    lines = head.split(b"\r\n")
    if lines[-2:] != [b"", b""] or re.search(rb"[\r\n]", b"".join(lines)):
        raise ProtocolError(400, "a bare CR or LF")
    for line in lines[1:-2]:
        name, colon, value = line.partition(b":")
        if not colon or re.fullmatch(TOKEN, name) is None:
            raise ProtocolError(400, "not a field line")
        fields[name.lower()] = value.strip(b" \t")
    if b"host" not in fields:
        raise ProtocolError(400, "no Host")
    return list(fields.items())
