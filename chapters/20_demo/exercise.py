"""News three ways: WebSocket, long poll and server-sent events.

All three tell the same news, which are numbered from 1. A client that was
away says how far it had come, and gets what it missed, each item once:

    WebSocket   its first message is the number
    long poll   it asks for ?after=2, and gets a JSON list of [number, text]
                as soon as that is not empty
    events      the browser says it by itself when it connects anew: the
                field Last-Event-ID has the last `id` that it got

`socket` is done: read it first. Write `poll` and `events`; `disconnected` of
the demo will help, too. A text may have several lines. When the client leaves
(http.disconnect), the function returns, and leaves no task behind.
"""

import asyncio
import json

from asgi_ref.demo import answer, body, first_of, start


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
    await answer(send, json.dumps(news.items), "application/json")


async def events(news, scope, receive, send):
    """Answer GET /events with a stream that does not end."""
    await start(send, "text/event-stream")
    while True:
        for _, text in await news.after(0):
            await body(send, text.encode(), more=True)
        await asyncio.Event().wait()
