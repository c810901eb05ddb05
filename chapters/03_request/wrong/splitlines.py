"""A bare LF ends no line here

splitlines() ends a line at CR, at LF and at both.
"""

import re

from asgi_ref.request import TOKEN, ProtocolError


def read_fields(head):
    """Return the field lines of a head. Raises ProtocolError."""
    fields = []
    for line in head.splitlines()[1:-1]:
        name, colon, value = line.partition(b":")
        if not colon or re.fullmatch(TOKEN, name) is None:
            raise ProtocolError(400, "not a field line")
        fields.append((name.lower(), value.strip(b" \t")))
    if [name for name, _ in fields].count(b"host") != 1:
        raise ProtocolError(400, "not one Host")
    return fields
