"""One good answer: nine rows, and a look at them."""

from asgi_ref.contract import BYTES, Contract, Key, Keys, Order

JOB = Contract(
    receive={"job.asked": Keys()},
    send={
        "job.accept": Keys(Key("seconds", (int,))),
        "job.refuse": Keys(Key("reason", (str,), "")),
        "job.progress": Keys(Key("percent", (int, float))),
        "job.result": Keys(
            Key("data", BYTES, b""),
            Key("more_data", (bool,), False),
            flag="more_data",
        ),
        "job.failed": Keys(Key("message", (str,))),
    },
    order=Order(
        {
            ("new", "job.accept"): "working",
            ("new", "job.refuse"): "over",
            ("working", "job.progress"): "working",
            ("working", "job.result + more_data"): "telling",
            ("working", "job.result"): "over",
            ("working", "job.failed"): "over",
            ("telling", "job.result + more_data"): "telling",
            ("telling", "job.result"): "over",
            ("telling", "job.failed"): "over",
        }
    ),
)


def due(contract, state):
    """Return the events that the table allows here."""
    return [event for before, event in contract.order if before == state]
