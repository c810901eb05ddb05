"""One good answer."""

from copy import copy

NOTHING = object()  # equal to no value


def watch(app, report):
    """Return a middleware that reports changes of the scope."""

    async def watched(scope, receive, send):
        before = dict(scope)
        if "headers" in scope:
            before["headers"] = copy(scope["headers"])
        try:
            await app(scope, receive, send)
        finally:
            for key in before.keys() | scope.keys():
                if before.get(key, NOTHING) != scope.get(key, NOTHING):
                    report(key)

    return watched
