"""One good answer: silence first, then a length, then chunks, then the end."""

LINE = b"transfer-encoding: chunked\r\n"


def answer(method, status, version, length, pieces):
    """Return (field line, body, close) for a response."""
    known = length is not None and status != 204
    told = b"content-length: %d\r\n" % length if known else b""
    if method == "HEAD" or status in (204, 304):
        return told, b"", False
    if known:
        return told, b"".join(pieces), False
    if version == "1.0":
        return b"", b"".join(pieces), True
    chunks = [b"%x\r\n%b\r\n" % (len(p), p) for p in pieces if p]
    return LINE, b"".join(chunks) + b"0\r\n\r\n", False
