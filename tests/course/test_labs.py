"""Labs: what a page shows as a lab's output is what the lab prints today."""

import difflib
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LABS = sorted(ROOT.glob("chapters/[0-9]*/lab.py"))
SECONDS = 60


def run(lab, seed):
    """Run a lab as its reader does; return what it printed."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment |= {"PYTHONHASHSEED": seed, "PYTHONUTF8": "1"}
    done = subprocess.run(
        [sys.executable, lab.relative_to(ROOT)],
        capture_output=True,
        check=False,
        cwd=ROOT,
        encoding="utf-8",
        env=environment,
        timeout=SECONDS,
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr, "the page shows only what goes to stdout"
    return done.stdout


def difference(recorded, printed):
    """Return a diff of two outputs; empty if they are the same."""
    lines = difflib.unified_diff(
        recorded.splitlines(),
        printed.splitlines(),
        "lab.txt",
        "printed today",
        lineterm="",
    )
    return "\n".join(lines)


@pytest.mark.parametrize("lab", LABS, ids=[lab.parent.name for lab in LABS])
def test_a_lab_prints_what_was_recorded(lab):
    recorded = lab.with_suffix(".txt")
    again = f"python -m chapters record {lab.parent.name}"
    assert recorded.is_file(), f"to record it: {again}"
    text = recorded.read_text(encoding="utf-8")
    # Twice, and with other seeds: no order of a set, no address, no time.
    for seed in "0", "1":
        found = difference(text, run(lab, seed))
        assert not found, f"to record it anew: {again}\n{found}"


def test_a_difference_is_shown():
    assert difference("a\nb\n", "a\nb\n") == ""
    assert "-b\n+c" in difference("a\nb\n", "a\nc\n")
