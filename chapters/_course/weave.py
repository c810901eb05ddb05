"""A Python-Markdown extension: directives become code, output, stops.

A preprocessor cuts the directives out of the text and leaves a mark for each;
a block processor finds the marks and puts elements there. Elements and not
text, so that links inside them are resolved and checked like all others.

What the directives mean is in source.py. Drawings, the player and the ledger
come from the modules of the same names.
"""

from __future__ import annotations

import ast
from html import escape
from itertools import count
from json import loads
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, SubElement, fromstring

from markdown import Markdown
from markdown.blockprocessors import BlockProcessor
from markdown.extensions import Extension
from markdown.preprocessors import Preprocessor
from markdown.util import ETX, STX, AtomicString
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from .source import (
    ORDER,
    ROOT,
    CourseError,
    Directive,
    Page,
    Piece,
    chapter_of,
    lines_of,
    parse,
)

MARK = STX + "weave:"


class WeaveExtension(Extension):
    """The extension; `root` is the directory of asgi_ref and chapters."""

    def __init__(self, **settings: Any) -> None:
        self.config = {"root": [str(ROOT), "the repository"]}
        super().__init__(**settings)

    def extendMarkdown(self, md: Markdown) -> None:  # noqa: N802
        """Register both processors."""
        weaver = Weaver(md, Path(self.getConfig("root")))
        # After fenced code was taken out, before raw HTML is read.
        md.preprocessors.register(Cutter(weaver), "weave_cut", 22)
        md.parser.blockprocessors.register(Placer(weaver), "weave", 200)


class Cutter(Preprocessor):
    """Cuts directives out of the text."""

    def __init__(self, weaver: Weaver) -> None:
        super().__init__(weaver.md)
        self.weaver = weaver

    def run(self, lines: list[str]) -> list[str]:
        """Return the lines with marks where the directives were."""
        parts = parse("\n".join(lines))
        found = [part for part in parts if isinstance(part, Directive)]
        self.weaver.start(found)
        number = count()
        return [
            part if isinstance(part, str) else f"\n{MARK}{next(number)}{ETX}\n"
            for part in parts
        ]


class Placer(BlockProcessor):
    """Puts elements where the marks are."""

    def __init__(self, weaver: Weaver) -> None:
        super().__init__(weaver.md.parser)
        self.weaver = weaver

    def test(self, parent: Element, block: str) -> bool:
        """Say whether a block is a mark."""
        return block.strip().startswith(MARK)

    def run(self, parent: Element, blocks: list[str]) -> None:
        """Replace the mark."""
        mark = blocks.pop(0).strip()
        self.weaver.place(parent, int(mark.removeprefix(MARK).rstrip(ETX)))


class Weaver:
    """Makes the elements of one page after the other."""

    def __init__(self, md: Markdown, root: Path) -> None:
        self.md, self.root = md, root
        self.found: list[Directive] = []
        self.page = Page(root, None)
        self.seen: set[str] = set()

    def start(self, found: list[Directive]) -> None:
        """Begin a page that has these directives."""
        self.found, self.seen = found, set()
        self.page = Page.of(found, self.root)

    def place(self, parent: Element, number: int) -> None:
        """Append what a directive means to `parent`.

        Raises CourseError, which names the page, the directive, the reason.
        """
        directive = self.found[number]
        word = "code" if directive.is_code else directive.words[0]
        try:
            getattr(self, word)(parent, directive)
        except Exception as error:
            where = f"{self.page.chapter or 'a page without a chapter'}: "
            where += f"`{directive.text}`: "
            if isinstance(error, CourseError):
                raise CourseError(f"{where}{error}") from None
            kind = type(error).__name__
            raise CourseError(f"{where}{kind}: {error}") from error

    # Tools.

    def link(self, chapter: str | None, anchor: str = "") -> str:
        """Return the link to another chapter's page, as one writes it."""
        if chapter == self.page.chapter and anchor:
            return f"#{anchor}"
        up = "../" if self.page.chapter else ""
        page = f"{chapter}/README.md" if chapter else "index.md"
        return f"{up}{page}" + (f"#{anchor}" if anchor else "")

    def linked(self, chapter: str, text: str, anchor: str = "") -> str:
        """Return a link's HTML, or its text if there is no such chapter."""
        if not (self.root / "chapters" / chapter / "README.md").is_file():
            return text
        return f'<a href="{self.link(chapter, anchor)}">{text}</a>'

    def add(self, parent: Element, html: str) -> Element:
        """Append well-formed HTML; Markdown leaves its text alone.

        Its serializer takes "&lt;" in a text for "<" that is escaped already,
        and source code may well mean "&lt;".
        """
        element = fromstring(html)
        for each in element.iter():
            each.text = AtomicString((each.text or "").replace("&", "&amp;"))
            each.tail = AtomicString((each.tail or "").replace("&", "&amp;"))
        parent.append(element)
        return element

    def raw(self, parent: Element, html: str) -> None:
        """Append any HTML, unread."""
        paragraph = SubElement(parent, "p")
        paragraph.text = self.md.htmlStash.store(f"<div>{html}</div>")

    # Directives, by name.

    def chapter(self, parent: Element, directive: Directive) -> None:
        """Say which module the chapter is about, and what that imports."""
        name = self.page.folder.name
        module = name.partition("_")[2]
        file = self.page.file(module)[0]
        text = file.read_text(encoding="utf-8")
        facts = [
            f"Chapter {name[:2]}",
            f"<code>{self.page.shown(file)}</code>",
            f"{len(text.splitlines())} lines",
        ]
        before = [
            self.linked(chapter_of(each), each) for each in imported(text)
        ]
        facts.append("imports " + (", ".join(before) or "no other module"))
        items = "".join(f"<li>{fact}</li>" for fact in facts)
        self.add(parent, f'<ul class="course-head">{items}</ul>')

    def code(self, parent: Element, directive: Directive) -> None:
        """Show code, with its annotations."""
        piece = self.page.piece(directive)
        notes = self.page.notes(directive, piece)
        marks: dict[int, list[int]] = {}
        for number, (line, _, _) in enumerate(notes, 1):
            marks.setdefault(line, []).append(number)
        kind = "course-piece" + " course-recall" * piece.recall
        box = SubElement(parent, "div", {"class": kind})
        self.add(box, self.figure_of(piece, marks))
        if notes:
            items = SubElement(box, "ol", {"class": "course-notes"})
        for number, (line, fragment, text) in enumerate(notes, 1):
            self.note(items, note_id(piece, line, number), fragment, text)

    def note(
        self, items: Element, name: str, fragment: str, text: str
    ) -> None:
        """Append one annotation."""
        item = SubElement(items, "li")
        if name not in self.seen:
            item.set("id", name)
            self.seen.add(name)
        body = f"{quoted(fragment)} {text}"
        self.md.parser.parseChunk(item, body)

    def figure_of(self, piece: Piece, marks: dict[int, list[int]]) -> str:
        """Return the figure with the lines of a piece."""
        rows = []
        whole = piece.file.read_text(encoding="utf-8")
        for line, html in enumerate(highlighted(whole), 1):
            if piece.first <= line <= piece.last:
                rows.append(self.row(piece, line, html, marks.get(line, [])))
        lines = f"{piece.first}–{piece.last}"
        caption = f"<span>{self.page.shown(piece.file)}</span>"
        caption += f"<span>{lines}</span>"
        if piece.recall:
            caption += f"<span>{self.origin(piece)}</span>"
        return (
            f'<figure class="course-code highlight"><figcaption>{caption}'
            f"</figcaption>{pre(''.join(rows))}</figure>"
        )

    def origin(self, piece: Piece) -> str:
        """Return where recalled code comes from."""
        if piece.home == self.page.chapter:
            return f'recall: <a href="#{piece.name}-{piece.first}">above</a>'
        if piece.home is None:
            return "recall: from the package itself"
        text = f"chapter {piece.home[:2]}"
        anchor = f"{piece.name}-{piece.first}"
        return f"recall: from {self.linked(piece.home, text, anchor)}"

    def row(self, piece: Piece, line: int, html: str, notes: list[int]) -> str:
        """Return one line. Numbers come from the style: nobody copies them.

        A line's anchor is where it is at home; a recalled line has none.
        """
        name = f"{piece.name}-{line}"
        number = f'<span class="course-no" data-no="{line}"></span>'
        anchor = ""
        if not piece.recall and name not in self.seen:
            self.seen.add(name)
            anchor = f' id="{name}"'
            number = (
                f'<a class="course-no" data-no="{line}" href="#{name}"'
                f' tabindex="-1" aria-label="line {line}"></a>'
            )
        marks = "".join(
            f'<a class="course-mark" data-no="{each}" aria-label="note {each}"'
            f' href="#{note_id(piece, line, each)}"></a>'
            for each in notes
        )
        return (
            f'<span class="course-line"{anchor}>{number}{html}{marks}\n</span>'
        )

    def output(self, parent: Element, directive: Directive) -> None:
        """Show what the lab prints: folded, for it is to be predicted."""
        text = escape(self.page.output(directive))
        lab = self.page.shown(self.page.folder / "lab.py")
        is_open = directive.words[-1] == "open"
        name = escape(" ".join(directive.words[1:]).removesuffix(" open"))
        say = f"python {lab}" if is_open else "Predict first. Then open"
        say = f"{say}: <em>{name}</em>"
        opened = ' open="open"' if is_open else ""
        self.add(
            parent,
            f'<details class="course-output"{opened}><summary>{say}</summary>'
            f"{pre(text)}</details>",
        )

    def stops(self, parent: Element, directive: Directive) -> None:
        """List the debugger's stops, with what one types."""
        from .stops import parse_stop

        if not directive.items:
            raise CourseError("no list follows")
        lab = self.page.shown(self.page.folder / "lab.py")
        box = SubElement(parent, "div", {"class": "course-stops"})
        self.add(box, pre(f"python -m pdb {lab}"))
        items = SubElement(box, "ol")
        for text in directive.items:
            lines = [line.strip() for line in text.splitlines()]
            stop = parse_stop([f"- {lines[0]}", *lines[1:]], self.page.folder)
            item = SubElement(items, "li")
            self.add(item, self.stop_html(stop))
            self.md.parser.parseChunk(item, stop.text)

    def stop_html(self, stop: Any) -> str:
        """Return the fixed part of one stop."""
        line = lines_of(stop.file)[stop.line - 1].strip()
        place = f"<code>{stop.path}:{stop.line}</code>"
        if stop.path.startswith("asgi_ref"):
            name = stop.file.stem
            home = chapter_of(name)
            place = self.linked(home, place, f"{name}-{stop.line}")
        prompt = '<span class="course-prompt">(Pdb) </span>'
        typed = [f"{prompt}{escape(each)}\n" for each in stop.commands]
        seen = f'<span class="course-answer">{escape(stop.expect)}</span>\n'
        return (
            f'<div><p>{place}</p><p class="course-where">'
            f"<code>{escape(line)}</code> in {escape(stop.where)}</p>"
            f"{pre(''.join(typed) + seen)}</div>"
        )

    def figure(self, parent: Element, directive: Directive) -> None:
        """Draw a figure from a table or a run."""
        from .figures import figure_html

        if len(directive.words) != 4:
            raise CourseError('kind, source and "alternative text" are needed')
        page = self.page
        folder = page.folder if page.chapter else self.root / "chapters"
        self.raw(parent, figure_html(*directive.words[1:], folder))

    def player(self, parent: Element, directive: Directive) -> None:
        """Play the recorded walk."""
        from .player import player_html

        self.raw(parent, player_html(loads(self.page.read("walk.json"))))

    def ledger(self, parent: Element, directive: Directive) -> None:
        """Show each rule with its line, its test and its paragraph."""
        from .ledger import ledger_html

        self.add(parent, ledger_html(self.root))

    def rules(self, parent: Element, directive: Directive) -> None:
        """Show the rules that the chapter teaches."""
        from .ledger import rules_html

        self.add(parent, rules_html(self.root, self.page.folder.name))

    def outline(self, parent: Element, directive: Directive) -> None:
        """List the program so far: modules, and their public names."""
        rows = []
        for module in ORDER[: int(self.page.folder.name[:2])]:
            file = self.root / "asgi_ref" / f"{module}.py"
            if file.is_file():
                rows.append(self.outline_row(module, file.read_text("utf-8")))
        self.add(parent, f'<ol class="course-outline">{"".join(rows)}</ol>')

    def outline_row(self, module: str, text: str) -> str:
        """Return a module's row in the outline."""
        chapter = chapter_of(module)
        here = ' class="course-here"' if chapter == self.page.chapter else ""
        title = self.linked(chapter, f"<code>{module}</code>")
        about = (ast.get_docstring(ast.parse(text)) or "").partition("\n")[0]
        names = " ".join(f"<code>{each}</code>" for each in public(text))
        return (
            f"<li{here}><span>{title}</span><span>{escape(about)}</span>"
            f"<small>{names}</small></li>"
        )


def pre(html: str) -> str:
    """Return a block of code.

    The empty element, which Pygments puts there too, says that it is done: a
    `code` alone in its `pre` would be highlighted once more.
    """
    return f"<pre><span/><code>{html}</code></pre>"


def highlighted(text: str) -> list[str]:
    """Return the lines of Python source as HTML, each complete in itself."""
    lexer = PythonLexer(stripnl=False, stripall=False)
    html = highlight(text, lexer, HtmlFormatter(nowrap=True))
    return html.rstrip("\n").split("\n")


def quoted(fragment: str) -> str:
    """Return a fragment as Markdown's inline code."""
    ticks = "``" if "`" in fragment else "`"
    blank = " " if "`" in fragment else ""
    return f"{ticks}{blank}{fragment}{blank}{ticks}"


def note_id(piece: Piece, line: int, number: int) -> str:
    """Return the name of an annotation."""
    return f"{piece.name}-{line}-note-{number}"


def imported(text: str) -> list[str]:
    """Return the modules of this package that a module imports."""
    nodes = ast.walk(ast.parse(text))
    imports = [n for n in nodes if isinstance(n, ast.ImportFrom) and n.level]
    names = {n.module or a.name for n in imports for a in n.names}
    return [module for module in ORDER if module in names]


def public(text: str) -> list[str]:
    """Return the classes and functions that a module offers."""
    kinds = ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef
    body = [node for node in ast.parse(text).body if isinstance(node, kinds)]
    return [node.name for node in body if not node.name.startswith("_")]
