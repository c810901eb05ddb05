"""The check: as many at a time as there are threads; the others get 503."""

import socket
import threading
import time

import pytest

from asgi_ref.listen import listen

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
SOON = 5  # seconds before something that should come is missed
MOMENT = 0.5  # seconds in which a refusal must have come
SIZE = 2


class Visit:
    """One connection: `ours` is for the pool, `theirs` is the client's."""

    def __init__(self, request=GET):
        with listen(port=0) as sock:
            self.theirs = socket.create_connection(sock.getsockname(), SOON)
            self.ours = sock.accept()[0]
        self.theirs.sendall(request)

    def heard(self, seconds=SOON):
        """Return all that the client reads, or None if there is no end."""
        self.theirs.settimeout(seconds)
        data = b""
        try:
            while piece := self.theirs.recv(65536):
                data += piece
        except TimeoutError:
            return None
        return data


class Talk:
    """What a thread does: it says that it has begun, and waits for us."""

    def __init__(self):
        self.began, self.end = threading.Semaphore(0), threading.Event()

    def __call__(self, client):
        client.recv(65536)
        self.began.release()
        self.end.wait(SOON)
        client.sendall(b"answer")


@pytest.fixture
def talk():
    talk = Talk()
    yield talk
    talk.end.set()


@pytest.fixture
def full(answer, talk):
    """A pool of two whose threads are both taken, and their clients."""
    pool = answer.Pool(SIZE, talk)
    visits = [Visit() for _ in range(SIZE)]
    for visit in visits:
        pool.take(visit.ours)
    for _ in visits:
        assert talk.began.acquire(timeout=SOON), (
            "Two clients came to a pool of two, and they are not answered at "
            "the same time: each needs a thread of its own."
        )
    return pool, visits


def come(pool, request=GET, waits_for="until a thread is free"):
    """Let one more client come; take() must return at once."""
    visit = Visit(request)
    thread = threading.Thread(target=pool.take, args=[visit.ours], daemon=True)
    thread.start()
    thread.join(SOON / 2)
    assert not thread.is_alive(), (
        f"take() waits {waits_for}. It runs in the thread that accepts: "
        "nobody else is answered meanwhile, not even with a no."
    )
    return visit


def test_there_are_never_more_threads(full, talk):
    pool, _ = full
    third = come(pool)
    assert not talk.began.acquire(timeout=MOMENT), (
        "A third client came to a pool of two, and a third thread began to "
        "talk to it: nothing bounds this pool."
    )
    third.theirs.close()


def test_who_finds_no_thread_is_told_at_once(answer, full):
    pool, _ = full
    try:
        heard = come(pool).heard(MOMENT)
    except ConnectionResetError:
        pytest.fail(
            "The 503 was followed by a reset: the request was unread when "
            "the socket was closed. A client may lose the answer that way."
        )
    assert heard is not None, (
        "The third client is left to wait. It is neither answered nor "
        "refused, and it cannot know for how long."
    )
    assert heard == answer.POLITE, (
        "The third client should have read POLITE, all of it and nothing "
        "else, and then the end of the connection."
    )


def test_who_says_nothing_does_not_hold_up_the_others(full):
    pool, _ = full
    waits_for = "for a newcomer that sends nothing: it needs a time limit"
    come(pool, b"", waits_for).theirs.close()


def test_those_who_were_there_are_answered(full, talk):
    pool, visits = full
    come(pool)
    talk.end.set()
    assert [visit.heard() for visit in visits] == SIZE * [b"answer"], (
        "The two clients that had a thread should have got their answer, "
        "and then the end of the connection."
    )


def test_a_thread_that_is_free_again_is_used_again(full, talk):
    pool, visits = full
    talk.end.set()
    for visit in visits:
        visit.heard()
    assert again(pool) == b"answer", (
        "Both threads have finished, and a newcomer is still refused: their "
        "places were not given back."
    )


def test_a_thread_that_fails_is_used_again(answer, monkeypatch):
    # The failure is ours; nobody needs to read its traceback.
    monkeypatch.setattr(threading, "excepthook", lambda failure: None)
    failing = threading.Event()

    def talk(client):
        client.recv(65536)
        if not failing.is_set():
            failing.set()
            raise ConnectionError("the client has gone")
        client.sendall(b"answer")

    pool = answer.Pool(1, talk)
    visit = Visit()
    pool.take(visit.ours)
    assert visit.heard() == b"", (
        "talk() raised, and the client's socket is still open: close it "
        "whatever happens, or it waits for an answer for ever."
    )
    assert again(pool) == b"answer", (
        "A thread whose client made it fail never came back. After `size` "
        "such clients this pool refuses everybody."
    )


def again(pool):
    """Come again until there is an answer; return the last one."""
    ends = time.monotonic() + MOMENT
    while True:
        try:
            heard = come(pool).heard()
        except ConnectionResetError:
            heard = b"reset"
        if heard == b"answer" or time.monotonic() > ends:
            return heard
