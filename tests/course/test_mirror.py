"""One room, three faces: a module, its chapter, its tests; and the nav."""

import re
from pathlib import Path

import pytest

from chapters._course.source import ORDER, chapter_of
from tests import test_layout

ROOT = Path(__file__).resolve().parents[2]
CHAPTERS = ROOT / "chapters"

# Modules whose chapter is still to be written. The list only shrinks.
TO_BE_WRITTEN = []

MODULES = [module for module in ORDER if module in test_layout.MODULES]
FOLDERS = sorted(
    folder.name
    for folder in CHAPTERS.iterdir()
    if folder.is_dir() and folder.name[0] not in "_."
)
PARTS = "README.md", "lab.py", "exercise.py", "test_exercise.py"
PARTS += "solution.py", "teaching.md"


def is_written(module):
    """Say whether a module has a chapter."""
    return (CHAPTERS / chapter_of(module) / "README.md").is_file()


def nav():
    """Return the pages that mkdocs.yml's nav lists, in its order.

    Read without YAML, which is not in the standard library: each page stands
    on a line of its own.
    """
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    _, _, listed = text.partition("\nnav:\n")
    return re.findall(r"^ +- (?:.*: )?(\S+\.md)$", listed, re.MULTILINE)


def test_the_weaver_knows_the_reading_order():
    assert ORDER == test_layout.ORDER


def test_every_module_has_a_chapter(capsys):
    with capsys.disabled():
        if TO_BE_WRITTEN:
            print(f"\nchapters to be written: {', '.join(TO_BE_WRITTEN)}")
    missing = [module for module in MODULES if not is_written(module)]
    assert not set(missing) - set(TO_BE_WRITTEN)


def test_what_is_written_is_not_listed_as_to_be_written():
    written = [module for module in TO_BE_WRITTEN if is_written(module)]
    assert not written, "take them out of TO_BE_WRITTEN"
    assert set(TO_BE_WRITTEN) <= set(MODULES)


def test_every_folder_is_a_modules_chapter():
    assert set(FOLDERS) <= {chapter_of(module) for module in MODULES}


@pytest.mark.parametrize("name", FOLDERS)
def test_a_chapter_is_complete(name):
    if not (CHAPTERS / name / "README.md").is_file():
        pytest.skip(f"{name} has no page yet")
    missing = [
        part for part in PARTS if not (CHAPTERS / name / part).is_file()
    ]
    assert not missing
    assert list((CHAPTERS / name / "wrong").glob("*.py"))
    module = name.partition("_")[2]
    assert (ROOT / "tests" / f"test_{module}.py").is_file()


def test_the_table_of_contents_is_the_import_order():
    listed = [page for page in nav() if page.endswith("/README.md")]
    assert listed, "mkdocs.yml's nav was not understood"
    chapters = [chapter_of(module) for module in ORDER]
    expected = [f"{name}/README.md" for name in chapters]
    assert listed == [page for page in expected if page in listed]
    written = [f"{n}/README.md" for n in FOLDERS]
    written = [page for page in written if (CHAPTERS / page).is_file()]
    assert not set(written) - set(listed), "not in the nav"


def test_the_nav_has_each_page_once():
    assert len(nav()) == len(set(nav()))
