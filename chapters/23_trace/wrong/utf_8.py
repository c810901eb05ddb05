"""Bytes became other bytes."""

import json


def rows(lines):
    """Return a row for each HTTP request, in the order they came."""
    found = []
    current = {}  # connection to its request's row, and when that began
    for line in lines:
        event = json.loads(line)
        station, what = event["station"], event["what"]
        kind = what.get("type") if isinstance(what, dict) else None
        if station == "scope" and kind == "http":
            row = {"method": what["method"], "path": what["path"]}
            found.append({**row, "status": 0, "body": b"", "ms": 0})
            current[event["connection"]] = found[-1], event["ms"]
        elif station == "send" and kind == "http.response.start":
            row, _ = current[event["connection"]]
            row["status"] = what["status"]
        elif station == "send" and kind == "http.response.body":
            row, began = current[event["connection"]]
            row["body"] += what.get("body", "").encode()
            if not what.get("more_body", False):
                row["ms"] = event["ms"] - began
    return found
