"""Links: every internal one leads somewhere, and nothing is loaded from far.

Read from the Markdown, with the standard library only. That the built site
asks the network for nothing is held by test_site.py.
"""

import re
import unicodedata
from pathlib import Path

import pytest

from chapters._course.source import Page, directives

ROOT = Path(__file__).resolve().parents[2]
CHAPTERS = ROOT / "chapters"
PAGES = sorted([*CHAPTERS.glob("*.md"), *CHAPTERS.glob("[0-9]*/*.md")])
GLOSSARY = CHAPTERS / "glossary.md"
IDS = [str(page.relative_to(CHAPTERS)) for page in PAGES]
each_page = pytest.mark.parametrize("page", PAGES, ids=IDS)

FENCED = re.compile(r"^ *(```+|~~~+).*?^ *\1[`~]* *$", re.M | re.S)
COMMENT = re.compile(r"<!--.*?-->", re.S)
CODE = re.compile(r"(`+)(?!`).+?(?<!`)\1(?!`)", re.S)
LINK = re.compile(r"(!?)\[(?:[^][]|\[[^][]*\])*\]\(<?([^)\s>]+)")
REFERENCE = re.compile(r"^ {0,3}\[[^]]+\]:\s*<?([^\s>]+)", re.M)
HREF = re.compile(r"""<(\w+)[^>]*?\s(?:href|src)=["']([^"']+)""")
HEADING = re.compile(r"^#{1,6} +(.+?)(?: +#+)?$", re.M)
ID = re.compile(r"""\sid=["']([^"']+)|\{[^}\n]*#([\w-]+)""")
FAR = re.compile(r"([a-z][a-z0-9+.-]*:|//)", re.I)
# The site does not publish these; see exclude_docs in mkdocs.yml.
UNPUBLISHED = {".py", ".txt", ".json", ".toml"}


def without_code(text, spans=True):
    """Return Markdown without what is only shown: code and comments."""
    text = COMMENT.sub("", FENCED.sub("", text))
    return CODE.sub("", text) if spans else text


def links(text):
    """Return (is loaded, target) of each link and image of a page."""
    text = without_code(text)
    found = [(bool(image), to) for image, to in LINK.findall(text)]
    found += [(False, to) for to in REFERENCE.findall(text)]
    found += [(tag.lower() != "a", to) for tag, to in HREF.findall(text)]
    return found


def slug(heading):
    """Return a heading's anchor, as Markdown's `toc` makes it."""
    text = re.sub(r"!?\[([^]]*)\]\([^)]*\)", r"\1", heading)
    text = re.sub(r"<[^>]+>", "", text) if "`" not in text else text
    text = unicodedata.normalize("NFKD", text)
    text = text.encode("ascii", "ignore").decode("ascii")
    text = re.sub(r"[^\w\s-]", "", text).strip().lower()
    return re.sub(r"[-\s]+", "-", text)


def headings(text):
    """Return the headings of a page, with their markup."""
    return HEADING.findall(without_code(text, spans=False))


def anchors(page):
    """Return the anchors of a page: of headings, of HTML, of woven lines."""
    text = page.read_text(encoding="utf-8")
    found = set()
    for heading in headings(text):
        name = first = slug(re.sub(r"\{[^}]*\}$", "", heading))
        number = 0
        while name in found:
            number += 1
            name = f"{first}_{number}"
        found.add(name)
    for html, attribute in ID.findall(without_code(text)):
        found.add(html or attribute)
    woven = directives(text)
    told = Page.of(woven)
    for directive in woven:
        if directive.is_code:
            piece = told.piece(directive)
            if not piece.recall:
                lines = range(piece.first, piece.last + 1)
                found.update(f"{piece.name}-{line}" for line in lines)
    return found


def problem(page, target):
    """Return what is wrong with an internal link, or None."""
    path, _, anchor = target.partition("#")
    file = (page.parent / path).resolve() if path else page
    if path.startswith("/"):
        return "begins with a slash: it would not work from a file"
    if not file.is_file():
        return "there is no such file (a page's name ends in .md)"
    published = file == page or CHAPTERS in file.parents
    if file.suffix in UNPUBLISHED or not published:
        return "that file is not on the site"
    if anchor and anchor not in anchors(file):
        return "there is no such anchor"
    return None


@each_page
def test_internal_links_lead_somewhere(page):
    found = links(page.read_text(encoding="utf-8"))
    near = [to for _, to in found if not FAR.match(to)]
    wrong = {to: problem(page, to) for to in near}
    assert not {to: why for to, why in wrong.items() if why}


@each_page
def test_what_a_page_loads_is_here(page):
    found = links(page.read_text(encoding="utf-8"))
    assert not [to for loaded, to in found if loaded and FAR.match(to)]


def test_every_term_of_the_glossary_is_linked():
    if not GLOSSARY.is_file():
        pytest.skip("there is no glossary yet")
    text = without_code(GLOSSARY.read_text(encoding="utf-8"), spans=False)
    terms = re.findall(r"^### +(.+)$", text, re.M)
    assert terms == sorted(terms, key=slug), "in the alphabet's order"
    linked = set()
    for page in PAGES:
        for _, target in links(page.read_text(encoding="utf-8")):
            path, _, anchor = target.partition("#")
            if page != GLOSSARY and path.endswith("glossary.md"):
                linked.add(anchor)
    assert not [term for term in terms if slug(term) not in linked]


# The reading of Markdown above.


def test_links_are_found_but_not_in_code():
    text = "[a](b.md#c) ![d](e.svg 'f') [`g[0]`](h.md)\n\n[i]: j.md\n"
    text += '<a href="k.md">l</a> <img alt="" src="//m/n.png">\n'
    text += "`[o](p.md)`\n\n```\n[q](r.md)\n```\n<!-- [s](t.md) -->\n"
    assert sorted(links(text)) == [
        (False, "b.md#c"),
        (False, "h.md"),
        (False, "j.md"),
        (False, "k.md"),
        (True, "//m/n.png"),
        (True, "e.svg"),
    ]


@pytest.mark.parametrize(
    ("heading", "expected"),
    [
        ("When must a server say no?", "when-must-a-server-say-no"),
        ("`take_through` and *more*", "take_through-and-more"),
        ("CRLF, a [line](x.md) - end", "crlf-a-line-end"),
        ("Café", "cafe"),
    ],
)
def test_anchors_are_made_as_markdown_makes_them(heading, expected):
    assert slug(heading) == expected
    markdown = pytest.importorskip("markdown")
    html = markdown.markdown(f"# {heading}", extensions=["toc"])
    assert f'id="{expected}"' in html


def test_anchors_of_a_page(tmp_path):
    page = tmp_path / "page.md"
    page.write_text('# A\n\n## A\n\n## B {#b2}\n\n<a id="c"></a>\n')
    assert anchors(page) == {"a", "a_1", "b", "b2", "c"}


@pytest.mark.parametrize(
    ("target", "why"),
    [
        ("#a", None),
        ("#b", "no such anchor"),
        ("/index.md", "slash"),
        ("nothing.md", "no such file"),
        ("02_buffer/", "no such file"),
    ],
)
def test_what_is_wrong_with_a_link(tmp_path, target, why):
    page = tmp_path / "page.md"
    page.write_text("# A\n")
    found = problem(page, target)
    assert (found is None) == (why is None)
    assert (why or "") in (found or "")
