"""The ledger: each rule of a specification, its line, its test, its chapter.

    rules(root)               all rows, of all chapters
    ledger_html(root)         what `::: ledger` shows: all of them
    rules_html(root, chapter) what `::: rules` shows: those a chapter teaches

The rows stand in chapters/NN_name/rules.toml; those of a module whose chapter
is not written yet in chapters/_course/rules/name.toml. The line numbers are
found when the page is built, so they are true.

It needs the standard library only. That each symbol, line and test is there
is held by tests/course/test_ledger.py.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from html import escape
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from .source import CourseError, Page, chapter_of, directives, find, find_line

KEYS = {"source", "rule", "code", "line", "test"}
OPTIONAL = {"taught", "covered"}
UNCOVERED = {"source", "rule", "covered", "why"}
SOURCE = re.compile(r"(.+?), (?:sections? |appendix )?(.+)")


class Document(NamedTuple):
    """A specification; `sections` in their order if they have no numbers."""

    name: str
    title: str
    sections: tuple[str, ...] = ()
    url: str = ""  # an RFC's is made of its number


# In the ledger's order. What is not here comes after them.
DOCUMENTS = (
    Document(
        "ASGI 3.0",
        "Asynchronous Server Gateway Interface",
        (
            "Overview",
            "Connection Scope",
            "Events",
            "Applications",
            "Legacy Applications",
            "Protocol Specifications",
            "Middleware",
            "Error Handling",
            "Extensions",
            "Strings and Unicode",
        ),
        "https://asgi.readthedocs.io/en/latest/specs/main.html",
    ),
    Document(
        "ASGI HTTP and WebSocket 2.5",
        "HTTP & WebSocket ASGI Message Format",
        (
            "Spec Versions",
            "HTTP",
            "HTTP Connection Scope",
            "Request",
            "Response Start",
            "Response Body",
            "Disconnected Client",
            "Disconnect",
            "WebSocket",
            "WebSocket Connection Scope",
            "Connect",
            "Accept",
            "Receive",
            "Send",
            "Disconnected Client (WebSocket)",
            "Disconnect (WebSocket)",
            "Close",
            "WSGI Compatibility",
            "WSGI Encoding Differences",
        ),
        "https://asgi.readthedocs.io/en/latest/specs/www.html",
    ),
    Document(
        "ASGI lifespan 2.0",
        "Lifespan Protocol",
        (
            "Scope",
            "Lifespan State",
            "Startup",
            "Startup Complete",
            "Startup Failed",
            "Shutdown",
            "Shutdown Complete",
            "Shutdown Failed",
        ),
        "https://asgi.readthedocs.io/en/latest/specs/lifespan.html",
    ),
    Document(
        "ASGI extensions",
        "Extensions to the ASGI Message Formats",
        (
            "Early Hints",
            "HTTP Trailers",
            "Path Send",
            "Websocket Denial Response",
            "TLS",
        ),
        "https://asgi.readthedocs.io/en/latest/extensions.html",
    ),
    Document(
        "ASGI TLS 0.2",
        "ASGI TLS Extension",
        ("When to use this extension", "TLS Connection Scope"),
        "https://asgi.readthedocs.io/en/latest/specs/tls.html",
    ),
    Document("RFC 9110", "HTTP Semantics"),
    Document("RFC 9112", "HTTP/1.1"),
    Document("RFC 6585", "Additional HTTP Status Codes"),
    Document("RFC 8297", "An HTTP Status Code for Indicating Hints"),
    Document("RFC 7239", "Forwarded HTTP Extension"),
    Document(
        "HTML",
        "HTML Living Standard",
        ("Server-sent events",),
        "https://html.spec.whatwg.org/multipage/server-sent-events.html",
    ),
    Document("RFC 3986", "Uniform Resource Identifier: Generic Syntax"),
    Document("RFC 6455", "The WebSocket Protocol"),
    Document("RFC 7692", "Compression Extensions for WebSocket"),
    Document("RFC 8446", "The Transport Layer Security Protocol Version 1.3"),
    Document("RFC 7301", "TLS Application-Layer Protocol Negotiation"),
    Document("RFC 4514", "String Representation of Distinguished Names"),
    Document(
        "PEP 3333",
        "Python Web Server Gateway Interface",
        (
            "The Server/Gateway Side",
            "environ Variables",
            "Input and Error Streams",
            "The start_response() Callable",
            "Handling the Content-Length Header",
            "Buffering and Streaming",
            "Middleware Handling of Block Boundaries",
            "The write() Callable",
            "Unicode Issues",
            "Error Handling",
            "HTTP 1.1 Expect/Continue",
            "Other HTTP Features",
            "Thread Support",
            "Optional Platform-Specific File Handling",
        ),
        "https://peps.python.org/pep-3333/",
    ),
    Document(
        "PEP 552",
        "Deterministic pycs",
        ("Rationale", "Specification"),
        "https://peps.python.org/pep-0552/",
    ),
    Document("RFC 9293", "Transmission Control Protocol"),
    Document("RFC 1122", "Requirements for Internet Hosts"),
    Document("RFC 4291", "IP Version 6 Addressing Architecture"),
    Document("RFC 3493", "Basic Socket Interface Extensions for IPv6"),
    Document("POSIX.1-2017", "The Open Group Base Specifications, Issue 7"),
    Document("Linux man-pages", "Linux Programmer's Manual"),
    Document(
        "Developing with asyncio",
        "Python documentation",
        (
            "Debug Mode",
            "Concurrency and Multithreading",
            "Running Blocking Code",
        ),
        "https://docs.python.org/3/library/asyncio-dev.html",
    ),
)
KNOWN = {document.name: document for document in DOCUMENTS}
# What people write for short.
ALIASES = {
    "ASGI HTTP 2.5": "ASGI HTTP and WebSocket 2.5",
    "ASGI HTTP message format 2.5": "ASGI HTTP and WebSocket 2.5",
    "ASGI extension": "ASGI extensions",
}
PLACES = {document.name: n for n, document in enumerate(DOCUMENTS)}


@dataclass(frozen=True)
class Rule:
    """One row. Without `covered` there are no code, line and tests."""

    chapter: str  # the folder of the chapter that it belongs to
    document: str
    section: str
    rule: str
    code: str  # module.symbol
    fragment: str  # of the line, there once within the symbol
    tests: tuple[str, ...]  # file::name
    taught: bool
    covered: bool
    why: str

    @property
    def module(self) -> str:
        """The module that the code lies in."""
        return self.code.partition(".")[0]

    @property
    def symbol(self) -> str:
        """The symbol within the module."""
        return self.code.partition(".")[2]

    def number(self, root: Path) -> int:
        """Return the line's number in its module.

        Raises CourseError: no such module or symbol, or not exactly once.
        """
        file = root / "asgi_ref" / f"{self.module}.py"
        if not file.is_file():
            raise CourseError(f"{self.code}: there is no module")
        text = file.read_text(encoding="utf-8")
        try:
            first, last = find(text, self.symbol)
            lines = text.splitlines()[first - 1 : last]
            return first + find_line(lines, self.fragment)
        except CourseError as error:
            raise CourseError(f"{self.code}: {error}") from None


# Reading.


def files(root: Path) -> list[tuple[str, Path]]:
    """Return each file of rules with its chapter, in the reading order."""
    chapters = root / "chapters"
    found = [
        (file.parent.name, file)
        for file in chapters.glob("[0-9][0-9]_*/rules.toml")
    ]
    found += [
        (chapter_of(file.stem) or "", file)
        for file in chapters.glob("_course/rules/*.toml")
    ]
    return sorted(found)


def rules(root: Path) -> list[Rule]:
    """Return all rows. Raises CourseError."""
    return [
        row for chapter, file in files(root) for row in read(chapter, file)
    ]


def read(chapter: str, file: Path) -> list[Rule]:
    """Return the rows of one file.

    Raises CourseError, which names the file and the row.
    """
    place = f"{file.parent.name}/{file.name}"
    try:
        table = tomllib.loads(file.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise CourseError(f"{place}: {error}") from None
    if set(table) != {"rule"}:
        raise CourseError(f"{place}: only [[rule]] tables are read")
    rows = []
    for number, row in enumerate(table["rule"], 1):
        try:
            rows.append(rule_of(chapter, row))
        except CourseError as error:
            raise CourseError(f"{place}, rule {number}: {error}") from None
    return rows


def rule_of(chapter: str, row: dict[str, Any]) -> Rule:
    """Return a row as a Rule. Raises CourseError."""
    for key in OPTIONAL:
        if not isinstance(row.get(key, True), bool):
            raise CourseError(f"{key} must be true or false")
    covered = row.get("covered", True)
    wanted = KEYS if covered else UNCOVERED
    missing = wanted - set(row)
    strange = set(row) - wanted - (OPTIONAL if covered else set())
    if missing or strange:
        needs = f"needs {', '.join(sorted(missing))}" if missing else ""
        extra = f"knows no {', '.join(sorted(strange))}" if strange else ""
        kind = "a row" if covered else "a row that is not covered"
        raise CourseError(
            f"{kind} {' and '.join(filter(None, (needs, extra)))}"
        )
    row = {k: v if k == "line" else plain(v) for k, v in row.items()}
    match = SOURCE.fullmatch(row["source"])
    if match is None:
        raise CourseError(
            f"the source {row['source']!r} has no section:"
            ' write "RFC 9112, section 5.1"'
        )
    document, section = match.groups()
    return Rule(
        chapter,
        ALIASES.get(document, document),
        section,
        rule=row["rule"],
        code=row.get("code", ""),
        fragment=row.get("line", ""),
        tests=tuple(row.get("test", "").split()),
        taught=row.get("taught", False),
        covered=covered,
        why=row.get("why", ""),
    )


def plain(value: Any) -> Any:
    """Return a value; a text that was broken into lines is one line."""
    return " ".join(value.split()) if isinstance(value, str) else value


# The order: documents, then sections, then chapters.


def order(row: Rule) -> tuple[Any, ...]:
    """Return what rows are sorted by."""
    place = PLACES.get(row.document, len(PLACES)), row.document
    return *place, section_order(row), row.chapter


def section_order(row: Rule) -> tuple[Any, ...]:
    """Return the place of a section: as listed, or 9.3 before 10.1."""
    document = KNOWN.get(row.document)
    if document and row.section in document.sections:
        return ((document.sections.index(row.section), ""),)
    parts = re.findall(r"\d+|\D+", row.section)
    return tuple((int(p), "") if p.isdigit() else (1000, p) for p in parts)


# As HTML: well-formed, for the weaver makes elements of it.


def ledger_html(root: Path) -> str:
    """Return the ledger: counts, then a table for each document."""
    rows = sorted(rules(root), key=order)
    documents = [
        (name, list(group)) for name, group in groupby(rows, by_document)
    ]
    anchors = {row.chapter: anchors_of(root, row.chapter) for row in rows}
    parts = [counts_html(documents)]
    for name, group in documents:
        parts.append(f'<h2 id="{anchor_of(name)}">{escape(title(name))}</h2>')
        parts.append(document_html(root, group, anchors))
    return f'<div class="course-ledger">{"".join(parts)}</div>'


def rules_html(root: Path, chapter: str) -> str:
    """Return the rules that a chapter teaches, as one table.

    Raises CourseError: it teaches none.
    """
    file = root / "chapters" / chapter / "rules.toml"
    if not file.is_file():
        raise CourseError(f"there is no file {chapter}/rules.toml")
    taught = [row for row in read(chapter, file) if row.taught]
    if not taught:
        raise CourseError(
            f"{chapter}/rules.toml has no row with taught = true"
        )
    anchors = anchors_of(root, chapter)
    rows = []
    for row in taught:
        source = source_html(row.document, row.section)
        line = cell(line_html(root, row, "", anchors))
        rule = f"{prose(row.rule)}<br/><small>{source}</small>"
        rows.append(f"<tr><td>{rule}</td>{line}{tests_cell(row)}</tr>")
    head = "<tr><th>Rule</th><th>Line</th><th>Test</th></tr>"
    return f'<div class="course-ledger">{table(head, rows)}</div>'


def by_document(row: Rule) -> str:
    """Return the document of a row."""
    return row.document


def counts_html(documents: list[tuple[str, list[Rule]]]) -> str:
    """Return the table of the documents and how many rules each has."""
    lines = []
    total = [0, 0]
    for name, group in documents:
        kept = sum(row.covered for row in group)
        total[0] += kept
        total[1] += len(group) - kept
        link = f'<a href="#{anchor_of(name)}">{escape(title(name))}</a>'
        lines.append(counts_row(link, kept, len(group) - kept))
    lines.append(counts_row("<strong>Together</strong>", *total))
    head = "<tr><th>Document</th><th>Rules with a line and a test</th>"
    return table(head + "<th>Not covered yet</th></tr>", lines)


def counts_row(name: str, kept: int, open_: int) -> str:
    """Return one line of the counts."""
    return f"<tr><td>{name}</td><td>{kept}</td><td>{open_}</td></tr>"


def document_html(
    root: Path, rows: list[Rule], anchors: dict[str, set[str]]
) -> str:
    """Return a document's table, section by section."""
    lines = []
    for section, group in groupby(rows, lambda row: row.section):
        source = source_html(rows[0].document, section)
        lines.append(f'<tr><th colspan="3">{source}</th></tr>')
        lines += [row_html(root, row, anchors[row.chapter]) for row in group]
    head = "<tr><th>Rule</th><th>Line, chapter</th><th>Test</th></tr>"
    return table(head, lines)


def row_html(root: Path, row: Rule, anchors: set[str]) -> str:
    """Return one row of the ledger."""
    rule = f'<td style="min-width: 11rem">{prose(row.rule)}</td>'
    if not row.covered:
        why = f"<em>Not covered yet:</em> {prose(row.why)}"
        return f'<tr>{rule}<td colspan="2">{why}</td></tr>'
    page = f"{row.chapter}/README.md"
    chapter = f"chapter\N{NO-BREAK SPACE}{row.chapter[:2]}"
    if anchors:
        chapter = f'<a href="{page}">{chapter}</a>'
    line = line_html(root, row, page, anchors)
    return f"<tr>{rule}{cell(f'{line}, {chapter}')}{tests_cell(row)}</tr>"


def line_html(root: Path, row: Rule, page: str, anchors: set[str]) -> str:
    """Return a row's symbol and line, linked if the page shows the line."""
    number = row.number(root)
    anchor = f"{row.module}-{number}"
    line = f"{row.module}.py:{number}"
    if anchor in anchors:
        line = f'<a href="{page}#{anchor}">{line}</a>'
    return f"<code>{escape(row.symbol)}</code><br/>{line}"


def anchors_of(root: Path, chapter: str) -> set[str]:
    """Return the lines that a chapter's page shows; none: no such page.

    A page that cannot be read is the weaver's affair: it stops the build.
    """
    file = root / "chapters" / chapter / "README.md"
    if not file.is_file():
        return set()
    found = {chapter}  # not empty: there is a page
    try:
        woven = directives(file.read_text(encoding="utf-8"))
        page = Page.of(woven, root)
        for piece in map(page.piece, (d for d in woven if d.is_code)):
            lines = range(piece.first, piece.last + 1)
            found.update(
                f"{piece.name}-{n}" for n in lines if not piece.recall
            )
    except CourseError:
        return {chapter}
    return found


def tests_cell(row: Rule) -> str:
    """Return the cell with a row's tests."""
    names = [f"<code>{escape(test)}</code>" for test in row.tests]
    return cell("<br/>".join(names))


def cell(html: str) -> str:
    """Return a cell whose long names may be broken anywhere."""
    style = "min-width: 9.5rem; overflow-wrap: anywhere"
    return f'<td style="{style}">{html}</td>'


def table(head: str, rows: list[str]) -> str:
    """Return a table. Without a class: then the theme gives it its look."""
    return (
        f"<table><thead>{head}</thead><tbody>{''.join(rows)}</tbody></table>"
    )


def prose(text: str) -> str:
    """Return a sentence of a row; `code` in it is shown as such."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def source_html(document: str, section: str) -> str:
    """Return a source as a link to the section, or to the document."""
    rfc = re.fullmatch(r"RFC (\d+)", document)
    first = re.match(r"[A-Z]?[\d.]*\d", section)
    if rfc and first:
        kind = "appendix" if section[0].isupper() else "section"
        url = f"https://www.rfc-editor.org/rfc/rfc{rfc[1]}.html#"
        return linked(
            f"{url}{kind}-{first[0]}", f"{document}, {kind} {section}"
        )
    known = KNOWN.get(document)
    return linked(known.url if known else "", f"{document}, {section}")


def linked(url: str, text: str) -> str:
    """Return a link, or the text alone if there is no address."""
    return f'<a href="{url}">{escape(text)}</a>' if url else escape(text)


def title(name: str) -> str:
    """Return a document's name with its title."""
    document = KNOWN.get(name)
    return f"{name}: {document.title}" if document else name


def anchor_of(name: str) -> str:
    """Return the anchor of a document's heading."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
