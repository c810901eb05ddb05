"""The check: the same news three ways, each item once, nobody forgotten."""

import asyncio
import json

import pytest

GONE = {"type": "http.disconnect"}
WAYS = pytest.mark.parametrize("way", ["poll", "events"])


class Client:
    """One client of one way: what is said to it, whether that is over."""

    def __init__(self, answer, way, news, number=0):
        self.sent, self.says = [], asyncio.Queue()
        query = f"after={number}" if way == "poll" else ""
        known = [(b"last-event-id", b"%d" % number)] if number else []
        scope = {"type": "http", "method": "GET", "path": f"/{way}"}
        scope |= {"query_string": query.encode(), "headers": known}
        self.says.put_nowait({"type": "http.request"})
        serve = getattr(answer, way)
        call = serve(news, scope, self.says.get, self.send)
        self.task = asyncio.create_task(call)

    async def send(self, message):
        self.sent.append(message)

    @property
    def body(self):
        """All that came of a body."""
        return b"".join(m.get("body", b"") for m in self.sent).decode()

    @property
    def events(self):
        """The events that a browser would see, as [id, text]."""
        found, last = [], 0
        for block in self.body.split("\n\n")[:-1]:
            fields = [line.partition(":")[::2] for line in block.split("\n")]
            data = [v.removeprefix(" ") for k, v in fields if k == "data"]
            ids = [v.strip() for k, v in fields if k == "id"]
            last = int(ids[-1]) if ids else last
            if data:
                found.append([last, "\n".join(data)])
        return found


async def settle():
    """Let everybody run until all of them wait."""
    for _ in range(50):
        await asyncio.sleep(0)


def on_a_loop(test, answer, *more):
    """Run a coroutine function with some news; end what it started."""

    async def run():
        news = answer.News()
        for text in "one", "two", "three":
            news.publish(text)
        try:
            await test(answer, news, *more)
        finally:
            rest = asyncio.all_tasks() - {asyncio.current_task()}
            for task in rest:
                task.cancel()
            await asyncio.gather(*rest, return_exceptions=True)

    asyncio.run(run())


def test_a_poll_gets_what_it_missed(answer):
    on_a_loop(poll_gets_what_it_missed, answer)


async def poll_gets_what_it_missed(answer, news):
    client = Client(answer, "poll", news, 1)
    await settle()
    assert client.sent, (
        "Items 2 and 3 are there, and a poll with ?after=1 gets no answer."
    )
    assert json.loads(client.body) == [[2, "two"], [3, "three"]], (
        "The client has read item 1 and asks for ?after=1. It wants "
        f'[[2, "two"], [3, "three"]], and got {client.body}'
    )


def test_a_poll_waits(answer):
    on_a_loop(poll_waits, answer)


async def poll_waits(answer, news):
    client = Client(answer, "poll", news, 3)
    await settle()
    assert not client.sent, (
        "The client has read all three, and was answered at once. It will "
        "ask again at once, and again: do not answer before there is "
        f"something new. This sent {client.sent}"
    )
    news.publish("four")
    await settle()
    assert client.body == '[[4, "four"]]', (
        "Item 4 came while the client waited; now it must be answered with "
        f"it. It got {client.body!r}"
    )
    assert client.task.done(), "The poll is answered: the function returns."


def test_events(answer):
    on_a_loop(events_come, answer)


async def events_come(answer, news):
    client = Client(answer, "events", news)
    await settle()
    kinds = [v for k, v in client.sent[0]["headers"] if k == b"content-type"]
    assert kinds[0].startswith(b"text/event-stream"), kinds
    assert [text for _, text in client.events] == ["one", "two", "three"], (
        "A browser reads lines of the form `data: one`, and dispatches an "
        "event at each empty line. In this stream it finds "
        f"{client.events}; the stream was {client.body!r}"
    )
    assert [number for number, _ in client.events] == [1, 2, 3], (
        "Without `id: 1` among an event's lines the browser does not know "
        f"how far it has read. The stream was {client.body!r}"
    )
    news.publish("four")
    await settle()
    assert client.events[3:] == [[4, "four"]], (
        "An item came while the stream was open. It must be sent, and the "
        f"three before it not again; the stream was {client.body!r}"
    )
    assert client.sent[-1].get("more_body"), "The stream does not end."


def test_a_text_of_several_lines(answer):
    on_a_loop(several_lines, answer)


async def several_lines(answer, news):
    news.publish("four\nid: 99\n\nend")
    client = Client(answer, "events", news, 3)
    await settle()
    assert client.events[-1:] == [[4, "four\nid: 99\n\nend"]], (
        "The second line of a text became a field of its own. The browser "
        "will say that it has read item 99. Each line needs its own "
        f"`data: `; the stream was {client.body!r}"
    )


def test_a_browser_that_comes_back(answer):
    on_a_loop(comes_back, answer)


async def comes_back(answer, news):
    client = Client(answer, "events", news, 2)
    await settle()
    assert client.events == [[3, "three"]], (
        "A browser that came back with Last-Event-ID: 2 wants item 3 only. "
        "It was told again what it had read. The stream was "
        f"{client.body!r}"
    )


@WAYS
def test_a_client_that_leaves(answer, way):
    on_a_loop(leaves, answer, way)


async def leaves(answer, news, way):
    client = Client(answer, way, news, 3)
    await settle()
    client.says.put_nowait(GONE)
    await settle()
    assert client.task.done(), (
        "The client has left, and the function still runs. It waits for "
        "news, and does not hear `http.disconnect` meanwhile: who listens?"
    )
    client.task.result()
    rest = asyncio.all_tasks() - {asyncio.current_task()}
    assert not rest, f"The function returned, and left tasks behind: {rest}"
    before = len(client.sent)
    news.publish("four")
    await settle()
    assert len(client.sent) == before, "Something was sent to nobody."


def test_side_by_side(answer):
    on_a_loop(side_by_side, answer)


async def side_by_side(answer, news):
    polls = Client(answer, "poll", news, 3)
    stream = Client(answer, "events", news, 3)
    heard, says = [], asyncio.Queue()

    async def send(message):
        heard.append(json.loads(message["text"]))

    says.put_nowait({"type": "websocket.receive", "text": "3"})
    task = asyncio.create_task(answer.socket(news, says.get, send))
    await settle()
    news.publish("four")
    await settle()
    assert json.loads(polls.body) == stream.events == heard == [[4, "four"]], (
        "The three clients have read items 1 to 3, and one more came. They "
        f"got {polls.body!r}, {stream.events} and {heard}"
    )
    task.cancel()
