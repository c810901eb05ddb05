"""Nobody told this client to go on. It may send its body or not."""

TURNS = {("head", "response"): "done", ("head", "100 Continue"): "head"}


class Answer:
    """What is written for one request; `state` is what is due next."""

    def __init__(self, request, buffer):
        self.request = request
        self.buffer = buffer
        self.state = "head"
        self.waits = request.expects_continue
        self.keep_alive = request.keep_alive

    def send_continue(self):
        """Return the bytes of "100 Continue", or b"" if there is no need."""
        waits, self.waits = self.waits, False
        if not waits or self.buffer or self.state != "head":
            return b""
        self.state = TURNS[self.state, "100 Continue"]
        return b"HTTP/1.1 100 Continue\r\n\r\n"

    def send_response(self):
        """Return the whole answer; say whether the connection goes on."""
        self.state = TURNS[self.state, "response"]
        head = b"HTTP/1.1 413 Content Too Large\r\ncontent-length: 0\r\n"
        if not self.keep_alive:
            head += b"connection: close\r\n"
        return head + b"\r\n"
