"""Is the client still there? Ask, and know when to stop asking.

`tick` is called every now and then, with the time. It returns what the server
shall do: "ping", "give up", or "" for nothing. The rules:

    ask every `interval` seconds                                 "ping"
    `limit` seconds after a question that is still open          "give up"
    whatever the client sends answers it, not only a pong
    while a question is open, a new ping does not put it off
    if the server did not read, silence proves nothing

The last one: while an application does not keep up with its messages, the
server does not read. The client's pong may lie there, unread. A question is
open only if the server has been reading since it was asked.

Nothing in here knows a clock: the time is what it is told.
"""


class Heartbeat:
    """Asks one client, and decides; `now` is in seconds.

    interval: from one ping to the next. limit: how long to wait for a word.
    """

    def __init__(self, interval, limit, now):
        self.interval, self.limit = interval, limit
        self.next = now + interval  # when to ask

    def heard(self, event):
        """Something came from the client: "pong", "message", "ping"."""

    def tick(self, now, reads=True):
        """Return what to do now; reads: whether the server reads."""
        if now >= self.next:
            self.next = now + self.interval
            return "ping"
        return ""
