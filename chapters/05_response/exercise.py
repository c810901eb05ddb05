"""How does this response end? Decide it, and write the body accordingly.

You build the two decisions of `Response.frame` and `Response.encode` again,
from the specification, without asking `Response`. The answer here measures
every body. A stream would have to be held back until its last piece, and
some responses must not have a body at all.
"""


def answer(method, status, version, length, pieces):
    """Return (field line, body, close) for a response.

    method: "GET", "HEAD". status: 200, 204, 304 or 404. version: the
    client's, "1.1" or "1.0". length: of the body that a GET would get; None
    if nobody knows it before the last piece. pieces: that body, in the order
    in which the application sends it; some may be empty. Do not measure
    them: think of them as arriving one after the other.

    field line: b"content-length: 5\\r\\n", b"transfer-encoding: chunked\\r\\n"
    or b"". body: the bytes to send behind the head. close: whether only the
    end of the connection shows where the body ends.
    """
    body = b"".join(pieces)
    return b"content-length: %d\r\n" % len(body), body, False
