"""A chunk of size 0 is the end of the body: an empty piece writes no chunk.

In a test with two full pieces it looks right.
"""


def answer(method, status, version, length, pieces):
    """Return (field line, body, close) for a response."""
    told = b"content-length: %d\r\n" % length if length is not None else b""
    if status == 204:
        return b"", b"", False
    if method == "HEAD" or status == 304:
        return told, b"", False
    if told:
        return told, b"".join(pieces), False
    if version == "1.0":
        return b"", b"".join(pieces), True
    chunks = [b"%x\r\n%b\r\n" % (len(p), p) for p in [*pieces, b""]]
    return b"transfer-encoding: chunked\r\n", b"".join(chunks), False
