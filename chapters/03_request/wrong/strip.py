"""White space before the colon is refused, not stripped

The name is tidied up before it is looked at.
"""

import re

from asgi_ref.request import TOKEN, ProtocolError


def read_fields(head):
    """Return the field lines of a head. Raises ProtocolError."""
    fields = []
    lines = head.split(b"\r\n")
    if lines[-2:] != [b"", b""] or re.search(rb"[\r\n]", b"".join(lines)):
        raise ProtocolError(400, "a bare CR or LF")
    for line in lines[1:-2]:
        name, _, value = line.partition(b":")
        name = name.strip().lower()
        if re.fullmatch(TOKEN, name) is None:
            raise ProtocolError(400, "not a field name")
        fields.append((name, value.strip(b" \t")))
    if [name for name, _ in fields].count(b"host") != 1:
        raise ProtocolError(400, "not one Host")
    return fields
