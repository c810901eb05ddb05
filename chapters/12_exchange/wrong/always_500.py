"""What is written now it takes for the other half."""


class Exchange:
    """One response. written: the bytes that the client has got."""

    def __init__(self):
        self.head = b""
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
        try:
            await app(self.send)
        except Exception as error:
            self.log.append(repr(error))
        if not self.complete:
            self.log.append("no answer, or not all of it")
            self.refuse()

    def refuse(self):
        """Answer 500. Only if nothing was written: there is no second head."""
        self.head = b""
        self.written += b"HTTP/1.1 500\r\n\r\nsorry"
        self.complete = True
