"""Turns walk.json into the player's HTML.

    player_html(walk)    walk.json, loaded, as a string of HTML

Inside `<asgi-walk>` stands a table of all steps, which is what a reader
without JavaScript has, and what can be printed; and the data that player.js
plays: the steps, and the source of the functions that they visit. The source
is read now, so that it is the true one; a record that does not fit it is
refused.
"""

from __future__ import annotations

import ast
import io
import json
import keyword
import tokenize
from html import escape
from itertools import groupby
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).resolve().parents[2] / "asgi_ref"

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
# Pygments' short names, so that the theme's colours are right for them.
CLASSES = {
    tokenize.COMMENT: "c1",
    tokenize.NUMBER: "mi",
    tokenize.STRING: "s",
    # From 3.12 on an f-string is several tokens.
    getattr(tokenize, "FSTRING_START", -1): "s",
    getattr(tokenize, "FSTRING_MIDDLE", -1): "s",
    getattr(tokenize, "FSTRING_END", -1): "s",
}
COLUMNS = "Step", "Where", "Line", "What happens"
ENDS = ("returns", "raises", "yields", "waits")

# A line with its number, or None where lines are left out.
Shown = tuple[int, str] | None


def player_html(walk: dict[str, Any], package: Path = PACKAGE) -> str:
    """Return the player for a record; no line of it is blank.

    Raises ValueError: the record does not fit the source any more.
    """
    sources = {}
    for module, lines in visited(walk["steps"]).items():
        file = package / f"{module}.py"
        text = file.read_text(encoding="utf-8") if file.exists() else ""
        refuse_stale(walk, module, lines, text.splitlines())
        sources[module] = shown_lines(text, set(lines))
    data = json.dumps({**walk, "sources": sources}, ensure_ascii=False)
    for mark in "<>&":  # none of these may end or alter a script element
        data = data.replace(mark, f"\\u{ord(mark):04x}")
    count = len(walk["steps"])
    return "\n".join(
        [
            "<asgi-walk>",
            "<details>",
            f"<summary>All {count} steps of the walk as a table</summary>",
            '<table class="walk-steps">',
            "<thead><tr>",
            *(f'<th scope="col">{name}</th>' for name in COLUMNS),
            "</tr></thead><tbody>",
            *(row(n, step) for n, step in enumerate(walk["steps"], 1)),
            "</tbody></table>",
            "</details>",
            f'<script type="application/json">{data}</script>',
            "</asgi-walk>",
        ]
    )


def visited(steps: list[dict[str, Any]]) -> dict[str, dict[int, str]]:
    """Return for each module of a walk its lines by number."""
    found: dict[str, dict[int, str]] = {}
    for step in steps:
        module, _, line = step["at"].partition(":")
        if line:
            found.setdefault(module, {})[int(line)] = step["text"]
    return found


def refuse_stale(
    walk: dict[str, Any], module: str, lines: dict[int, str], now: list[str]
) -> None:
    """Raise ValueError if a line of the record is another one by now."""
    for number, text in lines.items():
        found = now[number - 1].strip() if number <= len(now) else ""
        if found != text:
            chapter = walk["chapter"]
            raise ValueError(
                f"{chapter}/walk.json: line {number} of {module}.py is now"
                f" {found!r}, not {text!r}; record it anew:"
                f" python -m chapters record {chapter.partition('_')[0]}"
            )


# The source that is shown.


def shown_lines(text: str, wanted: set[int]) -> list[Shown]:
    """Return the functions that contain these lines, as lines of HTML."""
    numbers: set[int] = set()
    tree = ast.parse(text)
    for node in tree.body:
        inside = node.body if isinstance(node, ast.ClassDef) else [node]
        for function in inside:
            if not isinstance(function, FUNCTIONS):
                continue
            marks = [mark.lineno for mark in function.decorator_list]
            first = min([function.lineno, *marks])
            span = range(first, function.end_lineno + 1)
            if wanted.intersection(span):
                numbers.update(span)
                if function is not node:
                    numbers.add(node.lineno)  # "class Connection:"
    lines = highlighted(text)
    shown: list[Shown] = []
    for number in sorted(numbers):
        if shown and shown[-1][0] < number - 1:
            shown.append(None)
        shown.append((number, lines[number - 1]))
    return shown


def highlighted(text: str) -> list[str]:
    """Return a module's lines as HTML, with Pygments' classes."""
    classes = [[""] * len(line) for line in text.splitlines()]
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        name = CLASSES.get(token.type, "")
        if token.type == tokenize.NAME and keyword.iskeyword(token.string):
            constant = token.string in ("None", "True", "False")
            name = "kc" if constant else "k"
        if not name:
            continue
        (first, left), (last, right) = token.start, token.end
        for line in range(first, min(last, len(classes)) + 1):
            row = classes[line - 1]
            start = left if line == first else 0
            end = right if line == last else len(row)
            row[start:end] = [name] * (min(end, len(row)) - start)
    return [
        "".join(
            marked("".join(char for char, _ in run), name)
            for name, run in groupby(
                zip(line, names, strict=True), key=lambda pair: pair[1]
            )
        )
        for line, names in zip(text.splitlines(), classes, strict=True)
    ]


def marked(text: str, name: str) -> str:
    """Return HTML for a piece of a line."""
    shown = escape(text, quote=False)
    return f'<span class="{name}">{shown}</span>' if name else shown


# The table.


def row(number: int, step: dict[str, Any]) -> str:
    """Return a step as a row of the table."""
    if step["at"] == "wire":
        sends = f"<code>{escape(step['sends'])}</code>"
        return (
            f'<tr class="walk-wired"><td>{number}</td>'
            f"<td>{escape(str(step['from']))}</td>"
            f'<td colspan="2">sends {sends}</td></tr>'
        )
    module, _, line = step["at"].partition(":")
    where = f"{module}.py:{line} <i>{escape(step['in'])}</i>"
    happens = [
        f"{escape(name)} = <code>{escape(value)}</code>"
        for name, value in step.get("set", {}).items()
    ]
    happens += [f"{escape(name)} is gone" for name in step.get("gone", [])]
    for end in ENDS:
        if end in step:
            value = step[end]
            shown = "" if value is True else f" <code>{escape(value)}</code>"
            happens.append(end + shown)
    return (
        f"<tr><td>{number}</td><td>{where}</td>"
        f"<td><code>{escape(step['text'])}</code></td>"
        f"<td>{'<br>'.join(happens)}</td></tr>"
    )
