"""The 503 was followed by a reset."""

import threading

POLITE = (
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\n"
    b"connection: close\r\ncontent-length: 0\r\n\r\n"
)


class Pool:
    """Answers clients in threads, `size` of them at a time."""

    def __init__(self, size, talk):
        self.size, self.talk = size, talk
        self.free = threading.Semaphore(size)

    def take(self, client):
        """Answer a client in a thread, or refuse it; do not wait."""
        if not self.free.acquire(blocking=False):
            return self.refuse(client)
        threading.Thread(target=self.run, args=[client], daemon=True).start()

    def run(self, client):
        """Answer one client, and close its socket whatever happens."""
        try:
            with client:
                self.talk(client)
        finally:
            self.free.release()

    def refuse(self, client):
        """Say 503 and close."""
        with client:
            client.sendall(POLITE)
