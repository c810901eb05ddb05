"""Each ping puts the end off, and the end never comes."""


class Heartbeat:
    """Asks one client, and decides; `now` is in seconds."""

    def __init__(self, interval, limit, now):
        self.interval, self.limit = interval, limit
        self.next = now + interval  # when to ask
        self.asked = None  # when the open question was asked

    def heard(self, event):
        """Something came from the client: the question is answered."""
        self.asked = None

    def tick(self, now, reads=True):
        """Return what to do now; reads: whether the server reads."""
        if not reads:
            self.asked = None
        if self.asked is not None and now >= self.asked + self.limit:
            return "give up"
        if now >= self.next:
            self.next = now + self.interval
            if reads:
                self.asked = now
            return "ping"
        return ""
