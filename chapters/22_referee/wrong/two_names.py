"""A second name for a dict is not a second dict.

It compares the scope with itself.
"""


def watch(app, report):
    """Return a middleware that reports changes of the scope."""

    async def watched(scope, receive, send):
        before = scope
        try:
            await app(scope, receive, send)
        finally:
            for key in set(before) | set(scope):
                if before.get(key) != scope.get(key):
                    report(key)

    return watched
