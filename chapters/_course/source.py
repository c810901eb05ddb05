"""What a page asks for: its directives, and the source that they mean.

    parse(text)              a page's lines and Directives
    Page.of(text)            whose page it is: the folder, the module
    page.piece(directive)    the lines of a file that a directive shows
    page.notes(directive)    its annotations, each with its line
    page.output(directive)   a part of lab.txt

It needs the standard library only and knows nothing of HTML: the tests read
pages with it, the weaver makes them.
"""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# The reading order; tests/course/test_mirror.py compares it with the tests'.
ORDER = """
    listen buffer request body response connection
    wsgi threads contract scope transport exchange lifespan server bridge
    handshake frames deflate websocket
    demo proxy referee trace watchdog
    tls target reload workers config
""".split()

OTHERS = {"chapter", "output", "figure", "stops", "player"}
OTHERS |= {"outline", "ledger", "rules"}
MARK = "::: "
FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
QUOTE = re.compile(r"(`+) ?(.+?) ?\1(?!`)\s*(.*)", re.DOTALL)


def lines_of(file: Path) -> list[str]:
    """Return a file's lines, without their ends."""
    return file.read_text(encoding="utf-8").splitlines()


class CourseError(Exception):
    """A page asks for something that is not there."""


@dataclass
class Directive:
    """One `::: ` line of a page, and the items of the list below it."""

    line: int
    text: str
    words: list[str]
    items: list[str] = field(default_factory=list)

    @property
    def is_code(self) -> bool:
        """Whether it shows code; then its first word names the file."""
        return self.words[0] not in OTHERS


@dataclass
class Piece:
    """Lines `first` to `last` of a file; `name` is the file's name in ids."""

    file: Path
    name: str
    first: int
    last: int
    recall: bool
    home: str | None  # the chapter that it is at home in

    @property
    def lines(self) -> list[str]:
        """The lines, without their ends."""
        return lines_of(self.file)[self.first - 1 : self.last]


# A page's text.


def parse(text: str) -> list[str | Directive]:
    """Return the lines of a page, with Directives where there are any.

    Raises CourseError.
    """
    parts: list[str | Directive] = []
    lines = text.split("\n")
    fence, here = "", 0
    while here < len(lines):
        line = lines[here]
        here += 1
        mark = FENCE.match(line)
        if fence:
            closes = mark and mark[1].startswith(fence)
            fence = "" if closes and line.strip() == mark[1] else fence
        elif mark:
            fence = mark[1]
        elif line.lstrip().startswith(MARK.strip()):
            directive = read_directive(here, line)
            if directive.is_code or directive.words[0] == "stops":
                here = read_items(lines, here, directive.items)
            parts.append(directive)
            continue
        parts.append(line)
    return parts


def read_directive(number: int, line: str) -> Directive:
    """Return the Directive in a line.

    Raises CourseError.
    """
    try:
        if not line.startswith(MARK):
            raise ValueError("a directive begins in column one: `::: word`")
        words = shlex.split(line.removeprefix(MARK))
        if not words:
            raise ValueError("a directive without a word")
    except ValueError as error:
        raise CourseError(f"line {number}: {line!r}: {error}") from None
    return Directive(number, line, words)


def read_items(lines: list[str], here: int, items: list[str]) -> int:
    """Collect the list that begins at or after `here`; return its end."""
    end = here
    while here < len(lines):
        line = lines[here]
        here += 1
        if line.startswith("- "):
            items.append(line[2:])
        elif not line.strip() and (not items or items[-1]):
            continue
        elif line.startswith("  ") and items:
            gap = "\n" * (here - end)
            items[-1] += gap + line[2:]
        elif items and not lines[here - 2].strip():
            break
        elif items:  # a lazy line: the paragraph goes on without indent
            items[-1] += "\n" + line
        else:
            break
        end = here
    return end


def directives(text: str) -> list[Directive]:
    """Return the directives of a page."""
    return [part for part in parse(text) if isinstance(part, Directive)]


# Symbols in a source file.


def symbols(text: str) -> Iterator[tuple[str, int, int]]:
    """Yield each name of a module with its first and last line.

    Names of classes' members are dotted. "class Name" ends before the first
    method; "docstring", "imports" and "end", its last line, are the module's
    own. The comments and decorators above a name belong to it.
    """
    lines = ["", *text.splitlines()]
    body = ast.parse(text).body
    if body and isinstance(body[0], ast.Expr):
        yield "docstring", 1, body[0].end_lineno or 1
    imports = [n for n in body if isinstance(n, ast.Import | ast.ImportFrom)]
    if imports:
        first = start_of(imports[0], lines)
        yield "imports", first, imports[-1].end_lineno or first
    yield from members(body, lines, "")
    yield "end", len(lines) - 1, len(lines) - 1


def members(
    body: Iterable[ast.stmt], lines: list[str], prefix: str
) -> Iterator[tuple[str, int, int]]:
    """Yield the names that statements define."""
    for node in body:
        first, last = start_of(node, lines), node.end_lineno or node.lineno
        if isinstance(node, ast.ClassDef):
            yield prefix + node.name, first, last
            yield from members(node.body, lines, f"{prefix}{node.name}.")
            head = last
            for member in node.body:
                if isinstance(member, ast.FunctionDef | ast.AsyncFunctionDef):
                    head = start_of(member, lines) - 1
                    break
            while not lines[head].strip():
                head -= 1
            yield f"class {prefix}{node.name}", first, head
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield prefix + node.name, first, last
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            for name in ast.walk(node):
                if isinstance(name, ast.Name) and isinstance(
                    name.ctx, ast.Store
                ):
                    yield prefix + name.id, first, last
        elif isinstance(node, ast.If | ast.Try):
            yield from members([*node.body, *node.orelse], lines, prefix)


def start_of(node: ast.stmt, lines: list[str]) -> int:
    """Return a statement's first line, comments and decorators included."""
    decorators = getattr(node, "decorator_list", [])
    first = min(part.lineno for part in [node, *decorators])
    above = first
    while above > 1:
        line = lines[above - 1].lstrip()
        deeper = len(lines[above - 1]) - len(line) > node.col_offset
        if line and (deeper or not line.startswith("#")):
            break
        above -= 1
        if line:
            first = above
    return first


def find(text: str, wanted: str) -> tuple[int, int]:
    """Return the first and last line of a symbol, of a range, of "12-34".

    Raises CourseError.
    """
    if numbers := re.fullmatch(r"(\d+)(?:-(\d+))?", wanted):
        first, last = int(numbers[1]), int(numbers[2] or numbers[1])
        if not 1 <= first <= last <= len(text.splitlines()):
            raise CourseError("there are no such lines")
        return first, last
    if ".." in wanted:
        begin, _, end = wanted.partition("..")
        first, last = find(text, begin)[0], find(text, end)[1]
        if first > last:
            raise CourseError(f"{end} stands before {begin}")
        return first, last
    found = [(a, b) for name, a, b in symbols(text) if name == wanted]
    if len(found) != 1:
        problem = "not there" if not found else "there more than once"
        raise CourseError(f"the name {wanted!r} is {problem}")
    return found[0]


def find_line(lines: list[str], fragment: str) -> int:
    """Return the index of the one line that contains a fragment.

    Raises CourseError.
    """
    found = [n for n, line in enumerate(lines) if fragment in line]
    times = sum(line.count(fragment) for line in lines)
    if times != 1:
        raise CourseError(f"`{fragment}` is there {times} times, not once")
    return found[0]


# A page of the course.


def chapter_of(module: str) -> str | None:
    """Return the folder that a module is taught in; None: the front page."""
    if module == "__init__":
        return None
    if module == "__main__":
        module = "config"
    if module not in ORDER:
        raise CourseError(f"there is no module {module!r} in the order")
    return f"{ORDER.index(module) + 1:02}_{module}"


@dataclass
class Page:
    """A page: the folder that it stands in, and the chapter's name."""

    root: Path
    chapter: str | None

    @classmethod
    def of(cls, found: list[Directive], root: Path = ROOT) -> Page:
        """Return the page that says who it is with `::: chapter`.

        A page that does not say stands in no chapter.

        Raises CourseError.
        """
        says = [each for each in found if each.words[0] == "chapter"]
        if not says:
            return cls(root, None)
        if says != found[:1] or len(says[0].words) != 2:
            raise CourseError("`::: chapter NN_name` stands first, and once")
        name = says[0].words[1]
        if name != chapter_of(name.partition("_")[2]):
            raise CourseError(f"{name!r} is not a chapter's folder")
        return cls(root, name)

    @property
    def folder(self) -> Path:
        """The chapter's folder.

        Raises CourseError.
        """
        if self.chapter is None:
            raise CourseError("the page needs `::: chapter NN_name` above")
        return self.root / "chapters" / self.chapter

    def file(self, word: str) -> tuple[Path, str, str | None]:
        """Return the file that a word means, its name in ids, its chapter.

        Raises CourseError.
        """
        if word.endswith(".py"):
            file, home = self.folder / word, self.chapter
            name = word.removesuffix(".py").replace("/", "-")
        else:
            file, home = self.root / f"asgi_ref/{word}.py", chapter_of(word)
            name = word
        if not file.is_file():
            raise CourseError(f"there is no file {self.shown(file)}")
        return file, name, home

    def shown(self, file: Path) -> str:
        """Return a file's name as a reader at the root would type it."""
        return file.relative_to(self.root).as_posix()

    def read(self, name: str) -> str:
        """Return the text of a file of the chapter's folder.

        Raises CourseError.
        """
        file = self.folder / name
        if not file.is_file():
            raise CourseError(f"there is no file {self.shown(file)}")
        return file.read_text(encoding="utf-8")

    def piece(self, directive: Directive) -> Piece:
        """Return the lines that a code directive shows.

        Raises CourseError.
        """
        word, *rest = directive.words
        recall = rest[-1:] == ["recall"]
        wanted = " ".join(rest[:-1] if recall else rest)
        if not wanted:
            raise CourseError("what of it? Name a symbol, or lines")
        file, name, home = self.file(word)
        if home != self.chapter and not recall:
            raise CourseError(f"{word} is another chapter's: add `recall`")
        text = file.read_text(encoding="utf-8")
        return Piece(file, name, *find(text, wanted), recall, home)

    def notes(self, directive: Directive, piece: Piece) -> list[tuple]:
        """Return the annotations as (line, fragment, text).

        Raises CourseError.
        """
        notes = []
        for item in directive.items:
            match = QUOTE.match(item)
            if not match:
                raise CourseError(f"no `fragment` begins {item[:40]!r}")
            place = piece.first + find_line(piece.lines, match[2])
            notes.append((place, match[2], match[3]))
        return notes

    def output(self, directive: Directive) -> str:
        """Return the part of lab.txt that an `output` directive names.

        Raises CourseError.
        """
        wanted = " ".join(directive.words[1:]).removesuffix(" open")
        text = self.read("lab.txt")
        parts = re.split(r"^== (.*) ==\n", text, flags=re.MULTILINE)
        found = dict(zip(parts[1::2], parts[2::2], strict=True))
        if wanted not in found:
            raise CourseError(f"lab.txt has no part {wanted!r}: {[*found]}")
        return found[wanted].strip("\n")
