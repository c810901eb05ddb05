"""The course on the command line: `python -m chapters`.

Without a command it runs the check of every chapter's exercise and says
which pass and which is next.
"""

import argparse
import importlib.util
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent

PASSES, NOT_BEGUN, FAILS = "✓", "·", "✗"
NO_PYTEST = "The checks need pytest: python -m pip install -e '.[dev]'"


def main(arguments=None):
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m chapters",
        description="Say which exercises of the course pass.",
        epilog="record [NN]: record the labs' output and the walks anew, "
        "of all chapters or of one.",
    )
    parser.add_argument("command", nargs="?", choices=["record"])
    parser.add_argument("arguments", nargs=argparse.REMAINDER)
    options = parser.parse_args(arguments)
    if options.command == "record":
        # Only who writes chapters needs it.
        from chapters._course import record

        return record.main(options.arguments)
    return overview()


def overview(chapters=HERE):
    """Print which exercises pass, and the next one to do."""
    if importlib.util.find_spec("pytest") is None:
        print(NO_PYTEST, file=sys.stderr)
        return 2
    folders = sorted(file.parent for file in chapters.glob("*/exercise.py"))
    touched = changed(chapters)
    open_ones = []
    # Each check runs in a process of its own: one that hangs or crashes
    # must not take the others along.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for folder, passed in zip(
            folders, pool.map(passes, folders), strict=True
        ):
            file = folder / "exercise.py"
            mark = FAILS if file in touched else NOT_BEGUN
            if not passed:
                open_ones.append(file)
            name = folder.name.replace("_", " ", 1)
            print(f"{PASSES if passed else mark} {name}", flush=True)
    done = len(folders) - len(open_ones)
    legend = f"({PASSES} passes  {FAILS} fails  {NOT_BEGUN} not begun)"
    print(f"\n{done} of {len(folders)} exercises pass. {legend}")
    if open_ones:
        print(f"next: {os.path.relpath(open_ones[0])}")
    return 0


def passes(folder):
    """Say whether the check of a chapter passes on its exercise.py."""
    command = [sys.executable, "-m", "pytest", "-x", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, str(folder)], cwd=folder.parent, capture_output=True
    )
    return done.returncode == 0


def changed(chapters):
    """Return the files that differ from the last commit.

    Without git nobody knows: all count as changed.
    """
    command = ["git", "diff", "--name-only", "--relative", "-z", "HEAD", "."]
    try:
        done = subprocess.run(command, cwd=chapters, capture_output=True)
        done.check_returncode()
    except (OSError, subprocess.CalledProcessError):
        return set(chapters.glob("*/exercise.py"))
    names = done.stdout.decode().split("\0")
    return {chapters / name for name in names if name}


if __name__ == "__main__":
    for stream in sys.stdout, sys.stderr:
        stream.reconfigure(errors="replace")  # not every terminal has a ✓
    sys.exit(main())
