"""The third client is left to wait."""

from concurrent.futures import ThreadPoolExecutor

POLITE = (
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\n"
    b"connection: close\r\ncontent-length: 0\r\n\r\n"
)


class Pool:
    """Answers clients in threads, `size` of them at a time."""

    def __init__(self, size, talk):
        self.size, self.talk = size, talk
        self.threads = ThreadPoolExecutor(size)

    def take(self, client):
        """Answer a client in a thread, or refuse it; do not wait."""
        self.threads.submit(self.run, client)

    def run(self, client):
        """Answer one client, and close its socket whatever happens."""
        with client:
            self.talk(client)
