"""Side by side: that all is measured and drawn; not how long it took."""

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from chapters._course import compare
from chapters._course.compare import Run, Visit

ROOT = Path(__file__).resolve().parents[2]
QUICK = ["--clients", "3", "--threads", "2", "--seconds", "0.02"]


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """All of it, in a hurry: what was printed, and the folder drawn in."""
    folder = tmp_path_factory.mktemp("compare")
    command = [sys.executable, "-m", "chapters", "compare", *QUICK]
    result = subprocess.run(
        [*command, "--svg", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        encoding="utf-8",
        env={"PYTHONIOENCODING": "utf-8"},
        timeout=100,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout, folder


SERVERS = ["one thread", "2 threads", "asyncio", "asyncio with time.sleep"]


@pytest.mark.parametrize("scenario", compare.SCENARIOS)
def test_each_server_and_each_client_has_a_line(done, scenario):
    out, _ = done
    part = out[out.index(f"{scenario}: ") :]
    part = part[: part.index("drawn in")]
    names = [s for s in SERVERS if f"\n{s}: " in part]
    assert names == SERVERS
    lines = [line.split()[:2] for line in part.splitlines()]
    for number in "123":
        assert lines.count(["client", number]) == len(SERVERS)
    news = [line for line in part.splitlines() if " news " in line]
    assert len(news) == (len(SERVERS) if scenario == "poll" else 0)


@pytest.mark.parametrize("scenario", compare.SCENARIOS)
def test_the_drawing_has_words_and_the_pages_colour(done, scenario):
    _, folder = done
    file = folder / f"compare-{scenario}.svg"
    root = ElementTree.fromstring(file.read_text(encoding="utf-8"))
    space = "{http://www.w3.org/2000/svg}"
    assert root.get("role") == "img"
    assert root.get("fill") == "currentColor"
    assert root.find(f"{space}title").text.startswith(scenario)
    words = root.find(f"{space}desc").text
    for server in SERVERS:
        assert f"{server}: " in words
    names = root.get("aria-labelledby").split()
    assert names == [root[0].get("id"), root[1].get("id")]


def test_all_bars_lie_within_the_picture(done):
    _, folder = done
    for file in folder.glob("*.svg"):
        root = ElementTree.fromstring(file.read_text(encoding="utf-8"))
        _, _, width, height = map(float, root.get("viewBox").split())
        for shape in root.iter("{http://www.w3.org/2000/svg}rect"):
            right = float(shape.get("x")) + float(shape.get("width"))
            assert 0 <= right <= width
            assert float(shape.get("y")) < height


def visits():
    one = Visit("client 1", 0.0, 0.0, 1.0, body=b"piece")
    two = Visit("client 2", 0.0, 1.0, 2.0, [0.5], b"nothing")
    return [one, two]


def test_the_timeline_shows_who_waited_for_whom():
    drawn = compare.text([Run("poll", "one thread", visits(), 2, 24.0)])
    half = compare.COLUMNS // 2
    assert "one thread: 2.00 s, 2 threads, 24 MiB" in drawn
    assert f"client 1 {'█' * half}\n" in drawn
    waits = "░" * (half // 2) + "×" + "░" * (half // 2 - 1)
    assert f"client 2 {waits}{'█' * half} gave up\n" in drawn


def test_what_is_unknown_is_not_made_up():
    run = Run("wait", "asyncio", visits())
    assert compare.summary(run) == "2.00 s, ? threads, ? MiB"


def test_the_words_say_what_the_drawing_shows():
    words = compare.alternative(Run("poll", "one thread", visits(), 2, 24.0))
    assert "2 clients" in words
    assert "the longest wait for a turn was 1.00 s" in words
    assert "1 times told 503" in words
    assert "1 gave up without news" in words


@pytest.mark.parametrize("count", ["0", "101", "x"])
def test_the_number_of_clients_is_bounded(count, capsys):
    with pytest.raises(SystemExit):
        compare.main(["--clients", count])
    assert "--clients" in capsys.readouterr().err
