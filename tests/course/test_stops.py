"""The debugger walks: what a page says is what a real pdb shows."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from chapters._course.source import CourseError
from chapters._course.stops import stops_of

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 60
# (Pdb) > /somewhere/asgi_ref/request.py(131)parse_line()
POSITION = re.compile(r"^(?:\(Pdb\) )*> (.+)\((\d+)\)(\w+|<\w+>)\(\)", re.M)


def walk(folder, stops, seconds=SECONDS):
    """Walk the stops of a chapter in pdb; return what is wrong, or None."""
    root, lab = folder.parents[1], folder / "lab.py"
    typed = []
    for number, stop in enumerate(stops):
        *steps, look = stop.commands
        # The marks tell where the answer to a command begins and ends.
        typed += [*steps, f"p 'at {number}'", look, f"p 'end {number}'"]
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pdb", str(lab.relative_to(root))],
            input="\n".join([*typed, "quit", ""]),
            cwd=root,
            env=environ(root),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            timeout=seconds,
        )
        said, ending = done.stdout, "the end"
    except subprocess.TimeoutExpired as error:
        said = (error.stdout or b"").decode()
        ending = f"a wait of {seconds} seconds"
    for number, stop in enumerate(stops):
        before, found, rest = said.partition(f"'at {number}'")
        if not found:
            before += f"\n{ending}"
        shown, _, said = rest.partition(f"'end {number}'")
        shown = shown.replace("(Pdb) ", "").strip()
        problem = compare(stop, before, shown)
        if problem:
            place = stop.commands[0]
            return f"stop {number + 1}, {place}: {problem}\n{before}\n{shown}"
    return None


def environ(root):
    """Return an environment in which pdb's output is always the same."""
    settings = {
        # As in the virtual environment, where the package is installed.
        "PYTHONPATH": str(root),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONIOENCODING": "utf-8",
        "PYTHON_COLORS": "0",
        "HOME": str(root / "chapters"),  # no ~/.pdbrc
    }
    return {**os.environ, **settings}


def compare(stop, before, shown):
    """Return what is wrong with where pdb stopped and what it showed."""
    places = POSITION.findall(before)
    file, line, name = places[-1] if places else ("", 0, "")
    if (Path(file).resolve(), int(line)) != (stop.file.resolve(), stop.line):
        return f"not hit; pdb was at {file}:{line}"
    if name != stop.function:
        return f"hit in {name}, not in {stop.function}"
    if shown != stop.expect:
        return f"p {stop.look} shows {shown}, not {stop.expect}"
    return None


PAGES = sorted(ROOT.glob("chapters/[0-9][0-9]_*/README.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.parent.name)
def test_the_stops_of_a_chapter(page):
    stops = stops_of(page.read_text(encoding="utf-8"), page.parent)
    assert 4 <= len(stops) <= 6
    problem = walk(page.parent, stops)
    assert problem is None, problem


# The same on a made-up chapter, to know that it would be noticed.

MODULE = """\
def first(data):
    line, end, rest = data.partition(b"\\n")
    return line


class Reader:
    def read(self):
        return first(self.data)
"""
LAB = """\
from asgi_ref.buffer import Reader

reader = Reader()
for reader.data in b"GET /", b"POST /":
    print("== part ==")
    print(reader.read())
    done = True
"""
PAGE = """\
# Buffer

```
::: stops
```

::: stops

- lab.py `for reader.data`
  where: <module>
  look: `reader.__dict__`
  expect: `{}`
  Nothing yet.

- buffer `first(self.data)`
  where: Reader.read, called by the lab
  look: `self.data`
  expect: `b'GET /'`
  The bytes are there.
  All of them.

- buffer `return line`
  where: first
  look: `line`
  expect: `b'GET /'`
  So is the line.

- lab.py `done = True`
  where: <module>
  look: `sorted([1, 2])`
  expect: `[1, 2]`
  That was all.

More text.
"""


@pytest.fixture
def chapter(tmp_path):
    """Return the folder of a made-up chapter."""
    folder = tmp_path / "chapters" / "02_buffer"
    folder.mkdir(parents=True)
    (tmp_path / "asgi_ref").mkdir()
    (tmp_path / "asgi_ref" / "__init__.py").touch()
    (tmp_path / "asgi_ref" / "buffer.py").write_text(MODULE)
    (folder / "lab.py").write_text(LAB)
    return folder


def test_stops_are_read_in_order(chapter):
    stops = stops_of(PAGE, chapter)
    assert [stop.line for stop in stops] == [4, 8, 3, 7]
    assert [stop.function for stop in stops] == [
        "<module>",
        "read",
        "first",
        "<module>",
    ]
    assert stops[1].text == "The bytes are there.\nAll of them."
    assert stops[1].commands == [
        "tbreak asgi_ref/buffer.py:8",
        "continue",
        "p self.data",
    ]


def test_a_page_without_stops(chapter):
    assert stops_of("# Buffer\n", chapter) == []


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("`return line`", "`return lines`", "stop 3: .*`return lines`"),
        ("`return line`", "`return`", "stop 3: .*`return`"),
        ("- buffer `re", "- bufer `re", "stop 3: .*'bufer'"),
        ("  where: first\n", "", "stop 3: no where:"),
        ("where: first", "where: -", "stop 3: where"),
        ("  So is the line.\n", "", "stop 3: no text"),
        ("More text.", "::: stops", "line 34: .*again"),
    ],
)
def test_a_stop_that_is_wrong_is_named(chapter, old, new, reason):
    assert old in PAGE
    text = PAGE.replace(old, new)
    with pytest.raises(CourseError, match=f"^02_buffer/README.md: {reason}"):
        stops_of(text, chapter)


def test_a_walk(chapter):
    assert walk(chapter, stops_of(PAGE, chapter)) is None


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("where: first", "where: last", "hit in first, not in last"),
        ("look: `line`", "look: `rest`", "p rest shows b'', not b'GET /'"),
        ("look: `line`", "look: `lime`", "p lime shows .* NameError"),
        ("`return line`", "`class Reader`", "not hit"),
        ("`return line`", "`def read`", "not hit"),
    ],
)
def test_a_walk_that_goes_wrong_is_noticed(chapter, old, new, problem):
    assert old in PAGE
    found = walk(chapter, stops_of(PAGE.replace(old, new), chapter))
    assert re.match(rf"stop 3, tbreak asgi_ref/buffer.py:\d: {problem}", found)


def test_a_line_that_runs_again_does_not_disturb(chapter):
    text = LAB.replace("    done = True\n", "") + "done = True\n"
    (chapter / "lab.py").write_text(text)
    assert walk(chapter, stops_of(PAGE, chapter)) is None


def test_a_lab_that_waits_for_ever_is_noticed(chapter):
    endless = LAB.replace("    print(", "    while True: pass\n    print(", 1)
    (chapter / "lab.py").write_text(endless)
    found = walk(chapter, stops_of(PAGE, chapter), seconds=2)
    assert found.startswith("stop 2, tbreak asgi_ref/buffer.py:8: not hit")
    assert "a wait of 2 seconds" in found
