"""One more rule: who changes the scope in place is reported.

ASGI 3.0 says in its section Middleware that a scope should be copied before
it is changed: whoever stands outside sees the change otherwise. It is a
"should", so our referee leaves it alone. Here it is a rule.

`watch(app, report)` returns a middleware. When the application's call is
over, it calls `report(key)` once for each key of the scope that the
application has set to another value, added or taken out. And:

 1. It changes nothing: the application gets the scope itself.
 2. A list of headers that was appended to is another value of "headers".
 3. What is *in* "state" is the application's own, and no change of the
    scope. It may hold anything: a connection, a lock.
 4. However the call ends, it is reported. An error goes on to the server.
"""


def watch(app, report):
    """Return a middleware that reports changes of the scope."""

    async def watched(scope, receive, send):
        await app(scope, receive, send)

    return watched
