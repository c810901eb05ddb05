"""Rule 1: the application must get the scope itself, not a copy.

A copy for the application mends what it should report: on the day on which
the referee is left out, the application breaks.
"""

from copy import copy


def watch(app, report):
    """Return a middleware that reports changes of the scope."""

    async def watched(scope, receive, send):
        inner = dict(scope)
        if "headers" in scope:
            inner["headers"] = copy(scope["headers"])
        try:
            await app(inner, receive, send)
        finally:
            for key in set(inner) | set(scope):
                if inner.get(key) != scope.get(key):
                    report(key)

    return watched
