"""Rule 3: what is in the state cannot always be copied.

A lock is enough, and the application is not even called.
"""

from copy import deepcopy


def watch(app, report):
    """Return a middleware that reports changes of the scope."""

    async def watched(scope, receive, send):
        before = deepcopy(scope)
        try:
            await app(scope, receive, send)
        finally:
            for key in set(before) | set(scope):
                if before.get(key) != scope.get(key):
                    report(key)

    return watched
