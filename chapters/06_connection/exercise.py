"""A client that asks first, and is told to go on. Once, and in time.

    PUT /film HTTP/1.1           the client sends its head, and waits
    Content-Length: 9000000
    Expect: 100-continue
                                 HTTP/1.1 100 Continue    or an answer
    ...nine million bytes...

`Answer` is the writing side for one request, smaller than ours. Give TURNS
one row more, and write `send_continue`. Then `send_response` needs one line
of yours, too: it may be sent to a client that was never told to go on.
"""

# Your row: what may happen while the head is due, and what is due then?
TURNS = {("head", "response"): "done"}


class Answer:
    """What is written for one request; `state` is what is due next."""

    def __init__(self, request, buffer):
        self.request = request
        self.buffer = buffer  # what has arrived of the request's body
        self.state = "head"
        self.waits = request.expects_continue
        self.keep_alive = request.keep_alive

    def send_continue(self):
        """Return the bytes of "100 Continue", or b"" if there is no need.

        They are needed once, by a client that waits: nothing of its body
        has arrived, and the head of the answer is still due.
        """
        return b"HTTP/1.1 100 Continue\r\n\r\n"

    def send_response(self):
        """Return the whole answer; say whether the connection goes on."""
        self.state = TURNS[self.state, "response"]
        head = b"HTTP/1.1 413 Content Too Large\r\ncontent-length: 0\r\n"
        if not self.keep_alive:
            head += b"connection: close\r\n"
        return head + b"\r\n"
