"""The tables of a protocol that is ours: an application that does jobs.

A server calls `await app(scope, receive, send)` with a scope of type "job":
somebody wants a film converted. What may the application send? The rules:

 1. It first says "job.accept" or "job.refuse". An acceptance has to say how
    many `seconds` the job will take, an int.
 2. A refusal may give a `reason`, a str, "" if left out. It ends the job.
 3. While it works it may say "job.progress" any number of times. Each has to
    say `percent`, an int or a float.
 4. "job.result" brings `data`, bytes, b"" if left out. It may come in pieces:
    all but the last have `more_data` True. The last one ends the job.
 5. From the first piece of the result on there is no more progress.
 6. After it has accepted, and until the job is over, the application may say
    "job.failed". That has to say why: `message`, a str. It ends the job.

Write JOB: one Keys for each message, one row for each thing that may happen.
The states' names are yours, but the first is "new". Then write `due`.
"""

from asgi_ref.contract import BYTES, Contract, Key, Keys, Order

JOB = Contract(
    receive={"job.asked": Keys()},
    send={
        "job.accept": Keys(),
        "job.result": Keys(Key("data", BYTES, b"")),
    },
    order=Order(
        {
            ("new", "job.accept"): "working",
            ("working", "job.result"): "over",
        }
    ),
)


def due(contract, state):
    """Return what an application that returns in this state has left unsaid.

    A list of the events that the table allows here; [] if nothing is due.
    """
    return []
