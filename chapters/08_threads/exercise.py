"""A bounded pool that refuses politely.

    pool = Pool(2, talk)
    pool.take(client)        from the thread that accepts, for each newcomer

`talk(client)` answers one client, however long that takes; it runs in a
thread. There are at most `size` such threads at a time. When all are taken,
`take` tells the newcomer so and returns; it does not wait for a thread,
because while it waits nobody is accepted.

`POLITE` is what a newcomer is told. Polite means that it can read it: who
closes a socket with unread bytes in it resets the connection (chapter 06).

About fifteen lines. `threading.Semaphore` counts for you.
"""

import threading

POLITE = (
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\n"
    b"connection: close\r\ncontent-length: 0\r\n\r\n"
)


class Pool:
    """Answers clients in threads, `size` of them at a time."""

    def __init__(self, size, talk):
        self.size, self.talk = size, talk

    def take(self, client):
        """Answer a client in a thread, or refuse it; do not wait."""
        threading.Thread(target=self.run, args=[client], daemon=True).start()

    def run(self, client):
        """Answer one client, and close its socket whatever happens."""
        with client:
            self.talk(client)
