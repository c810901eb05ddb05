"""Figures: all of the table is in them, and no text lies upon another."""

import importlib
import itertools
import re
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from chapters._course import figures as module  # noqa: E402
from chapters._course.figures import figure_html  # noqa: E402

SVG = "{http://www.w3.org/2000/svg}"
TABLES = [
    "connection.READING",
    "connection.WRITING",
    "body.NEXT_PART",
    "contract.HTTP.order",
    "contract.WEBSOCKET.order",
    "contract.LIFESPAN.order",
]
LAB = """\
LAYOUT = [
    (b"GET", "method"),
    (b" ", ""),
    (b"/" + b"a" * 200, "a target that is longer than a row"),
    (b" ", ""),
    (b"HTTP/1.1", "version"),
    (b"\\r\\n", "end of the line"),
    (b"Host: <a>&\\\\\\r\\n", "field line, with all that XML does not like"),
    (b"\\x81\\xff\\x00", "no text"),
]
TALK = [
    ("client", "server", "GET / HTTP/1.1"),
    ("server", "app", "await app(scope, receive, send) & more <of it>"),
    ("app", "app", "thinks about it for longer than one line of text has"),
    ("app", "server", "http.response.start"),
    ("server", "client", "HTTP/1.1 200 OK"),
    ("client", "app", "a line that goes all the way through, and is long"),
    ("database", "database", "sleeps"),
]
LOOPS = {
    ("a", "x"): "a",
    ("a", "y & <z>"): "a",
    ("a", "a very long name of an event that must be wrapped twice"): "b",
    ("b", "back"): "a",
}
WRONG = {("a", "x"): 1}
NUMBER = [(5, "five")]
CROWD = [("a", "b", ""), ("c", "d", ""), ("e", "e", "")]


def made():
    print("not upon the page")
    return LAYOUT[:2]


def takes(n):
    return n
"""


@pytest.fixture
def chapter(tmp_path):
    (tmp_path / "lab.py").write_text(LAB, encoding="utf-8")
    return tmp_path


def svg_of(html):
    """Return the figure's svg element, which must be well-formed."""
    root = ElementTree.fromstring(html.replace(" role=", " data-role="))
    assert root.tag == "figure"
    return root.find(f".//{SVG}svg")


def texts(svg):
    """Return what each text element says, lines joined with blanks."""
    return [
        "".join(text.itertext()).replace("␣", " ").strip()
        for text in svg.iter(f"{SVG}text")
    ]


def table_of(source):
    name, *attributes = source.split(".")
    value = importlib.import_module(f"asgi_ref.{name}")
    for attribute in attributes:
        value = getattr(value, attribute)
    return value


def overlap(a, b):
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


@pytest.mark.parametrize("source", TABLES)
def test_every_state_and_event_of_a_table_is_drawn(source, chapter):
    html = figure_html("states", source, "what it shows", chapter)
    said = " ".join(texts(svg_of(html)))
    root = ElementTree.fromstring(html)
    rows = [
        tuple("".join(cell.itertext()) for cell in row)
        for row in root.iter("tr")
    ][1:]
    for (state, event), after in table_of(source).items():
        assert all(str(name) in said for name in (state, event, after))
        assert (str(state), str(event), str(after)) in rows
    assert len(rows) == len(table_of(source))


WAY_OUT = re.compile(r"M(\S+) (\S+)H([\d.]+)q")
WAY_BACK = re.compile(r"V([\d.]+)q0 (-?\d+) -6 -?\d+H([\d.]+)$")

DRAWN = [("states", source) for source in [*TABLES, "lab.LOOPS"]]
DRAWN += [("bytes", "lab.LAYOUT"), ("ladder", "lab.TALK")]


@pytest.mark.parametrize(("kind", "source"), DRAWN)
def test_no_text_lies_upon_another(kind, source, chapter):
    value = module.value_of(source, chapter)
    drawing = module.DRAW[kind](value)[0]
    assert drawing.texts
    for a, b in itertools.combinations(drawing.texts, 2):
        assert not overlap(a, b), (a, b)
    for left, top, right, bottom in drawing.texts:
        assert left >= 0
        assert top >= 0
        assert right <= drawing.width
        assert bottom <= drawing.height


@pytest.mark.parametrize("source", [*TABLES, "lab.LOOPS"])
def test_no_line_crosses_a_text(source, chapter):
    drawing = module.draw_states(module.value_of(source, chapter))[0]
    paths = re.findall(r'<path d="(M[^"]+q[^"]+)"', " ".join(drawing.parts))
    assert paths
    for path in paths:
        # To the right, down or up, and back to the left.
        start, leaves, track = map(float, WAY_OUT.match(path).groups())
        turn, curve, edge = map(float, WAY_BACK.search(path).groups())
        arrives = turn + curve
        assert track > max(right for _, _, right, _ in drawing.texts)
        for _, top, right, bottom in drawing.texts:
            assert not (top < leaves < bottom and right > start)
            assert not (top < arrives < bottom and right > edge)


@pytest.mark.parametrize(("kind", "source"), DRAWN)
def test_a_figure_is_a_picture_with_words(kind, source, chapter):
    html = figure_html(kind, source, 'alt "& <text>', chapter)
    svg = svg_of(html)
    title, said = svg.find(f"{SVG}title"), svg.find(f"{SVG}desc")
    assert title.text == 'alt "& <text>'
    assert len(said.text) > 20
    named = svg.get("aria-labelledby").split()
    assert named == [title.get("id"), said.get("id")]
    assert svg.get("data-role") == "img"
    assert all(line.strip() for line in html.splitlines())
    assert html == figure_html(kind, source, 'alt "& <text>', chapter)


def test_bytes_are_all_there_with_escapes_marked(chapter):
    html = figure_html("bytes", "lab.LAYOUT", "a request", chapter)
    svg = svg_of(html)
    said = texts(svg)
    for text in ("GET", "HTTP/1.1", r"\r\n", r"\x81\xff\x00", "method"):
        assert text in said, text
    assert "".join(said).count("a" * 50) == 4, "long ones go on below"
    assert r"Host: <a>&\\\r\n" in said
    marked = [
        span.text for span in svg.iter(f"{SVG}tspan") if span.get("style")
    ]
    assert marked.count(r"\r") == 2
    assert "\\\\" not in marked, "a backslash is a character"


def test_a_ladder_says_who_says_what(chapter):
    svg = svg_of(figure_html("ladder", "lab.TALK", "a talk", chapter))
    said = texts(svg)
    assert {"client", "server", "app", "database"} <= set(said)
    assert "await app(scope, receive, send) & more <of it>" in said


def test_a_function_is_called(chapter, capsys):
    svg = svg_of(figure_html("bytes", "lab.made", "made", chapter))
    assert "GET" in texts(svg)
    assert not capsys.readouterr().out


@pytest.mark.parametrize(
    ("kind", "source", "alt", "message"),
    [
        ("circles", "lab.LAYOUT", "x", "there is states, bytes, ladder"),
        ("bytes", "lab.LAYOUT", " ", "no alternative text"),
        ("bytes", "lab", "x", "write module.attribute"),
        ("states", "nowhere.TABLE", "x", "no module 'nowhere'"),
        ("states", "connection.WAITING", "x", "no 'WAITING'"),
        ("states", "lab.takes", "x", "takes arguments"),
        ("states", "lab.WRONG", "x", "no name of a state"),
        ("states", "lab.LAYOUT", "x", "not a table"),
        ("bytes", "connection.READING", "x", r"not a list of \(bytes, label"),
        ("bytes", "lab.TALK", "x", r"not a list of \(bytes, label"),
        ("bytes", "lab.NUMBER", "x", "5 is not bytes"),
        ("ladder", "lab.LAYOUT", "x", r"not a list of \(sender"),
        ("ladder", "lab.CROWD", "x", "5 take part"),
    ],
)
def test_what_cannot_be_drawn_is_named(kind, source, alt, message, chapter):
    with pytest.raises(ValueError, match=message):
        figure_html(kind, source, alt, chapter)


def test_a_chapter_without_a_lab_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"no .*lab\.py"):
        figure_html("bytes", "lab.LAYOUT", "x", tmp_path)
