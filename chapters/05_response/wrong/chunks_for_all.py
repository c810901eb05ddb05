"""HTTP/1.0 knows no chunks: there the end of the connection ends the body.

Every client that one tries it with speaks HTTP/1.1.
"""


def answer(method, status, version, length, pieces):
    """Return (field line, body, close) for a response."""
    if status == 204:
        return b"", b"", False
    told = b"content-length: %d\r\n" % length if length is not None else b""
    if method == "HEAD" or status == 304:
        return told, b"", False
    if told:
        return told, b"".join(pieces), False
    chunks = [b"%x\r\n%b\r\n" % (len(p), p) for p in pieces if p]
    body = b"".join(chunks) + b"0\r\n\r\n"
    return b"transfer-encoding: chunked\r\n", body, False
