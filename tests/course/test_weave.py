"""The weaver: what directives mean, what stops a build, what is shown."""

from pathlib import Path

import pytest

from chapters._course.source import (
    CourseError,
    Page,
    directives,
    find,
    parse,
    symbols,
)

ROOT = Path(__file__).resolve().parents[2]
CHAPTERS = ROOT / "chapters"
PAGES = sorted(CHAPTERS.glob("[0-9]*/*.md")) + sorted(CHAPTERS.glob("*.md"))
WRITTEN = sorted(CHAPTERS.glob("[0-9]*/README.md"))

each_chapter = pytest.mark.parametrize(
    "page", WRITTEN, ids=[page.parent.name for page in WRITTEN]
)
each_page = pytest.mark.parametrize(
    "page", PAGES, ids=[str(page.relative_to(CHAPTERS)) for page in PAGES]
)

BUFFER = '''\
"""A buffer.

More of it.
"""

import re

LIMIT = 10  # bytes


# What a line ends with,
# in bytes.

END: bytes = b"`"


@final
class Buffer:
    """Bytes."""

    size = 0

    # Taking.

    def take(self):
        return self.size
        # at the end

    def look(self):
        return self.size


def has_end(data):
    return END in data
'''

LAB = """\
def first_try():
    print(1)
"""

LAB_TXT = """\
== first try ==
1 < 2

== fixed ==
two
"""


def numbered(text):
    return dict(enumerate(text.splitlines(), 1))


# Finding symbols.


@pytest.mark.parametrize(
    ("wanted", "first", "last"),
    [
        ("docstring", '"""A buffer.', '"""'),
        ("imports", "import re", "import re"),
        ("docstring..imports", '"""A buffer.', "import re"),
        ("LIMIT", "LIMIT = 10  # bytes", "LIMIT = 10  # bytes"),
        ("END", "# What a line ends with,", 'END: bytes = b"`"'),
        ("Buffer", "@final", "        return self.size"),
        ("class Buffer", "@final", "    size = 0"),
        ("Buffer.size", "    size = 0", "    size = 0"),
        ("Buffer.take", "    # Taking.", "        return self.size"),
        ("Buffer.look", "    def look(self):", "        return self.size"),
        ("LIMIT..Buffer.size", "LIMIT = 10  # bytes", "    size = 0"),
        ("Buffer.look..end", "    def look(self):", "    return END in data"),
        ("6", "import re", "import re"),
        ("6-8", "import re", "LIMIT = 10  # bytes"),
    ],
)
def test_a_symbol_is_found_with_what_belongs_to_it(wanted, first, last):
    lines = numbered(BUFFER)
    begin, end = find(BUFFER, wanted)
    assert (lines[begin], lines[end]) == (first, last)


def test_a_class_without_methods_is_its_own_head():
    text = "class A(Exception):\n    '''A.'''\n\n\nB, (C, D) = 1, (2, 3)\n"
    assert find(text, "class A") == find(text, "A") == (1, 2)
    assert {name for name, _, _ in symbols(text)} >= {"B", "C", "D"}


def test_names_behind_a_condition_are_found():
    text = "if x:\n    def f(): pass\nelse:\n    y = 1\n"
    assert find(text, "f") == (2, 2)
    assert find(text, "y") == (4, 4)


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        ("Nobody", "not there"),
        ("Buffer.nothing", "not there"),
        ("has_end..LIMIT", "LIMIT stands before has_end"),
        ("30-99", "no such lines"),
        ("0-3", "no such lines"),
        ("9-3", "no such lines"),
    ],
)
def test_what_cannot_be_found(wanted, reason):
    with pytest.raises(CourseError, match=reason):
        find(BUFFER, wanted)


def test_a_name_defined_twice_is_ambiguous():
    with pytest.raises(CourseError, match="more than once"):
        find("A = 1\nA = 2\n", "A")


# Reading pages.


def test_a_directive_is_cut_out_with_its_list():
    text = (
        "Before.\n\n::: buffer END\n\n- `a` one\n  more\n\n    last\n- `b`\n"
    )
    before, _, directive, *after = parse(text + "\nAfter.")
    assert (before, after) == ("Before.", ["", "After."])
    assert directive.words == ["buffer", "END"]
    assert directive.items == ["`a` one\nmore\n\n  last", "`b`"]


def test_a_list_after_a_sentence_is_a_list():
    (found,) = directives("::: buffer END\n\nText.\n\n- one\n")
    assert found.items == []


def test_only_code_and_stops_have_lists():
    _, *rest = parse("::: outline\n\n- one")
    assert rest == ["", "- one"]


@pytest.mark.parametrize("fence", ["```", "~~~~", "  ```"])
def test_fenced_code_is_left_alone(fence):
    text = f"{fence}text\n::: buffer END\n{fence}\n::: outline\n"
    assert [each.text for each in directives(text)] == ["::: outline"]


def test_a_longer_fence_holds_a_shorter_one():
    text = "````\n```\n::: a\n```\n::: b\n````\n::: outline\n"
    assert [each.text for each in directives(text)] == ["::: outline"]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("    ::: outline", "column one"),
        (":::outline", "column one"),
        (":::", "column one"),
        ("::: ", "without a word"),
        ('::: figure states "open', "No closing quotation"),
    ],
)
def test_a_directive_that_cannot_be_read(line, reason):
    with pytest.raises(CourseError, match=rf"line 2: .*{reason}"):
        parse(f"Text.\n{line}\n")


# A course of one chapter, to weave.


@pytest.fixture
def course(tmp_path):
    (tmp_path / "asgi_ref").mkdir()
    (tmp_path / "asgi_ref/buffer.py").write_text(BUFFER)
    (tmp_path / "asgi_ref/listen.py").write_text('"""Listen & wait."""\n')
    folder = tmp_path / "chapters/02_buffer"
    folder.mkdir(parents=True)
    (folder / "README.md").touch()
    (folder / "lab.py").write_text(LAB)
    (folder / "lab.txt").write_text(LAB_TXT)
    return tmp_path


@pytest.fixture
def weave(course):
    """Return a function from a page's text to its HTML."""
    markdown = pytest.importorskip("markdown")
    weave = pytest.importorskip("chapters._course.weave")

    def convert(text, chapter="::: chapter 02_buffer"):
        extension = weave.WeaveExtension(root=str(course))
        extensions = ["md_in_html", "fenced_code", extension]
        return markdown.markdown(f"{chapter}\n\n{text}", extensions=extensions)

    return convert


def read(course, text):
    found = directives(f"::: chapter 02_buffer\n{text}")
    return Page.of(found, course), found[1]


def test_a_piece_has_its_true_lines(course):
    page, directive = read(course, "::: buffer has_end")
    piece = page.piece(directive)
    assert (piece.first, piece.last) == (33, 34)
    assert piece.lines == ["def has_end(data):", "    return END in data"]
    assert not piece.recall


def test_a_note_finds_its_line(course):
    text = '::: buffer END\n- `` b"`" `` Why.\n- `in bytes.`\n  And so on.'
    page, directive = read(course, text)
    notes = page.notes(directive, page.piece(directive))
    assert notes == [(14, 'b"`"', "Why."), (12, "in bytes.", "And so on.")]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("::: buffer END\n- `nowhere` Why.", "`nowhere` is there 0 times"),
        ("::: buffer END\n- `i` Why.", "`i` is there 3 times"),
        ("::: buffer END\n- Why.", "no `fragment` begins 'Why.'"),
        ("::: buffer", "what of it?"),
        ("::: buffer recall", "what of it?"),
        ("::: listen docstring", "add `recall`"),
        ("::: nothing x", "there is no module 'nothing'"),
        ("::: wsgi x", "there is no file asgi_ref/wsgi.py"),
        ("::: exercise.py x", "no file chapters/02_buffer/exercise.py"),
        ("::: lab.py x", "the name 'x' is not there"),
    ],
)
def test_code_that_cannot_be_shown(course, text, reason):
    page, directive = read(course, text)
    with pytest.raises(CourseError, match=reason):
        page.notes(directive, page.piece(directive))


def test_a_part_of_the_output(course):
    page, directive = read(course, "::: output first try")
    assert page.output(directive) == "1 < 2"
    page, directive = read(course, "::: output fixed open")
    assert page.output(directive) == "two"


def test_output_that_is_not_there(course):
    page, directive = read(course, "::: output second try")
    with pytest.raises(CourseError, match="no part 'second try'"):
        page.output(directive)
    (page.folder / "lab.txt").unlink()
    with pytest.raises(CourseError, match=r"no file .*lab\.txt"):
        page.output(directive)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("::: outline\n::: chapter 02_buffer", "stands first"),
        ("::: chapter 02_buffer\n::: chapter 02_buffer", "stands first"),
        ("::: chapter", "stands first"),
        ("::: chapter 03_buffer", "not a chapter's folder"),
        ("::: chapter 02_bufer", "no module 'bufer'"),
    ],
)
def test_a_page_that_is_in_no_chapter(text, reason):
    with pytest.raises(CourseError, match=reason):
        Page.of(directives(text))


def test_the_front_page_shows_the_package_and_recalls(course):
    (course / "asgi_ref/__init__.py").write_text('"""All."""\n')
    found = directives("::: __init__ docstring\n::: outline\n")
    page = Page.of(found, course)
    assert page.piece(found[0]).lines == ['"""All."""']
    with pytest.raises(CourseError, match="needs `::: chapter"):
        page.folder  # noqa: B018


# As HTML. Markdown and Pygments come with mkdocs.


def test_code_as_html(weave):
    html = weave('::: buffer LIMIT..END\n\n- `` b"`" `` See [this](x.md).')
    assert '<span class="course-line" id="buffer-8">' in html
    assert 'data-no="8" href="#buffer-8"' in html
    assert "<span>asgi_ref/buffer.py</span>" in html
    assert 'href="#buffer-14-note-1"' in html
    assert '<li id="buffer-14-note-1">' in html
    assert '<a href="x.md">this</a>' in html
    assert '<code>b"`"</code> See' in html


def test_code_is_not_read_as_markdown(weave, course):
    text = "A = '*a* [b](c) <i> &amp; `d` {#e}'\n"
    (course / "asgi_ref/buffer.py").write_text(text)
    html = weave("::: buffer A")
    assert "*a* [b](c) &lt;i&gt; &amp;amp; `d` {#e}" in html


def test_a_recall_is_marked_and_has_no_anchor(weave, course):
    (course / "chapters/01_listen").mkdir()
    (course / "chapters/01_listen/README.md").touch()
    html = weave("::: listen docstring recall\n\n::: buffer LIMIT recall")
    link = '<a href="../01_listen/README.md#listen-1">chapter 01</a>'
    assert f"recall: from {link}" in html
    assert 'recall: <a href="#buffer-8">above</a>' in html
    assert 'id="listen-1"' not in html


def test_a_line_shown_twice_has_one_anchor(weave):
    html = weave("::: lab.py first_try\n\n::: lab.py first_try")
    assert html.count('id="lab-1"') == 1
    assert html.count('data-no="1"') == 2


def test_output_as_html(weave):
    folded, unfolded = weave(
        "::: output first try\n\nThen:\n\n::: output fixed open"
    ).split("Then:")
    assert "Predict first. Then open: <em>" in folded
    assert "1 &lt; 2" in folded
    assert ' open="' not in folded
    assert ' open="' in unfolded


def test_stops_as_html(weave):
    html = weave(
        "::: buffer Buffer.take\n\n::: stops\n\n"
        "- lab.py `print(1)`\n  where: first_try\n  look: `1 < 2`\n"
        "  expect: `True`\n  See *this*.\n"
        "- buffer `# Taking.`\n  where: take\n  look: `b`\n  expect: `2`\n"
        "  And this."
    )
    assert "python -m pdb chapters/02_buffer/lab.py" in html
    assert "</span>tbreak chapters/02_buffer/lab.py:2\n" in html
    assert "</span>p 1 &lt; 2\n" in html
    assert "<em>this</em>" in html
    assert '<a href="#buffer-23"><code>asgi_ref/buffer.py:23</code>' in html


def test_an_outline_as_html(weave):
    html = weave("::: outline")
    assert "Listen &amp; wait." in html
    assert "<code>has_end</code>" in html
    assert '<li class="course-here">' in html


def test_directives_in_html_blocks(weave):
    html = weave(
        "<details markdown>\n<summary>Why?</summary>\n\n*So.*\n\n"
        "::: lab.py first_try\n\n</details>"
    )
    assert "<em>So.</em>" in html
    assert 'id="lab-1"' in html.partition("</details>")[0]


def test_a_mistake_names_page_directive_and_reason(weave):
    with pytest.raises(Exception, match="02_buffer") as caught:
        weave("Text.\n\n::: buffer Nobody")
    expected = "02_buffer: `::: buffer Nobody`: the name 'Nobody' is not there"
    assert str(caught.value) == expected


def test_a_mistake_elsewhere_is_named_too(weave):
    with pytest.raises(Exception, match=r"`::: player`: there is no file"):
        weave("::: player")


# The chapters there are.


@each_page
def test_each_directive_parses(page):
    found = directives(page.read_text(encoding="utf-8"))
    told = Page.of(found)
    assert told.chapter in {None, page.parent.name}
    for directive in found:
        if directive.is_code:
            told.notes(directive, told.piece(directive))
        elif directive.words[0] == "output":
            told.output(directive)


def ranges(numbers):
    """Return line numbers as a reader would say them: 3-5, 9."""
    said = []
    for number in numbers:
        if said and said[-1][1] == number - 1:
            said[-1][1] = number
        else:
            said.append([number, number])
    return ", ".join(f"{a}-{b}" if a != b else f"{a}" for a, b in said)


def test_line_numbers_are_said_in_short():
    assert ranges([3, 4, 5, 9]) == "3-5, 9"


@each_chapter
def test_the_module_is_shown_whole_once_and_in_order(page):
    name = page.parent.name
    found = directives(page.read_text(encoding="utf-8"))
    told = Page.of(found)
    assert told.chapter == name, f"the page needs `::: chapter {name}`"
    pieces = [told.piece(each) for each in found if each.is_code]
    shown = {}
    for piece in pieces:
        if piece.file.parent.name == "asgi_ref" and not piece.recall:
            numbers = range(piece.first, piece.last + 1)
            shown.setdefault(piece.file, []).extend(numbers)
    modules = [ROOT / f"asgi_ref/{name.partition('_')[2]}.py"]
    if name.endswith("_config"):
        modules.append(ROOT / "asgi_ref/__main__.py")
    assert set(shown) <= set(modules), "another chapter's module"
    for module in modules:
        numbers = shown.get(module, [])
        lines = numbered(module.read_text(encoding="utf-8"))
        expected = [n for n, line in lines.items() if line.strip()]
        numbers = [n for n in numbers if lines[n].strip()]
        missing = [n for n in expected if n not in numbers]
        assert not missing, f"{module.name}: not shown: {ranges(missing)}"
        twice = [n for n in expected if numbers.count(n) > 1]
        assert not twice, f"{module.name}: shown twice: {ranges(twice)}"
        assert numbers == expected, f"{module.name}: not in file order"
