"""It was told again what it had read."""

import asyncio
import json
from urllib.parse import parse_qs

from asgi_ref.demo import answer, body, disconnected, first_of, start


class News:
    """What happened so far; `after` waits for more."""

    def __init__(self):
        self.items = []  # (number, text)
        self.more = asyncio.Event()

    def publish(self, text):
        """Add an item, and wake all who wait for one."""
        self.items.append((len(self.items) + 1, text))
        self.more.set()
        self.more = asyncio.Event()

    async def after(self, number):
        """Return all later items, as (number, text); wait for the first."""
        while len(self.items) <= number:
            await self.more.wait()
        return self.items[number:]


async def socket(news, receive, send):
    """Serve a WebSocket that was accepted. This one is done."""
    number = int((await receive())["text"])
    flow = to_socket(news, number, send)
    await first_of(flow, closed(receive))


async def to_socket(news, number, send):
    """Send each item after this number, for ever."""
    while True:
        for item in await news.after(number):
            text = json.dumps(item)
            await send({"type": "websocket.send", "text": text})
            number = item[0]


async def closed(receive):
    """Return when the WebSocket is closed."""
    while (await receive())["type"] != "websocket.disconnect":
        pass


async def poll(news, scope, receive, send):
    """Answer GET /news?after=2 with what came after item 2."""
    query = parse_qs(scope["query_string"].decode())
    number = int(query.get("after", ["0"])[0])

    async def respond():
        items = await news.after(number)
        await answer(send, json.dumps(items), "application/json")

    await first_of(respond(), disconnected(receive))


async def events(news, scope, receive, send):
    """Answer GET /events with a stream that does not end."""
    await start(send, "text/event-stream")
    flow = to_stream(news, 0, send)
    await first_of(flow, disconnected(receive))


async def to_stream(news, number, send):
    """Send each item after this number, for ever."""
    while True:
        for item in await news.after(number):
            await body(send, event(*item), more=True)
            number = item[0]


def event(number, text):
    """Return one event; each line of the text is a line of data."""
    lines = "".join(f"data: {line}\n" for line in text.split("\n"))
    return f"id: {number}\n{lines}\n".encode()
