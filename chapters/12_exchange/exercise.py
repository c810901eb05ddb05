"""An application that fails, and a client that must not be misled.

    it returned without an answer            500
    it raised before anything was written    500
    it raised in the middle of its answer    cut: nothing more is written
    it returned in the middle                cut
    it raised after its answer               the client has it all; only log

`send` is smaller than ours and works. `run` calls the application and hopes.
Make it keep the five lines above. What the application raised must not come
out of `run`; it goes into `log`, and so does a word about an application that
returned too early.
"""


class Exchange:
    """One response. written: the bytes that the client has got.

    complete: all of the response is written. cut: the connection was ended,
    so that the client sees that a part is missing.
    """

    def __init__(self):
        self.head = b""  # made, and not written before the first body
        self.written = b""
        self.complete = self.cut = False
        self.log = []

    async def send(self, message):
        """Keep the head; write it with the first piece of body."""
        if message["type"] == "http.response.start":
            self.head = b"HTTP/1.1 %d\r\n\r\n" % message["status"]
        else:
            self.written += self.head + message.get("body", b"")
            self.head = b""
            self.complete = not message.get("more_body", False)

    async def run(self, app):
        """Call the application; answer for it if it does not."""
        await app(self.send)

    def refuse(self):
        """Answer 500. Only if nothing was written: there is no second head."""
        self.head = b""
        self.written += b"HTTP/1.1 500\r\n\r\nsorry"
        self.complete = True
