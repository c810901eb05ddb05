"""Debugger stops: what a page's `::: stops` asks one to type into pdb.

    - request `method, target, version = parts`
      where: parse_line, called by parse_request
      look: `parts`
      expect: `[b'GET', b'/', b'HTTP/1.1']`
      One or two sentences.

The weaver renders the stops and a test walks them in a real debugger; both
get them from here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from .source import CourseError, Page, directives, find_line

FIELDS = ("where", "look", "expect")

# A code span: one or more backticks, the code, as many backticks.
CODE = r"(?P<ticks>`+)(?P<code>.+)(?P=ticks)"
HEAD = re.compile(rf"- (?P<file>\S+) {CODE}")
FIELD = re.compile(rf"({'|'.join(FIELDS)}):\s*(.+)")
# "Request.tokens, called by ...": pdb shows the last name only.
FUNCTION = re.compile(r"`?(?:\w+\.)*(\w+|<\w+>)")


@dataclass(frozen=True)
class Stop:
    """A place to stop at, what to look at there and what is seen.

    path: the file as one types it in the repository's root.
    function: the innermost one there, as pdb calls it.
    """

    file: Path
    path: str
    line: int
    where: str
    function: str
    look: str
    expect: str
    text: str

    @property
    def commands(self) -> list[str]:
        """What one types to come from the stop before to this one.

        tbreak stops once: with break, a line that runs again would come
        before the next stop.
        """
        place = f"{self.path}:{self.line}"
        return [f"tbreak {place}", "continue", f"p {self.look}"]


def stops_of(page_text: str, chapter: Path) -> list[Stop]:
    """Return the stops of a page, in their order.

    page_text: the Markdown. chapter: its folder, .../chapters/03_request.

    Raises CourseError: it names the page, the stop and the reason.
    """
    page = f"{chapter.name}/README.md"
    found = [d for d in directives(page_text) if d.words[0] == "stops"]
    if len(found) > 1:
        raise CourseError(f"{page}: line {found[1].line}: `::: stops` again")
    stops = []
    for number, item in enumerate(found[0].items if found else [], 1):
        lines = [line.strip() for line in f"- {item}".splitlines()]
        try:
            stops.append(parse_stop(lines, chapter))
        except CourseError as error:
            raise CourseError(f"{page}: stop {number}: {error}") from None
    return stops


def parse_stop(item: list[str], chapter: Path) -> Stop:
    """Return the Stop that the lines of a list item describe.

    Raises CourseError.
    """
    head = HEAD.fullmatch(item[0])
    if head is None:
        raise CourseError(f"not of the form: - module `code`: {item[0]!r}")
    said, text = {}, []
    for line in item[1:]:
        field = FIELD.fullmatch(line)
        if field is None or field[1] in said:
            text.append(line)
        else:
            said[field[1]] = field[2]
    missing = [f"{name}:" for name in FIELDS if name not in said]
    if missing or not any(text):
        raise CourseError(f"no {', '.join(missing) or 'text'} in {item[0]!r}")
    function = FUNCTION.match(said["where"])
    if function is None:
        raise CourseError(f"where: begins with no function: {said['where']!r}")
    page = Page(chapter.parents[1], chapter.name)
    file = page.file(head["file"])[0]
    lines = file.read_text(encoding="utf-8").splitlines()
    return Stop(
        file=file,
        path=page.shown(file),
        line=find_line(lines, head["code"]) + 1,
        where=said["where"],
        function=function[1],
        look=code("look", said["look"]),
        expect=code("expect", said["expect"]),
        text="\n".join(text).strip(),
    )


def code(name: str, value: str) -> str:
    """Return what stands in backticks.

    Raises CourseError.
    """
    match = re.fullmatch(CODE, value)
    if match is None:
        raise CourseError(f"{name}: wants `code`, not {value!r}")
    # Code with backticks in it has two around it, and may have blanks.
    return match["code"].strip() if len(match["ticks"]) > 1 else match["code"]
