"""Recorded walks: they are what the code does today, on every Python."""

import enum
import importlib.util
import json
import re
import sys
import textwrap
from collections import namedtuple
from html.parser import HTMLParser
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from chapters._course import record as module  # noqa: E402
from chapters._course.player import player_html  # noqa: E402
from chapters._course.record import BadWalk, record, show  # noqa: E402

CHAPTERS = module.folders()


# The chapters.


@pytest.mark.parametrize("folder", CHAPTERS, ids=[f.name for f in CHAPTERS])
def test_a_chapters_walk_is_what_its_lab_does(folder):
    file = folder / "walk.json"
    walk = module.walk_of(folder)
    if walk is None:
        assert not file.exists(), f"{folder.name}/lab.py has no walk()"
        return
    again = f"python -m chapters record {folder.name[:2]}"
    assert file.is_file(), f"to record it: {again}"
    recorded = file.read_text(encoding="utf-8")
    assert recorded == walk, f"to record it anew: {again}"
    assert player_html(json.loads(walk))


# The recorder, on small modules.


@pytest.fixture
def package(tmp_path):
    """Return a function that makes a module from its text."""

    def make(text):
        file = tmp_path / "sample.py"
        file.write_text(textwrap.dedent(text), encoding="utf-8")
        spec = importlib.util.spec_from_file_location("sample", file)
        sample = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sample)
        return sample

    make.folder = tmp_path
    return make


def lines(steps):
    """Return the lines that were walked, as "2 3 2"."""
    return " ".join(step["at"].partition(":")[2] for step in steps)


def test_a_step_shows_the_line_and_what_changed_before_it(package):
    sample = package(
        """\
        def double(x):
            y = x * 2
            return y
        """
    )
    steps = record(lambda: sample.double(4), package.folder)
    assert steps == [
        {
            "at": "sample:2",
            "in": "double",
            "frame": 1,
            "depth": 0,
            "text": "y = x * 2",
            "set": {"x": "4"},
        },
        {
            "at": "sample:3",
            "in": "double",
            "frame": 1,
            "depth": 0,
            "text": "return y",
            "set": {"y": "8"},
            "returns": "8",
        },
    ]


def test_what_crosses_the_wire_is_recorded_where_it_crosses(package):
    sample = package("def parse(data):\n    return data\n")

    def walk(wire=print):
        wire("client", b"GET\r\n")
        sample.parse(b"GET\r\n")
        wire("server", {"type": "http.response.start"})

    first, _, last = record(walk, package.folder)
    assert first == {"at": "wire", "from": "client", "sends": r"b'GET\r\n'"}
    assert last["sends"] == "{'type': 'http.response.start'}"


def test_calls_have_a_depth_and_a_caller(package):
    sample = package(
        """\
        def outer():
            inner()

        def inner():
            pass
        """
    )
    steps = record(sample.outer, package.folder)
    assert lines(steps) == "2 5 2"
    assert [step["depth"] for step in steps] == [0, 1, 0]
    assert [step.get("caller") for step in steps] == [None, 1, None]


def test_attributes_of_self_are_shown_as_far_as_a_method_speaks_of_them(
    package,
):
    sample = package(
        """\
        class Thing:
            __slots__ = ("other", "value")
            kind = "thing"

            def __init__(self):
                self.value = 1
                self.other = 2  # change() does not speak of it

            @property
            def twice(self):
                raise AssertionError("the recorder must not read this")

            def change(self):
                self.value += len(self.kind)
                return self.twice if self.value < 0 else self.missing()

            def missing(self):
                return None
        """
    )
    thing = sample.Thing()
    steps = record(thing.change, package.folder)
    assert steps[0]["set"] == {"self.value": "1", "self.kind": "'thing'"}
    assert steps[1]["set"] == {"self.value": "6"}


def test_a_name_that_is_gone(package):
    sample = package("def f():\n    x = 1\n    del x\n    return 2\n")
    assert record(sample.f, package.folder)[-1]["gone"] == ["x"]


def test_what_is_raised_is_shown_on_its_way_up(package):
    sample = package(
        """\
        def outer():
            try:
                inner()
            except ValueError as error:
                again(error)

        def inner():
            raise ValueError("no")

        def again(error):
            try:
                raise error
            except ValueError:
                raise
        """
    )

    def walk():
        with pytest.raises(ValueError, match="no"):
            sample.outer()

    steps = record(walk, package.folder)
    assert lines(steps) == "3 8 3 4 5 12 13 14 5"
    raising = [s["at"].partition(":")[2] for s in steps if "raises" in s]
    assert raising == "8 3 12 14 5".split()
    assert {s["raises"] for s in steps if "raises" in s} == {
        "ValueError('no')"
    }
    assert not any("returns" in step for step in steps)


# One line for what the versions of Python trace differently.
SHAPES = """\
from contextlib import suppress
def shapes(n):
    found = [
        double(i)
        for i in range(n)
    ]
    total = sum(double(i) for i in found)
    while True:
        total += 1
        if (
            total > 2
            and n
        ):
            break
    for i in range(2): total += i
    try:
        with (
            suppress(KeyError),
            suppress(ValueError),
        ):
            {}["x"]
    except (
        OSError,
        TypeError,
    ):
        pass
    else:
        total = double(
            double(
                total
            )
        )
    finally:
        n = 0
    match n:
        case 1:
            pass
        case (
            0
            | 2
        ):
            n = 3
    with suppress(KeyError):
        return (
            total
            + n
        )
def double(x):
    return 2 * x
"""


def test_the_walk_is_the_same_on_every_python(package):
    sample = package(SHAPES)
    steps = record(lambda: sample.shapes(2), package.folder)
    walked = (
        "3 49 49 7 49 49 8 9 10 14 15 17 21 17"
        " 28 49 49 34 35 36 39 42 43 44 43"
    )
    assert lines(steps) == walked
    spans = {step["at"]: step["to"] for step in steps if "to" in step}
    assert spans == {
        "sample:3": 6,
        "sample:10": 12,
        "sample:17": 19,
        "sample:28": 32,
        "sample:39": 40,
        "sample:44": 47,
    }


def test_a_coroutine_waits_once_though_three_wait_for_it(package):
    sample = package(
        """\
        import asyncio

        async def outer():
            return await middle()

        async def middle():
            async with asyncio.Lock():
                return await inner()

        async def inner():
            await asyncio.sleep(0)
            return 1

        async def numbers():
            yield 1
        """
    )

    async def walk(wire):
        await sample.outer()
        async for _ in sample.numbers():
            pass

    steps = record(walk, package.folder)
    assert lines(steps) == "4 7 8 11 12 7 4 15 15"
    ends = [next((e for e in module.ENDS if e in step), "") for step in steps]
    assert " ".join(ends[3:]) == "waits returns returns returns yields returns"


def test_a_generator_yields_and_may_be_left(package):
    sample = package("def f():\n    for i in range(9):\n        yield i\n")

    def walk():
        for i in sample.f():
            if i:
                break

    steps = record(walk, package.folder)
    assert lines(steps) == "2 3 2 3"
    assert [s["yields"] for s in steps if "yields" in s] == ["0", "1"]


def test_too_long_a_walk_is_refused(package):
    sample = package("def f(n):\n    while n:\n        n -= 1\n")
    with pytest.raises(BadWalk, match=r"takes 2001 steps, at most 400"):
        record(lambda: sample.f(1000), package.folder)


def test_a_walk_past_the_package_is_refused(package):
    with pytest.raises(BadWalk, match="never comes into"):
        record(lambda: None, package.folder)


def test_who_traced_before_traces_again(package):
    sample = package("def f():\n    return 1\n")
    before = sys.gettrace()
    record(sample.f, package.folder)
    assert sys.gettrace() is before


def test_values_that_vary_are_named_and_not_shown(package):
    sample = package("def f(port):\n    return port\n")
    steps = record(lambda: sample.f(49152), package.folder, {"port"})
    assert steps[0]["set"] == {"port": "…"}


# Values in words.


class Colour(enum.Enum):
    RED = 1


class Plain:
    def __init__(self):
        self.shown, self._hidden = b"x", 2

    def method(self):
        raise AssertionError("the recorder must not run this")


class Private:
    __slots__ = ("_data", "_unset")

    def __init__(self):
        self._data = bytearray(b"x")


Pair = namedtuple("Pair", "left right")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "None"),
        (1.5, "1.5"),
        (b"a\r\n", r"b'a\r\n'"),
        ("x" * 200, "'" + "x" * 118 + "…"),
        ({3, 1, 2}, "{1, 2, 3}"),
        ((1,), "(1,)"),
        (list(range(9)), "[0, 1, 2, 3, 4, 5, …]"),
        ({"a": {"b": {"c": {}}}}, "{'a': {'b': {'c': {…}}}}"),
        (Colour.RED, "Colour.RED"),
        (ValueError("no", 1), "ValueError('no', 1)"),
        (Plain(), "Plain(shown=b'x')"),
        (Private(), "Private(_data=bytearray(b'x'))"),
        (Pair(1, 2), "Pair(left=1, right=2)"),
        (Plain().method, "Plain.method()"),
        (Plain, "Plain"),
        (object(), "<object>"),
        (re.compile("x"), "<pattern 'x'>"),
        (re.match("x", "xy"), "<match 'x'>"),
    ],
    ids=str,
)
def test_a_value_is_shown_the_same_in_every_run(value, shown):
    assert show(value) == shown


# The command.


@pytest.fixture
def chapters(tmp_path, monkeypatch):
    """Let tmp_path be the folder of all chapters, with one."""
    folder = tmp_path / "03_request"
    folder.mkdir()
    lab = "from asgi_ref.request import parse_line\n"
    lab += "def walk(wire=print):\n"
    lab += '    wire("client", b"GET / HTTP/1.1")\n'
    lab += '    parse_line(b"GET / HTTP/1.1")\n'
    lab += 'if __name__ == "__main__":\n    walk()\n'
    (folder / "lab.py").write_text(lab, encoding="utf-8")
    monkeypatch.setattr(module, "CHAPTERS", tmp_path)
    return folder


def test_the_command_records_output_and_walk(chapters, capsys):
    assert module.main(["03"]) == 0
    assert "03_request/walk.json" in capsys.readouterr().out
    printed = (chapters / "lab.txt").read_text(encoding="utf-8")
    assert printed == "client b'GET / HTTP/1.1'\n"
    text = (chapters / "walk.json").read_text(encoding="utf-8")
    walk = json.loads(text)
    assert walk["chapter"] == "03_request"
    assert text.count("\n") == len(walk["steps"]) + 2, "one step a line"
    assert {s["in"] for s in walk["steps"][1:]} == {"parse_line"}


def test_the_command_says_what_is_wrong(chapters, capsys):
    assert module.main(["07"]) == 2
    assert "no chapter '07'" in capsys.readouterr().err
    (chapters / "lab.py").write_text("1 / 0\n", encoding="utf-8")
    assert module.main([]) == 1
    assert "ZeroDivisionError" in capsys.readouterr().err
    assert not (chapters / "lab.txt").exists()


def test_a_lab_without_a_walk_has_no_walk_json(chapters):
    (chapters / "lab.py").write_text("print(1)\n", encoding="utf-8")
    assert module.main(["3"]) == 0
    assert not (chapters / "walk.json").exists()


# The player.


class Shape(HTMLParser):
    """Checks that tags are closed in order; collects them and the data."""

    def __init__(self, html):
        super().__init__()
        self.open, self.tags, self.script = [], [], ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "script":
            self.script += data


@pytest.fixture
def walk(package):
    """Return the record of a walk with all kinds of steps in it."""
    sample = package(
        """\
        class Thing:
            @property
            def word(self):
                '''Return "</script>",
                on two lines.
                '''
                return f"</script>{1 < 2}"


        def unseen():
            return "not shown"


        def f(x):
            del x
            raise ValueError("<&>")
        """
    )

    def run(wire):
        wire("client", b"<b>")
        sample.Thing().word  # noqa: B018
        with pytest.raises(ValueError, match="<&>"):
            sample.f(1)

    return {"chapter": "03_x", "steps": record(run, package.folder)}


def test_the_player_has_a_table_and_the_data(package, walk):
    html = player_html(walk, package.folder)
    assert all(line.strip() for line in html.splitlines())
    assert html.startswith("<asgi-walk>")
    shape = Shape(html)
    assert not shape.open
    assert shape.tags.count("tr") == len(walk["steps"]) + 1
    data = json.loads(shape.script)
    assert data["steps"] == walk["steps"]
    shown = [line for line in data["sources"]["sample"] if line]
    assert [number for number, _ in shown] == [1, 2, 3, 4, 5, 6, 7, 14, 15, 16]
    assert data["sources"]["sample"][7] is None, "what is left out is marked"


def test_the_source_is_shown_as_it_is(package, walk):
    html = player_html(walk, package.folder)
    data = json.loads(Shape(html).script)
    source = (package.folder / "sample.py").read_text().splitlines()
    for number, line in filter(None, data["sources"]["sample"]):
        plain = re.sub("<.*?>", "", line)
        for name, char in ("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&"):
            plain = plain.replace(name, char)
        assert plain == source[number - 1]


def test_a_stale_record_is_refused(package, walk):
    file = package.folder / "sample.py"
    file.write_text("# new\n" + file.read_text())
    with pytest.raises(ValueError, match="python -m chapters record 03"):
        player_html(walk, package.folder)
    file.unlink()
    with pytest.raises(ValueError, match="python -m chapters record 03"):
        player_html(walk, package.folder)
