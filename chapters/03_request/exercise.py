"""Exercise 03: read the field lines of a head, and refuse what is doubtful.

    pytest chapters/03_request

`read_fields` gets a whole HTTP/1.1 head, from the request line to the empty
line, and returns its field lines as (lower-case name, value) pairs in the
order received. White space around a value does not belong to it.

What follows is kind to every head. Make it raise ProtocolError(400, why) for

- a bare CR or LF, wherever it stands
- a blank before the colon, and a line that begins with one (folding)
- a line without a colon, or with a name that is no token
- two Host lines, or none

Of asgi_ref.request use TOKEN and ProtocolError, and nothing else.
"""

from asgi_ref.request import TOKEN, ProtocolError  # noqa: F401

Headers = list[tuple[bytes, bytes]]


def read_fields(head: bytes) -> Headers:
    """Return the field lines of a head. Raises ProtocolError."""
    fields = {}
    for line in head.splitlines()[1:-1]:
        name, _, value = line.partition(b":")
        fields[name.strip().lower()] = value.strip()
    return list(fields.items())
