"""How the exercises are checked: `pytest chapters/03_request`.

A check takes the fixture `answer`: the module exercise.py of its own folder,
or what `--answer` names there (`--answer solution.py`, or a pattern:
`--answer 'wrong/*.py'`). When a check fails, its message comes first, and no
traceback hides it; `--tb=short` and its like bring the traceback back.
"""

import importlib.util
import os
import signal
import sys
import traceback
from contextlib import contextmanager
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
STARTER = "exercise.py"
SECONDS = 10
STUCK = (
    f"{SECONDS} seconds have passed and the check still runs: something waits "
    "for what never comes, or a loop has no end."
)


def pytest_addoption(parser):
    """Add --answer."""
    parser.addoption(
        "--answer",
        action="append",
        metavar="FILE",
        help="check this file of each chapter's folder instead of "
        "exercise.py; may be a pattern, and may be repeated",
    )


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    """Allow a test_exercise.py in every folder here.

    Pytest's default, "prepend", wants all names of test files to differ.
    """
    option = collector.config.option
    before, option.importmode = option.importmode, "importlib"
    try:
        return (yield)
    finally:
        option.importmode = before


def pytest_generate_tests(metafunc):
    """Run a check once for each answer."""
    if "answer" in metafunc.fixturenames:
        folder = Path(metafunc.module.__file__).parent
        found = []
        for pattern in metafunc.config.getoption("--answer") or [STARTER]:
            if os.path.isabs(pattern):  # one's own, outside of the chapter
                pattern = os.path.relpath(pattern, folder)
            # A name that is not there is kept: the fixture will say so.
            found += sorted(folder.glob(pattern)) or [folder / pattern]
        names = [file.relative_to(folder).as_posix() for file in found]
        metafunc.parametrize("answer", found, indirect=True, ids=names)


@pytest.fixture
def answer(request):
    """Return the module under test, loaded anew for each check."""
    file, folder = request.param, request.path.parent
    about = request.node.user_properties  # a report can tell answers apart
    about.append(("chapter", folder.name))
    about.append(("answer", file.relative_to(folder).as_posix()))
    if not file.is_file():
        pytest.fail(f"There is no file {file.name} in {folder}.")
    name = f"answer_{folder.name}_{file.stem}"
    spec = importlib.util.spec_from_file_location(name, file)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look themselves up there
    try:
        with limited():
            spec.loader.exec_module(module)
        yield module
    finally:
        del sys.modules[name]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call():
    """Let no check wait for ever."""
    with limited():
        return (yield)


@contextmanager
def limited():
    """Raise AssertionError if the block takes more than SECONDS."""

    def ring(number, frame):
        if not debugged():
            raise AssertionError(STUCK)

    if not hasattr(signal, "SIGALRM"):  # Windows
        yield
        return
    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def debugged():
    """Say whether a debugger is attached, in either of Python's two ways."""
    if sys.gettrace():
        return True
    monitoring = getattr(sys, "monitoring", None)  # Python 3.12
    return bool(monitoring and monitoring.get_tool(monitoring.DEBUGGER_ID))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Replace the traceback of a failed check by what is to be learned."""
    report = yield
    if report.failed and item.config.option.tbstyle == "auto":
        report.longrepr = explain(call.excinfo.value, item.path.parent)
    return report


def explain(error, folder):
    """Return the message of an error, then where it came from."""
    while isinstance(error, BaseExceptionGroup):  # of a TaskGroup
        error = error.exceptions[0]
    text = str(error)
    if not isinstance(error, AssertionError | pytest.fail.Exception):
        text = f"{type(error).__name__}: {text}"
    # Pytest puts the values that it compared below the message.
    message, found, compared = text.partition("\nassert ")
    parts = [message]
    if found:
        parts += ["", *f"assert {compared}".splitlines()]
    steps = traceback.extract_tb(error.__traceback__)
    near = [step for step in steps if is_ours(step.filename, folder)]
    if near:
        parts.append("")
    for step in near:
        place = f"{os.path.relpath(step.filename)}:{step.lineno}"
        check = step.name.startswith("test_")  # its message says enough
        parts.append(f"  {place}  {step.name}  {'' if check else step.line}")
    return "\n".join(part.rstrip() for part in parts)


def is_ours(file, folder):
    """Say whether a reader may want to see this file."""
    package = HERE.parent / "asgi_ref"
    return any(parent in (folder, package) for parent in Path(file).parents)
