"""Make of a trace what a browser's network panel shows: one row a request.

A trace (--trace=FILE.jsonl) has one event a line. Of all its events you need
two kinds:

    {"station": "scope", "what": {"type": "http", "method": ..., ...}}
    {"station": "send", "what": {"type": "http.response.start", ...}}
    {"station": "send", "what": {"type": "http.response.body", ...}}

Each event says in "connection" whose it is, and in "ms" when it was. Clients
speak at the same time, so events of several connections stand between each
other. On one connection there is one request at a time, and many in a row.
"""

import json


def rows(lines):
    """Return a row for each HTTP request, in the order they came.

    A row: {"method": str, "path": str, "status": int, "body": bytes,
    "ms": float}, the last from the scope to the end of the answer. As long
    as nothing was answered, status and ms are 0.
    """
    found = []
    for line in lines:
        event = json.loads(line)
        station, what = event["station"], event["what"]
        if station == "scope" and what["type"] == "http":
            row = {"method": what["method"], "path": what["path"]}
            found.append({**row, "status": 0, "body": b"", "ms": 0})
        elif station == "send" and what["type"] == "http.response.start":
            found[-1]["status"] = what["status"]
    return found
