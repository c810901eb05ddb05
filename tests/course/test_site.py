"""The site: it builds without a warning and asks the network for nothing."""

import importlib.util
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = [
    pytest.mark.skipif(
        importlib.util.find_spec("mkdocs") is None,
        reason="mkdocs is not installed: pip install -e '.[dev]'",
    ),
    pytest.mark.skipif(
        not (ROOT / "chapters/index.md").is_file(),
        reason="there is no site before it has a front page",
    ),
]

FAR = r"(?:[a-z][a-z0-9+.-]*:)?//"
IN_CSS = re.compile(rf"(?:url\(|@import)\s*[\"']?\s*{FAR}[^\s)]*", re.I)
IN_JS = re.compile(
    r"(?:fetch\(|import\(|importScripts\(|Worker\(|\bfrom|\bimport)\s*"
    rf"[\"'`]{FAR}[^\s)]*"
)
LOADED = {"src", "srcset", "poster", "data", "background"}


class Loads(HTMLParser):
    """Collects what a page loads from elsewhere; links are not loaded."""

    def __init__(self):
        super().__init__()
        self.found, self.inside = [], ""

    def handle_starttag(self, tag, attrs):
        self.inside = tag
        attrs = {name: value or "" for name, value in attrs}
        loaded = [attrs[name] for name in LOADED & set(attrs)]
        if tag == "link" and attrs.get("rel") not in {"canonical", "prev"}:
            loaded.append(attrs.get("href", ""))
        if tag in {"use", "image"}:
            loaded += [attrs.get("href", ""), attrs.get("xlink:href", "")]
        loaded = [url.strip() for url in loaded]
        self.found += [url for url in loaded if re.match(FAR, url, re.I)]
        self.found += IN_CSS.findall(attrs.get("style", ""))
        # The theme would fetch the script that draws these from a CDN.
        if "mermaid" in attrs.get("class", "").split():
            self.found.append("mermaid")

    def handle_data(self, data):
        if self.inside == "style":
            self.found += IN_CSS.findall(data)
        if self.inside == "script":
            self.found += IN_JS.findall(data)


def loads(html):
    """Return what a page loads from elsewhere."""
    reader = Loads()
    reader.feed(html)
    reader.close()
    return reader.found


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Build the site; return its directory and what mkdocs said."""
    site = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict"]
    done = subprocess.run(
        [*command, "--site-dir", site],
        capture_output=True,
        check=False,
        cwd=ROOT,
        encoding="utf-8",
        # The theme advertises its successor; that is not a warning of ours.
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        timeout=300,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    return site, said


def test_the_site_builds_without_a_warning(built):
    _, said = built
    assert "WARNING" not in said, said


def test_pages_load_nothing_from_elsewhere(built):
    site, _ = built
    pages = sorted(site.rglob("*.html"))
    assert pages
    far = {page: loads(page.read_text(encoding="utf-8")) for page in pages}
    assert not {page: found for page, found in far.items() if found}


@pytest.mark.parametrize("kind", ["css", "js"])
def test_styles_and_scripts_load_nothing_from_elsewhere(built, kind):
    site, _ = built
    far = {"css": IN_CSS, "js": IN_JS}[kind]
    found = {
        file: far.findall(file.read_text(encoding="utf-8"))
        for file in sorted(site.rglob(f"*.{kind}"))
    }
    assert found
    assert not {file: urls for file, urls in found.items() if urls}


def test_what_makes_pages_is_not_published(built):
    site, _ = built
    kinds = {".py", ".pyc", ".txt", ".toml", ".md"}
    files = [file for file in site.rglob("*") if file.suffix in kinds]
    assert not files


@pytest.mark.parametrize(
    ("html", "found"),
    [
        ('<img src="https://x/y.png">', 1),
        ('<script src="//x/y.js"></script>', 1),
        ('<link rel="stylesheet" href="http://x/y.css">', 1),
        ('<link rel="canonical" href="http://x/">', 0),
        ('<a href="https://x/">y</a>', 0),
        ("<p style=\"background: url('https://x/y.png')\">", 1),
        ("<style>@import 'https://x/y.css';</style>", 1),
        ('<script>fetch("https://x/")</script>', 1),
        ('<script>fetch("walk.json")</script>', 0),
        ('<svg><image href="https://x/y.svg"/></svg>', 1),
        ('<pre class="mermaid">', 1),
        ('<img src="y.png"><style>a { b: url(data:x) }</style>', 0),
    ],
)
def test_what_loading_is(html, found):
    assert len(loads(html)) == found
