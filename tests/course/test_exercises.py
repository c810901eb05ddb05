"""The exercises: starters fail and teach, solutions pass, wrong ones do not.

One run of pytest, in a process of its own, checks all answers of all chapters.
"""

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).resolve().parents[2]
STARTER, SOLUTION, WRONG = "exercise.py", "solution.py", "wrong/*.py"
ENVIRON = {
    **os.environ,
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONIOENCODING": "utf-8",
    # Other people's plugins make a run no better, and it starts later.
    "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
}
WORDS = 7  # fewer do not say what is wrong and why it matters


def numbered(chapters):
    """Return the folders of the chapters that have an exercise."""
    return sorted(file.parent for file in chapters.glob("*/exercise.py"))


def run(chapters, *arguments):
    """Run pytest as a reader does; return what became of it."""
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"]
    return subprocess.run(
        [*command, *arguments],
        cwd=chapters.parent,
        env=ENVIRON,
        capture_output=True,
        encoding="utf-8",
        timeout=110,
    )


def check(chapters, report):
    """Check all chapters' answers in one run; return the messages.

    {(chapter, answer): [message of a failed check, ...]}; passing checks
    add nothing to the list. report: a file to write.
    """
    options = [f"--answer={name}" for name in (STARTER, SOLUTION, WRONG)]
    done = run(chapters, str(chapters), f"--junit-xml={report}", *options)
    # 2 and more: interrupted, wrong usage, or a check that is no Python.
    assert done.returncode in (0, 1), done.stdout + done.stderr
    found = {}
    for case in ElementTree.parse(report).iter("testcase"):
        said = {node.get("name"): node.get("value") for node in case.iter()}
        if "answer" in said:
            messages = found.setdefault((said["chapter"], said["answer"]), [])
            messages += [node.text for node in case.iter("failure")]
        broken = "".join(node.text for node in case.iter("error"))
        assert not broken, f"{case.get('classname')}: {broken}"
    return found


@pytest.fixture(scope="module")
def checked(tmp_path_factory):
    """Return what check() says of the course."""
    report = tmp_path_factory.mktemp("exercises") / "report.xml"
    return check(ROOT / "chapters", report)


def judge(folder, checked):
    """Return what is wrong with the exercise of a chapter."""
    wrong = sorted((folder / "wrong").glob("*.py"))
    if not 1 <= len(wrong) <= 3:
        yield f"{len(wrong)} answers in wrong/; one to three are wanted"
    starter = checked.get((folder.name, STARTER), [])
    if not starter:
        yield "the check passes on exercise.py, or does not use `answer`"
    for message in starter:
        if not teaches(message):
            yield f"on exercise.py the check does not teach: {message}"
    for message in checked.get((folder.name, SOLUTION), [":: not checked"]):
        yield f"the check fails on solution.py: {message}"
    for file in wrong:
        messages = checked.get((folder.name, f"wrong/{file.name}"), [])
        reason = reason_of(file)
        if not messages:
            yield f"the check passes on wrong/{file.name}"
        elif plain(reason) not in plain(" ".join(messages)):
            yield f"wrong/{file.name} fails, but not with: {reason}"


def teaches(message):
    """Say whether a failed check begins with a sentence that was written.

    Not with the comparison that pytest writes, nor with an exception.
    """
    sentence = message.partition("\n\n")[0]
    made = re.match(r"assert |\w+(\.\w+)*: ", sentence)
    return len(sentence.split()) >= WORDS and not (made and is_made(made[0]))


def is_made(start):
    """Say whether a message's first word is a comparison or an exception."""
    return start == "assert " or start.endswith(("Error: ", "Exception: "))


def reason_of(file):
    """Return the first line of a file's docstring."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return (ast.get_docstring(tree) or "no docstring").splitlines()[0]


def plain(text):
    """Return a text as it is compared: lines, case and full stop are free."""
    return " ".join(text.casefold().split()).removesuffix(".")


@pytest.mark.parametrize(
    "folder", numbered(ROOT / "chapters"), ids=lambda folder: folder.name
)
def test_exercise(folder, checked):
    assert list(judge(folder, checked)) == []


# The same on a made-up chapter, to know that it would be noticed.

EXERCISE = '''"""Return the first line, or None."""
def first_line(data):
    return data
'''
ANSWER = '''"""One good answer."""
def first_line(data):
    line, end, rest = data.partition(b"\\r\\n")
    return line if end else None
'''
BARE = '''"""A bare LF ends no line."""
def first_line(data):
    line, end, rest = data.partition(b"\\n")
    return line.rstrip(b"\\r") if end else None
'''
CHECK = '''"""The check."""
def test_half(answer):
    got = answer.first_line(b"GET")
    assert got is None, (
        "The end of the line has not come yet: return None and wait."
    )
def test_bare(answer):
    got = answer.first_line(b"GET\\nx")
    assert got is None, "RFC 9112, section 2.2: a bare LF ends no line here."
'''


@pytest.fixture
def chapters(tmp_path):
    """Return a folder with two chapters, their exercises not done."""
    chapters = tmp_path / "chapters"
    for name in "01_one", "02_two":
        (chapters / name / "wrong").mkdir(parents=True)
        (chapters / name / "exercise.py").write_text(EXERCISE)
        (chapters / name / "solution.py").write_text(ANSWER)
        (chapters / name / "wrong" / "bare.py").write_text(BARE)
        (chapters / name / "test_exercise.py").write_text(CHECK)
    for name in "conftest.py", "__main__.py":
        shutil.copy(ROOT / "chapters" / name, chapters)
    return chapters


def complaints(chapters, tmp_path):
    """Return what judge() has to say about the first chapter."""
    checked = check(chapters, tmp_path / "report.xml")
    return list(judge(chapters / "01_one", checked))


def test_a_good_exercise_is_accepted(chapters, tmp_path):
    assert complaints(chapters, tmp_path) == []


def test_all_that_can_be_wrong_is_found(chapters, tmp_path):
    one = chapters / "01_one"
    (one / "wrong" / "good.py").write_text(ANSWER)
    (one / "wrong" / "why.py").write_text(BARE.replace("bare", "naked"))
    (one / "wrong" / "many.py").write_text(BARE)
    (one / "solution.py").write_text(BARE)
    (one / "test_exercise.py").write_text(CHECK)
    found = complaints(chapters, tmp_path)
    assert found[0].startswith("4 answers in wrong/")
    assert "fails on solution.py: RFC 9112" in found[1]
    assert found[2] == "the check passes on wrong/good.py"
    assert (
        found[3]
        == "wrong/why.py fails, but not with: A naked LF ends no line."
    )
    assert len(found) == 4, found


def test_what_a_starter_can_do_wrong_is_found(chapters, tmp_path):
    one, two = numbered(chapters)
    (one / "exercise.py").write_text(ANSWER)
    bare = CHECK.replace(', "RFC', ' or "RFC').replace('"RFC', '"" and "RFC')
    (two / "test_exercise.py").write_text(bare)
    checked = check(chapters, tmp_path / "report.xml")
    passes = "the check passes on exercise.py, or does not use `answer`"
    assert list(judge(one, checked)) == [passes]
    found = list(judge(two, checked))
    assert found[0].startswith(
        "on exercise.py the check does not teach: assert"
    )


@pytest.mark.parametrize(
    ("message", "good"),
    [
        ("assert a is b and c is d and e is f", False),
        ("TypeError: f() missing 1 required positional argument: 'x'", False),
        ("Too short: say more.", False),
        ("The end of the line has not come yet: wait.\n\nassert 1 is 2", True),
        ("RFC 9112: white space before the colon is refused.", True),
    ],
)
def test_what_counts_as_teaching(message, good):
    assert teaches(message) == good


def test_a_failed_check_says_what_is_to_be_learned_first(chapters):
    done = run(chapters, "chapters/01_one")
    assert done.returncode == 1
    report = done.stdout.partition("test_half[exercise.py] ___")[2]
    _, message, empty, values, *_ = report.splitlines()
    assert message.startswith("The end of the line has not come yet")
    assert (empty, values) == ("", "assert b'GET' is None")
    assert "def test_half" not in done.stdout


def test_all_chapters_in_one_run(chapters):
    done = run(chapters, "chapters", "--answer", SOLUTION)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 passed" in done.stdout


def test_an_answer_that_does_not_run_is_no_riddle(chapters):
    (chapters / "01_one" / "exercise.py").write_text("def first_line(:")
    done = run(chapters, "chapters/01_one")
    assert done.returncode == 1
    assert "SyntaxError: invalid syntax (exercise.py, line 1)" in done.stdout


def test_an_answer_that_lies_elsewhere(chapters):
    own = chapters.parent / "my answer.py"
    own.write_text(ANSWER)
    done = run(chapters, "chapters/01_one", "--answer", str(own))
    assert "2 passed" in done.stdout


def test_an_answer_that_is_not_there(chapters):
    done = run(chapters, "chapters/01_one", "--answer", "best.py")
    assert done.returncode == 1
    assert "There is no file best.py" in done.stdout


def test_an_answer_that_waits_for_ever_is_stopped(chapters):
    slow = (chapters / "conftest.py").read_text()
    quick = slow.replace("SECONDS = 10", "SECONDS = 1")
    assert quick != slow
    (chapters / "conftest.py").write_text(quick)
    endless = "def first_line(data):\n    while True: pass\n"
    (chapters / "01_one" / "exercise.py").write_text(endless)
    done = run(chapters, "chapters/01_one", "-x")
    assert done.returncode == 1
    assert "1 seconds have passed and the check still runs" in done.stdout


# The overview.


def overview(chapters, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "chapters", *arguments],
        cwd=chapters.parent,
        env=ENVIRON,
        capture_output=True,
        encoding="utf-8",
        timeout=110,
    )


def git(folder, *arguments):
    name = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
    subprocess.run(["git", *name, *arguments], cwd=folder, check=True)


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not there")
def test_the_overview(chapters):
    git(chapters.parent, "init", "-q")
    git(chapters.parent, "add", ".")
    git(chapters.parent, "commit", "-qm", "start")
    (chapters / "01_one" / "exercise.py").write_text(ANSWER)
    done = overview(chapters)
    assert done.returncode == 0, done.stderr
    assert "✓ 01 one\n· 02 two\n" in done.stdout
    assert "1 of 2 exercises pass" in done.stdout
    assert f"next: {Path('chapters/02_two/exercise.py')}\n" in done.stdout
    (chapters / "02_two" / "exercise.py").write_text(BARE)
    assert "✓ 01 one\n✗ 02 two\n" in overview(chapters).stdout


def test_the_overview_of_a_course_that_is_done(chapters):
    for name in "01_one", "02_two":
        (chapters / name / "exercise.py").write_text(ANSWER)
    done = overview(chapters)
    assert "2 of 2 exercises pass" in done.stdout
    assert "next:" not in done.stdout


def test_an_unknown_command(chapters):
    done = overview(chapters, "recrod")
    assert done.returncode == 2
    assert "invalid choice: 'recrod'" in done.stderr
    assert overview(chapters, "--help").returncode == 0


def test_the_command_record_is_handed_on(chapters):
    folder = chapters / "_course"
    folder.mkdir()
    text = "def main(arguments):\n    print(arguments)\n    return 3\n"
    (folder / "record.py").write_text(text)
    done = overview(chapters, "record", "--check", "03")
    assert (done.returncode, done.stdout) == (3, "['--check', '03']\n")
