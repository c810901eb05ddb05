"""Records what a chapter's lab prints, and the walk of `lab.walk()`.

    python -m chapters record 03        writes lab.txt and walk.json

A walk is a short run of the package, statement by statement, that the page
plays without a debugger. In lab.py it is a function, `async` or not:

    def walk(wire=print):
        connection = Connection()
        wire("client", b"GET / HTTP/1.1\\r\\n...")   what crossed, and who sent
        connection.receive_data(...)

By itself, `walk()` prints what crossed. The recorder hands in a `wire` of its
own. Only frames of the package are recorded, of this thread. As a debugger
does, a step shows a line that is about to run, and what changed before it.

The same walk has the same record in every run and on Python 3.11 to 3.13:
values are shown without addresses, a statement of several lines is one step,
and what the versions trace differently (comprehensions, the lines of `try`)
is left out. Values that differ from run to run, such as ports and times, are
the lab's to avoid; or it names them: `VARYING = {"port"}`.

It shows nothing; that is player.py.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import dis
import enum
import importlib.util
import inspect
import io
import json
import os
import re
import subprocess
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
CHAPTERS = ROOT / "chapters"
PACKAGE = ROOT / "asgi_ref"

MAX_STEPS = 400
MAX_SECONDS = 60
SHOWN = 120  # characters of a value
SHOWN_ON_WIRE = 400
SHOWN_ITEMS = 6

HEADERS = (ast.stmt, ast.ExceptHandler, ast.match_case)
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
WAITS = inspect.CO_COROUTINE | inspect.CO_ITERABLE_COROUTINE
WAITS |= inspect.CO_ASYNC_GENERATOR
# 3.13 has gone on to the RESUME behind the YIELD_VALUE.
SUSPENDS = {"YIELD_VALUE", "RESUME"}
# Raised to end a loop or a coroutine, not because something is wrong.
SILENT = (StopIteration, StopAsyncIteration, GeneratorExit)

# Where in Python's own C an error was raised: each version says another line.
C_LINE = re.compile(r" \(_\w+\.c:\d+\)")

ENDS = {"returns", "raises", "waits", "yields"}


class BadWalk(Exception):
    """A walk cannot be recorded; the message says what to do."""


# Values in words.


def show(value: object, limit: int = SHOWN, depth: int = 3) -> str:
    """Return a short repr that is the same in every run."""
    text = "".join(pieces(value, limit, depth))
    return text if len(text) <= limit else text[: limit - 1] + "…"


def pieces(value: object, limit: int, depth: int) -> Iterator[str]:
    """Yield the parts of a repr."""
    kind = type(value)
    if isinstance(value, enum.Enum):
        yield str(f"{kind.__name__}.{value.name}")
    elif value is None or kind in (bool, int, float):
        yield repr(value)
    elif isinstance(value, str | bytes | bytearray):
        cut = value[:limit]
        yield repr(cut) + ("…" if len(cut) < len(value) else "")
    elif kind in BRACKETS:
        yield from items(value, limit, depth)
    elif isinstance(value, re.Match):
        yield f"<match {value[0]!r}>"
    elif isinstance(value, re.Pattern):
        yield f"<pattern {value.pattern!r}>"
    elif isinstance(value, BaseException):
        given = ", ".join(show(a, limit, depth - 1) for a in value.args)
        yield f"{kind.__name__}({C_LINE.sub('', given)})"
    elif isinstance(value, type):
        yield value.__name__
    elif isinstance(value, CALLABLES):
        yield f"{value.__qualname__}()"
    else:
        yield from fields(value, limit, depth)


BRACKETS: dict[type, str] = {
    tuple: "()",
    list: "[]",
    dict: "{}",
    set: "{}",
    frozenset: "{}",
}
CALLABLES = (
    types.FunctionType,
    types.MethodType,
    types.BuiltinFunctionType,
    types.CoroutineType,
    types.GeneratorType,
)


def items(value: Any, limit: int, depth: int) -> Iterator[str]:
    """Yield the parts of a container's repr."""
    left, right = BRACKETS[type(value)]
    if not depth:
        yield f"{left}…{right}"
        return
    if isinstance(value, dict):
        texts = [
            f"{show(k, limit, depth - 1)}: {show(v, limit, depth - 1)}"
            for k, v in list(value.items())[:SHOWN_ITEMS]
        ]
    else:
        ordered = isinstance(value, list | tuple)
        some = value[: SHOWN_ITEMS + 1] if ordered else value
        texts = [show(v, limit, depth - 1) for v in some]
        if not ordered:  # a set's order differs from run to run
            texts.sort()
    if len(value) > SHOWN_ITEMS:
        texts = [*texts[:SHOWN_ITEMS], "…"]
    comma = "," if isinstance(value, tuple) and len(value) == 1 else ""
    yield f"{left}{', '.join(texts)}{comma}{right}"


def fields(value: object, limit: int, depth: int) -> Iterator[str]:
    """Yield an object's class and its attributes, public ones if any."""
    kind = type(value)
    if kind.__module__.partition(".")[0] in sys.stdlib_module_names:
        yield f"<{kind.__name__}>"  # its inside is not the walk's concern
        return
    if isinstance(value, tuple) and hasattr(kind, "_fields"):
        names = list(kind._fields)
    else:
        slots = getattr(kind, "__slots__", ())
        names = [*slots, *getattr(value, "__dict__", {})]
    names = [n for n in names if not n.startswith("_")] or names
    if not depth:
        names = []
    given = [
        f"{name}={show(found[0], limit, depth - 2 if depth > 1 else 0)}"
        for name in names
        if (found := attribute(value, name))
    ]
    yield f"{kind.__name__}({', '.join(given)})"


def attribute(value: object, name: str) -> list[Any]:
    """Return [the attribute], or [] where reading it would run code."""
    try:
        found = inspect.getattr_static(value, name)
        if isinstance(found, types.MemberDescriptorType):
            return [found.__get__(value)]
        if name in getattr(type(value), "_fields", ()):
            return [getattr(value, name)]
    except AttributeError:
        return []
    if name in getattr(value, "__dict__", {}):
        return [found]
    return [] if hasattr(found, "__get__") else [found]


# Statements: the units of a walk.


class Source:
    """A module's statements and functions by line."""

    def __init__(self, file: Path) -> None:
        text = file.read_text(encoding="utf-8")
        self.name = file.stem
        self.lines = text.splitlines()
        self.statements: dict[int, tuple[int, int]] = {}
        self.own: dict[int, list[str]] = {}
        # A walk over a tree comes to inner nodes after outer ones, so that
        # each line is left with the innermost statement.
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, HEADERS):
                self._add(node)
            if isinstance(node, FUNCTIONS):
                self.own[first_line(node)] = own_attributes(node)

    def _add(self, node: ast.stmt | ast.ExceptHandler | ast.match_case):
        start = first_line(node)
        compound = hasattr(node, "body") or hasattr(node, "cases")
        silent = isinstance(node, (ast.Try, ast.TryStar, *FUNCTIONS))
        if not compound:
            end = node.end_lineno
        else:
            heads = [
                inner.end_lineno
                for child in ast.iter_child_nodes(node)
                if not isinstance(child, HEADERS)
                for inner in ast.walk(child)
                if hasattr(inner, "end_lineno")
            ]
            end = max([start, *heads])
        for line in range(start, end + 1):
            self.statements[line] = (start, end)
            if silent:  # no step, and none of what is around it either
                del self.statements[line]

    def text(self, line: int) -> str:
        """Return a line without its indentation."""
        return self.lines[line - 1].strip()


def first_line(node: Any) -> int:
    """Return the line at which a node begins, with its decorators."""
    if isinstance(node, ast.match_case):
        return node.pattern.lineno
    marks = getattr(node, "decorator_list", [])
    return min([node.lineno, *(mark.lineno for mark in marks)])


def own_attributes(function: ast.AST) -> list[str]:
    """Return x for each self.x in a function, in the order of the text."""
    found = [
        (node.lineno, node.col_offset, node.attr)
        for node in ast.walk(function)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "self"
    ]
    return list(dict.fromkeys(name for _, _, name in sorted(found)))


# Recording.


class Recorder:
    """Collects the steps of a run while its `on_call` is the trace function.

    package: the folder whose frames are recorded. varying: names whose
    values are not shown.
    """

    def __init__(self, package: Path, varying: set[str] | None = None):
        self.steps: list[dict[str, Any]] = []
        self.count = 0
        self._package = str(package) + os.sep
        self._varying = varying or set()
        self._sources: dict[str, Source] = {}
        self._frames: dict[types.FrameType, Frame] = {}

    def wire(self, sender: str, what: object) -> None:
        """Record what somebody sends: bytes or a message."""
        shown = show(what, SHOWN_ON_WIRE)
        self._add({"at": "wire", "from": sender, "sends": shown})

    def on_call(self, frame: types.FrameType, event: str, argument: object):
        """Trace a frame of the package; leave all others alone."""
        code = frame.f_code
        if not code.co_filename.startswith(self._package):
            return None
        # <module>, <listcomp>, <genexpr>, <lambda> and class bodies are parts
        # of a statement; 3.12 has no frames for comprehensions anyway.
        if code.co_name.startswith("<"):
            return None
        return self.on_event if code.co_flags & inspect.CO_OPTIMIZED else None

    def on_event(self, frame: types.FrameType, event: str, argument: Any):
        """Record one event in a frame of the package."""
        seen = self._frames.get(frame)
        if seen is None:
            source = self._source(frame.f_code.co_filename)
            seen = Frame(frame, source, len(self._frames) + 1)
            callers = list(self._callers(frame))
            seen.depth = len(callers)
            seen.caller = callers[0].number if callers else 0
            self._frames[frame] = seen
        if event == "line":
            self._on_line(frame, seen)
        elif event == "return":
            self._on_return(frame, seen, argument)
        elif event == "exception":
            self._on_exception(frame, seen, argument)
        return self.on_event

    def _source(self, file: str) -> Source:
        if file not in self._sources:
            self._sources[file] = Source(Path(file))
        return self._sources[file]

    def _callers(self, frame: types.FrameType | None) -> Iterator[Frame]:
        while frame := frame and frame.f_back:
            if frame in self._frames:
                yield self._frames[frame]

    def _on_line(self, frame: types.FrameType, seen: Frame) -> None:
        statement = seen.source.statements.get(frame.f_lineno)
        if statement is None or statement == seen.statement:
            return
        seen.statement, seen.unwinding = statement, False
        self._step(frame, seen, {})

    def _on_return(self, frame: types.FrameType, seen: Frame, value: Any):
        if seen.unwinding:
            return
        last = last_instruction(frame)
        if last.startswith("RETURN_"):
            self._step(frame, seen, {"returns": show(value)})
        elif last not in SUSPENDS:
            # A bare `raise`, or the end of `finally`: there is no event.
            if seen.raised is not None:
                self._step(frame, seen, {"raises": show(seen.raised)})
        elif frame.f_code.co_flags & WAITS and not is_yielded(value):
            # The frames that wait for this one "return" as well.
            if self.steps and "waits" not in self.steps[-1]:
                self._step(frame, seen, {"waits": True})
        else:
            shown = "…" if is_yielded(value) else show(value)
            self._step(frame, seen, {"yields": shown})

    def _on_exception(self, frame: types.FrameType, seen: Frame, what: Any):
        error = what[1]
        if isinstance(error, SILENT):
            seen.unwinding = isinstance(error, GeneratorExit)
            return
        again = seen.unwinding and seen.raised is error
        seen.unwinding, seen.raised = True, error
        if not again:
            self._step(frame, seen, {"raises": show(error)})

    def _step(self, frame: types.FrameType, seen: Frame, more: dict):
        start, end = seen.statement or (frame.f_lineno, frame.f_lineno)
        where = {"at": f"{seen.source.name}:{start}", "in": seen.name}
        if end > start:
            where["to"] = end
        # Not when something is raised: in the middle of a comprehension 3.12
        # has its names among the function's own, and 3.11 has not.
        changed, gone = {}, []
        if "raises" not in more:
            changed, gone = seen.changes(frame, self._varying)
        if self._ends(seen, more) and not (changed or gone):
            self.steps[-1].update(more)
            return
        if changed:
            more["set"] = changed
        if gone:
            more["gone"] = gone
        counts = {"frame": seen.number, "depth": seen.depth}
        if seen.caller and seen.fresh:
            counts["caller"] = seen.caller
        seen.fresh = False
        text = {"text": seen.source.text(start)}
        self._add({**where, **counts, **text, **more})

    def _ends(self, seen: Frame, more: dict) -> bool:
        """Say whether this is no step, but the end of the last one."""
        last = self.steps[-1] if self.steps else {}
        same = last.get("frame") == seen.number
        return bool(more) and same and not ENDS & last.keys()

    def _add(self, step: dict[str, Any]) -> None:
        self.count += 1
        if self.count <= MAX_STEPS:
            self.steps.append(step)


class Frame:
    """What is remembered of a frame: its last statement and its values."""

    def __init__(
        self, frame: types.FrameType, source: Source, number: int
    ) -> None:
        self.source, self.number = source, number
        self.name = frame.f_code.co_qualname
        self.depth = self.caller = 0
        self.own = source.own.get(frame.f_code.co_firstlineno, [])
        self.statement: tuple[int, int] | None = None
        self.fresh = True  # none of its steps was recorded
        self.unwinding = False
        self.raised: BaseException | None = None
        self.values: dict[str, str] = {}

    def changes(
        self, frame: types.FrameType, varying: set[str]
    ) -> tuple[dict[str, str], list[str]]:
        """Return the values that changed since the last step, and the gone."""
        now = {
            name: "…" if name.rpartition(".")[2] in varying else show(value)
            for name, value in self._named(frame)
        }
        before, self.values = self.values, now
        changed = {n: v for n, v in now.items() if before.get(n) != v}
        return changed, [name for name in before if name not in now]

    def _named(self, frame: types.FrameType) -> Iterator[tuple[str, object]]:
        code, values = frame.f_code, dict(frame.f_locals)
        known = [*code.co_varnames, *code.co_cellvars, *code.co_freevars]
        for name in dict.fromkeys(known):
            if name in values and not name.startswith((".", "__")):
                if name == "self" and self.own:
                    for own in self.own:
                        for value in attribute(values["self"], own):
                            yield f"self.{own}", value
                else:
                    yield name, values[name]


def last_instruction(frame: types.FrameType) -> str:
    """Return the name of the instruction that a frame executed last."""
    return dis.opname[frame.f_code.co_code[frame.f_lasti]]


def is_yielded(value: object) -> bool:
    """Say whether an asynchronous generator yields this, not its loop."""
    return type(value).__name__ == "async_generator_wrapped_value"


def record(
    walk: Callable[..., Any],
    package: Path = PACKAGE,
    varying: set[str] | None = None,
) -> list[dict[str, Any]]:
    """Run a walk and return its steps.

    Raises BadWalk: more than MAX_STEPS, or none.
    """
    recorder = Recorder(package, varying)
    takes_wire = bool(inspect.signature(walk).parameters)
    given = (recorder.wire,) if takes_wire else ()
    before = sys.gettrace()
    sys.settrace(recorder.on_call)
    try:
        if inspect.iscoroutinefunction(walk):
            asyncio.run(walk(*given))
        else:
            walk(*given)
    finally:
        sys.settrace(before)
    if recorder.count > MAX_STEPS:
        raise BadWalk(
            f"walk() takes {recorder.count} steps, at most {MAX_STEPS} can be"
            " played: let it do less"
        )
    if not recorder.steps:
        raise BadWalk(f"walk() never comes into {package.name}")
    return recorder.steps


# A chapter's records.


def folder_of(name: str) -> Path:
    """Return the folder of a chapter: "03", "3" or "03_request".

    Raises BadWalk: there is none.
    """
    number = name.partition("_")[0].zfill(2)
    for folder in folders():
        if folder.name == name or folder.name.startswith(f"{number}_"):
            return folder
    raise BadWalk(f"there is no chapter {name!r}")


def folders() -> list[Path]:
    """Return the folders of all chapters that have a lab."""
    return sorted(file.parent for file in CHAPTERS.glob("[0-9][0-9]_*/lab.py"))


def dump(walk: dict[str, Any]) -> str:
    """Return the text of walk.json: one step a line, for readable diffs."""
    steps = [json.dumps(s, ensure_ascii=False) for s in walk["steps"]]
    name, lines = json.dumps(walk["chapter"]), ",\n".join(steps)
    return f'{{"chapter": {name}, "steps": [\n{lines}\n]}}\n'


def fresh(*command: str) -> str:
    """Run Python in a new process and return what it prints.

    A new one, because the package remembers: a host that was found right
    once is not checked again, and the walk would be another.

    Raises BadWalk: it failed.
    """
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "0"}
    env |= {"PYTHONIOENCODING": "utf-8", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env=env,
        capture_output=True,
        encoding="utf-8",
        timeout=MAX_SECONDS,
    )
    if done.returncode:
        raise BadWalk(f"{' '.join(command)} failed:\n{done.stderr}")
    return done.stdout


def lab_output(folder: Path) -> str:
    """Return what a chapter's lab prints today.

    Raises BadWalk: it failed.
    """
    return fresh(os.path.relpath(folder / "lab.py", ROOT))


def walk_of(folder: Path) -> str | None:
    """Return the text of walk.json for today; None without `lab.walk`.

    Raises BadWalk.
    """
    return fresh("-m", "chapters._course.record", str(folder)) or None


def print_walk(folder: Path) -> None:
    """Record the walk in this process, and print it."""
    with contextlib.redirect_stdout(io.StringIO()):
        sys.path.insert(0, str(folder))
        spec = importlib.util.spec_from_file_location("lab", folder / "lab.py")
        lab = importlib.util.module_from_spec(spec)
        sys.modules["lab"] = lab
        spec.loader.exec_module(lab)
        if not hasattr(lab, "walk"):
            return
        steps = record(lab.walk, varying=getattr(lab, "VARYING", None))
    sys.__stdout__.write(dump({"chapter": folder.name, "steps": steps}))


def main(args: list[str]) -> int:
    """Record the chapters that are named, or all; return an exit status."""
    try:
        chosen = [folder_of(name) for name in args] or folders()
    except BadWalk as error:
        print(error, file=sys.stderr)
        return 2
    status = 0
    for folder in chosen:
        try:
            outputs = {
                "lab.txt": lab_output(folder),
                "walk.json": walk_of(folder),
            }
        except (BadWalk, subprocess.TimeoutExpired) as error:
            print(f"{folder.name}: {error}", file=sys.stderr)
            status = 1
            continue
        for name, text in outputs.items():
            if text is not None:
                (folder / name).write_text(text, encoding="utf-8")
                lines = text.count("\n")
                print(f"{folder.name}/{name}: {lines} lines")
    return status


if __name__ == "__main__":
    print_walk(Path(sys.argv[1]))
