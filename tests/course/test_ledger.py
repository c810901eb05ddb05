"""The ledger: each rule's line and test are there, and no document is missing.

Read from the files of rules, with the standard library only.
"""

import ast
import itertools
from collections import Counter
from functools import lru_cache
from pathlib import Path

import pytest

from chapters._course.ledger import (
    ALIASES,
    DOCUMENTS,
    KNOWN,
    anchors_of,
    files,
    ledger_html,
    order,
    read,
    rules,
    rules_html,
)
from chapters._course.source import CourseError

ROOT = Path(__file__).resolve().parents[2]
FILES = files(ROOT)
each_file = pytest.mark.parametrize(
    ("chapter", "file"), FILES, ids=[chapter for chapter, _ in FILES]
)

# What the server claims to keep, of each at least one rule.
CLAIMED = [
    "ASGI 3.0",
    "ASGI HTTP and WebSocket 2.5",
    "ASGI lifespan 2.0",
    "ASGI extensions",
    "RFC 9110",
    "RFC 9112",
    "RFC 6455",
    "RFC 7692",
    "PEP 3333",
]
EXTENSIONS = {
    *("Early Hints", "HTTP Trailers", "Path Send"),
    "Websocket Denial Response",
}


@lru_cache
def functions(file):
    """Return the names of a file's functions and methods; None: no file."""
    if not file.is_file():
        return None
    kinds = ast.FunctionDef, ast.AsyncFunctionDef
    nodes = ast.walk(ast.parse(file.read_text(encoding="utf-8")))
    return {node.name for node in nodes if isinstance(node, kinds)}


def wrong_test(root, test):
    """Return what is wrong with "tests/file.py::name", or None."""
    name, _, function = test.partition("::")
    found = functions(root / name)
    if found is None:
        return f"{test}: there is no file {name}"
    if not function.startswith("test_") or function not in found:
        return f"{test}: there is no such test in {name}"
    return None


def complaints(chapter, file, root=ROOT):
    """Return what is wrong with the rules of one file."""
    found = read(chapter, file)  # every row has the keys, or CourseError
    for row in found:
        known = KNOWN.get(row.document)
        if known and known.sections and row.section not in known.sections:
            yield f"{row.document} has no section {row.section!r}"
        if len(row.rule.split()) < 3 or row.rule[-1] not in ".!":
            yield f"not a sentence: {row.rule!r}"
        if not row.covered:
            if len(row.why.split()) < 3:
                yield f"not covered, but why? {row.rule!r}"
            continue
        try:
            row.number(root)
        except CourseError as error:
            yield f"{error} ({row.rule})"
        if not row.tests:
            yield f"no test holds this: {row.rule}"
        yield from filter(None, (wrong_test(root, t) for t in row.tests))
    taught = sum(row.taught for row in found)
    if taught and not 2 <= taught <= 5:
        yield f"{taught} rules are taught; a page discusses two to five"


@each_file
def test_the_rules_of_a_chapter_are_true(chapter, file):
    wrong = list(complaints(chapter, file))
    assert not wrong, f"in {file}:\n" + "\n".join(wrong)


@each_file
def test_a_chapter_that_shows_rules_teaches_some(chapter, file):
    page = ROOT / "chapters" / chapter / "README.md"
    if page.is_file() and "\n::: rules\n" in page.read_text("utf-8"):
        assert [row for row in read(chapter, file) if row.taught]


def test_a_chapter_has_one_file_of_rules():
    """When a chapter is written, its rules move into its folder."""
    counts = Counter(chapter for chapter, _ in FILES)
    twice = [chapter for chapter, count in counts.items() if count > 1]
    assert not twice, "delete chapters/_course/rules/<module>.toml"


def test_no_rule_is_there_twice():
    counts = Counter(
        (row.document, row.section, row.rule.casefold().rstrip("."))
        for row in rules(ROOT)
        if row.covered
    )
    twice = [rule for rule, count in counts.items() if count > 1]
    assert not twice, "say it once, or say what is different"


@pytest.mark.parametrize("name", CLAIMED)
def test_a_document_that_is_claimed_has_rules(name):
    assert [row for row in rules(ROOT) if row.document == name]


def test_the_extensions_have_rules():
    rows = [row for row in rules(ROOT) if row.document == "ASGI extensions"]
    assert {row.section for row in rows} >= EXTENSIONS


def test_documents_are_called_by_one_name():
    assert set(CLAIMED) <= set(KNOWN)
    assert set(ALIASES.values()) <= set(KNOWN)
    assert len(KNOWN) == len(DOCUMENTS)


# The same on made-up rules, to know that it would be noticed.

MODULE = '''\
"""A buffer."""


def take(data):
    """Return it."""
    if not data:
        return data  # again
    return data


class Buffer:
    def take(self):
        return 1
'''
ROW = """\
[[rule]]
source = "RFC 9112, section 2.2"
rule = "A `line` ends with CR LF & not <LF>."
code = "buffer.take"
line = "if not data"
test = "tests/test_buffer.py::test_one"
taught = true
"""
SECOND = ROW.replace("A `line`", "Another line")
OPEN = """\
[[rule]]
source = "RFC 9112, section 10.1"
rule = "Something that nobody does."
covered = false
why = "The module is not written yet."
"""


@pytest.fixture
def course(tmp_path):
    """A repository of one module, with two rules."""
    (tmp_path / "asgi_ref").mkdir()
    (tmp_path / "asgi_ref/buffer.py").write_text(MODULE)
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests/test_buffer.py").write_text("def test_one(): ...\n")
    folder = tmp_path / "chapters/02_buffer"
    folder.mkdir(parents=True)
    (folder / "rules.toml").write_text(ROW + SECOND)
    (folder / "README.md").write_text(
        "# Q\n\n::: chapter 02_buffer\n\n::: rules\n\n::: buffer take\n"
    )
    functions.cache_clear()
    return tmp_path


def found(course, text):
    file = course / "chapters/02_buffer/rules.toml"
    file.write_text(text)
    return list(complaints("02_buffer", file, course))


def test_good_rules_are_accepted(course):
    assert found(course, ROW + SECOND + OPEN) == []


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("buffer.take", "buffer.give", "the name 'give' is not there"),
        ("buffer.take", "bufer.take", "there is no module"),
        ("if not data", "return", "`return` is there 2 times, not once"),
        ("if not data", "return 1", "`return 1` is there 0 times"),
        ("::test_one", "::test_two", "there is no such test"),
        ("::test_one", "", "there is no such test"),
        ("test_buffer.py", "test_bufer.py", "there is no file"),
        ('"tests/test_buffer.py::test_one"', '""', "no test holds this"),
        ("taught = true", "", "1 rules are taught"),
        ("A `line` ends with CR LF & not <LF>.", "Lines", "not a sentence"),
        ("RFC 9112, section 2.2", "ASGI 3.0, section Appl", "no section"),
    ],
)
def test_what_is_wrong_is_named(course, old, new, message):
    assert any(
        message in text
        for text in found(course, ROW.replace(old, new) + SECOND)
    )


def test_more_taught_rules_than_fit_on_a_page(course):
    rows = [ROW.replace("CR LF", f"CR LF {n}") for n in range(6)]
    assert found(course, "".join(rows)) == [
        "6 rules are taught; a page discusses two to five"
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (ROW.replace("line =", "lines ="), "needs line and knows no lines"),
        (ROW.replace("test =", "tests ="), "needs test and knows no tests"),
        (ROW.replace(", section 2.2", ""), "has no section"),
        (OPEN.replace("why", "because"), "needs why and knows no because"),
        (ROW.replace("[[rule]]", "[[rules]]"), "only \\[\\[rule\\]\\]"),
        (ROW.replace("[[rule]]", "[[rule"), "02_buffer/rules.toml: "),
        (ROW + "covered = 1", "covered must be true or false"),
    ],
)
def test_what_cannot_be_read(course, text, message):
    with pytest.raises(CourseError, match=message):
        found(course, text)


def test_a_text_may_be_broken_into_lines(course):
    file = course / "chapters/02_buffer/rules.toml"
    file.write_text(
        ROW.replace('"A `line` ends', '"""\nA `line`\nends').replace(
            '<LF>."', '<LF>."""'
        )
    )
    (row,) = read("02_buffer", file)
    assert row.rule == "A `line` ends with CR LF & not <LF>."


def test_the_order_is_that_of_documents_and_sections():
    texts = [
        *("ASGI 3.0, section Applications", "ASGI 3.0, section Extensions"),
        *("RFC 9110, section 5.1", "RFC 9112, section 2.2"),
        *("RFC 9112, section 9.3", "RFC 9112, section 9.3.1"),
        *("RFC 9112, section 10.1", "RFC 9112, section C.2"),
        *("PEP 3333, section Error Handling", "RFC 1, section 1"),
    ]
    rows = [row_of(text) for text in texts]
    for mixed in itertools.islice(itertools.permutations(rows), 0, None, 9999):
        assert sorted(mixed, key=order) == rows


def row_of(source):
    from chapters._course.ledger import rule_of

    row = {"source": source, "rule": "r", "covered": False, "why": "w"}
    return rule_of("01_listen", row)


# As HTML.


def test_the_page_of_a_chapter(course):
    html = rules_html(course, "02_buffer")
    assert html.count("<tr>") == 3
    assert "A <code>line</code> ends with CR LF &amp; not &lt;LF&gt;." in html
    assert 'rfc9112.html#section-2.2">RFC 9112, section 2.2</a>' in html
    assert '<code>take</code><br/><a href="#buffer-6">buffer.py:6</a>' in html
    assert "<code>tests/test_buffer.py::test_one</code>" in html


def test_a_chapter_without_rules_to_show(course):
    with pytest.raises(CourseError, match="no file 03_request/rules"):
        rules_html(course, "03_request")
    (course / "chapters/02_buffer/rules.toml").write_text(OPEN)
    with pytest.raises(CourseError, match="no row with taught = true"):
        rules_html(course, "02_buffer")


def test_the_ledger(course):
    folder = course / "chapters/_course/rules"
    folder.mkdir(parents=True)
    (folder / "frames.toml").write_text(OPEN)
    html = ledger_html(course)
    to = "02_buffer/README.md"
    assert f'<a href="{to}#buffer-6">buffer.py:6</a>' in html
    assert f'<a href="{to}">chapter\xa002</a>' in html
    assert "<em>Not covered yet:</em> The module is not written" in html
    assert "<td>2</td><td>1</td>" in html
    assert html.index("section 2.2") < html.index("section 10.1")


def test_a_line_that_no_page_shows_is_not_linked(course):
    page = course / "chapters/02_buffer/README.md"
    assert "buffer-6" in anchors_of(course, "02_buffer")
    page.write_text("# Q\n\n::: chapter 02_buffer\n\n::: buffer Buffer\n")
    assert "<br/>buffer.py:6, <a" in ledger_html(course)
    page.unlink()
    assert "<br/>buffer.py:6, chapter\xa002" in ledger_html(course)


def test_both_directives_as_a_page(course):
    markdown = pytest.importorskip("markdown")
    weave = pytest.importorskip("chapters._course.weave")

    def convert(text):
        extension = weave.WeaveExtension(root=str(course))
        return markdown.markdown(text, extensions=[extension])

    page = course / "chapters/02_buffer/README.md"
    html = convert(page.read_text())
    assert '<a href="#buffer-6">buffer.py:6</a>' in html
    assert 'id="buffer-6"' in html
    assert "CR LF &amp; not &lt;LF&gt;." in html
    html = convert("# Ledger\n\n::: ledger\n")
    assert '<h2 id="rfc-9112">RFC 9112: HTTP/1.1</h2>' in html
    assert '<a href="02_buffer/README.md#buffer-6">' in html
    with pytest.raises(CourseError, match="needs `::: chapter"):
        convert("# Ledger\n\n::: rules\n")
