"""The applications beside this file, each with a referee in front of it.

`judged_app:starlette` is the application of starlette_app.py. What is in
`judged_app:wrong` breaks two rules, so that a sleeping referee is noticed.
"""

from importlib import import_module

from asgi_ref.referee import Referee


async def wrong_app(scope, receive, send):
    """Say the header in capitals, and less than was promised."""
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])
    headers = [(b"Content-Type", b"text/plain")]
    await send(
        {"type": "http.response.start", "status": 204, "headers": headers}
    )
    await send({"type": "http.response.body", "body": b"hello"})


def __getattr__(name):
    if name == "wrong":
        return Referee(wrong_app)
    return Referee(import_module(f"{name}_app").app)
