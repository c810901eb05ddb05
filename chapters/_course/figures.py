"""Draws the course's figures as SVG, from values of the project itself.

    figure_html(kind, source, alt, chapter)

    states    a table {(state, event): state}, as connection.READING
    bytes     a list of (bytes, label), side by side
    ladder    a list of (sender, receiver, text), a sequence of messages

`source` names the value: `connection.READING` is an attribute of a module of
the package, `lab.LAYOUT` one of the chapter's lab.py. A function without
arguments is called, and what it returns is drawn.

There is no general layout of graphs in here. The three drawings are made so
that no two texts can overlap: each text has a row, or a box, to itself.
Colours are the theme's; widths of text are estimated from above.
"""

from __future__ import annotations

import contextlib
import enum
import hashlib
import importlib
import importlib.util
import inspect
import io
import re
import sys
import textwrap
from html import escape
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

EM = 13  # size of the text
LINE = 17  # from one line of text to the next
CODE_EM = 0.61  # width of a character of code, in parts of its size
TEXT_EM = 0.6  # of the page's font: its wide characters are as wide
LABEL = 26  # characters, then a label is wrapped
MARGIN = 16  # before the boxes of states, for the dot where it begins
ROW = 480  # width at which a row of bytes is full
SHRINKS_TO = 0.72  # of its size; narrower than that, a figure scrolls

ESCAPE = "var(--md-code-hl-special-color,currentColor)"
FAINT = "var(--md-default-fg-color--lightest, #8883)"
BOX = f'style="fill:{FAINT};stroke:currentColor"'
BOLD = 'font-weight="bold"'
DASHED = 'stroke="currentColor" stroke-dasharray="3 4" opacity="0.5"'
CODE = 'style="font-family:var(--md-code-font-family,monospace)"'
# A text upon a line: the page's ground goes all around its letters.
HALO = (
    'style="paint-order:stroke;stroke-width:5px;'
    'stroke:var(--md-default-bg-color,Canvas)"'
)

# Some themes centre a figure and shrink it to what is in it.
BLOCK = "display:block;width:auto;max-width:none;text-align:left"

Table = dict[tuple[Any, Any], Any]
Layout = list[tuple[bytes, str]]
Talk = list[tuple[str, str, str]]


def figure_html(kind: str, source: str, alt: str, chapter: Path) -> str:
    """Return a figure as HTML; no line of it is blank.

    Raises ValueError: no such kind or source, or a value of another shape.
    """
    if kind not in DRAW:
        raise ValueError(f"figure {kind!r}: there is {', '.join(DRAW)}")
    if not alt.strip():
        raise ValueError(f"figure {source!r} has no alternative text")
    value = value_of(source, chapter)
    try:
        drawn, said, below = DRAW[kind](value)
    except (TypeError, ValueError, AttributeError) as error:
        wanted = SHAPES[kind]
        raise ValueError(
            f"figure {source!r} is not {wanted}: {error}"
        ) from None
    key = hashlib.sha256(f"{kind} {source} {alt}".encode()).hexdigest()[:8]
    return "\n".join(
        [
            f'<figure class="course-figure course-figure-{kind}"'
            f' style="{BLOCK}">',
            '<div style="overflow-x:auto">',
            drawn.svg(f"figure-{key}", alt, said),
            "</div>",
            *below,
            "</figure>",
        ]
    )


def value_of(source: str, chapter: Path) -> Any:
    """Return what `source` names, called if it is a function.

    Raises ValueError: there is no such module or attribute.
    """
    name, *attributes = source.split(".")
    if not attributes:
        raise ValueError(f"figure {source!r}: write module.attribute")
    value: Any
    if name == "lab":
        value = lab_of(chapter)
    elif name == "front":
        value = importlib.import_module("chapters._course.front")
    else:
        value = package_module(name)
    for attribute in attributes:
        if not hasattr(value, attribute):
            raise ValueError(f"figure {source!r}: there is no {attribute!r}")
        value = getattr(value, attribute)
    if inspect.isfunction(value):
        if inspect.signature(value).parameters:
            raise ValueError(
                f"figure {source!r} is a function that takes arguments"
            )
        with contextlib.redirect_stdout(io.StringIO()):
            value = value()
    return value


def package_module(name: str) -> Any:
    """Return a module of the package. Raises ValueError: there is none."""
    try:
        return importlib.import_module(f"asgi_ref.{name}")
    except ModuleNotFoundError as error:
        raise ValueError(f"there is no module {name!r}: {error}") from None


def lab_of(chapter: Path) -> Any:
    """Return a chapter's lab.py as a module. Raises ValueError: none."""
    file = chapter / "lab.py"
    if not file.is_file():
        raise ValueError(f"there is no {chapter.name}/lab.py")
    spec = importlib.util.spec_from_file_location(f"lab_{chapter.name}", file)
    lab = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(chapter))
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            spec.loader.exec_module(lab)
    finally:
        sys.path.remove(str(chapter))
    return lab


# What all drawings need.


class Drawing:
    """Shapes and texts, and the room that they take.

    `texts` are the boxes (left, top, right, bottom) that the texts fill at
    most; a test holds that they do not overlap.
    """

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.texts: list[tuple[float, float, float, float]] = []
        self.width = self.height = 0.0

    def box(self, x: float, y: float, w: float, h: float, look: str) -> None:
        """Add a rectangle."""
        self.parts.append(
            f'<rect x="{x:g}" y="{y:g}" width="{w:g}" height="{h:g}"'
            f' rx="4" {look}/>'
        )
        self._reach(x + w, y + h)

    def line(self, path: str) -> None:
        """Add a path; the caller sees to the drawing's size."""
        look = 'fill="none" stroke="currentColor"'
        self.parts.append(f'<path d="{path}" {look}/>')

    def head(self, x: float, y: float, left: bool) -> None:
        """Add the head of a horizontal arrow, its point at (x, y)."""
        back = x + 8 if left else x - 8
        self.parts.append(
            f'<path d="M{x:g} {y:g}L{back:g} {y - 4:g}V{y + 4:g}Z"'
            ' fill="currentColor" stroke="none"/>'
        )

    def text(
        self,
        x: float,
        y: float,
        lines: list[str],
        *,
        code: bool = False,
        middle: bool = False,
        look: str = "",
        html: bool = False,
    ) -> None:
        """Add lines of text; y is the top of the first one."""
        plain = [re.sub(r"<.*?>", "", s) if html else s for s in lines]
        width = max(width_of(unescaped(s), code) for s in plain)
        left = x - width / 2 if middle else x
        # A line that continues the one before is moved in.
        moved = [len(s) - len(s.lstrip(" ")) for s in plain]
        starts = [x + n * EM * CODE_EM for n in moved]
        spans = [
            f'<tspan x="{starts[n]:g}" y="{y + LINE * n + EM:g}">'
            f"{s if html else escape(s.strip()) + ' '}</tspan>"
            for n, s in enumerate(lines)
        ]
        anchor = ' text-anchor="middle"' if middle else ""
        font = f" {CODE}" if code else ""
        self.parts.append(
            f"<text{anchor}{font} {look}>{''.join(spans)}</text>"
        )
        bottom = y + LINE * len(lines)
        self.texts.append((left, y, left + width, bottom))
        self._reach(left + width, bottom)

    def _reach(self, x: float, y: float) -> None:
        self.width, self.height = max(self.width, x), max(self.height, y)

    def svg(self, key: str, title: str, said: str) -> str:
        """Return the drawing; `title` and `said` are its text."""
        w, h = round(self.width + 8), round(self.height + 8)
        style = (
            f"display:block;width:100%;height:auto;max-width:{w}px;"
            f"min-width:{round(w * SHRINKS_TO)}px;font-family:inherit"
        )
        return "\n".join(
            [
                '<svg xmlns="http://www.w3.org/2000/svg" role="img"'
                f' aria-labelledby="{key}-title {key}-desc"'
                f' viewBox="0 0 {w} {h}" style="{style}"'
                f' font-size="{EM}" fill="currentColor" stroke-width="1.3">',
                f'<title id="{key}-title">{escape(title)}</title>',
                f'<desc id="{key}-desc">{escape(said)}</desc>',
                *self.parts,
                "</svg>",
            ]
        )


def unescaped(text: str) -> str:
    """Return HTML's text with one character for each entity."""
    return re.sub(r"&\w+;|&#x?\w+;", "&", text)


def width_of(text: str, code: bool) -> float:
    """Return at most how wide a text is."""
    return len(text) * EM * (CODE_EM if code else TEXT_EM)


def wrapped(text: str, width: int = LABEL, indent: str = "") -> list[str]:
    """Return a text in lines; its own ends of line stay.

    Only words that are too long make a line longer.
    """
    wrapper = textwrap.TextWrapper(
        width,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    lines = [part for line in text.split("\n") for part in wrapper.wrap(line)]
    return lines or [""]


# Tables of states.


def name_of(value: Any) -> str:
    """Return the name of a state or event, a string or an enum's member."""
    if isinstance(value, enum.Enum):
        value = value.value
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no name of a state or an event")
    return value


class Way(NamedTuple):
    """Where the way from a state to the one after it begins."""

    state: str
    after: str
    x: float
    y: float


def draw_states(table: Table) -> tuple[Drawing, str, list[str]]:
    """Draw states one below the other, and transitions at their right.

    A state's box has a row for each event that leads out of it, and one
    where all that leads into it arrives. Each state has one vertical track,
    at the right of all texts, that leads to it.
    """
    out = transitions(table)
    entered = {a for s, ways in out.items() for a in ways if a != s}
    drawing = Drawing()
    edge = MARGIN + max(width_of(state, True) for state in out) + 24
    y = 4.0
    arrives: dict[str, float] = {}
    ways: list[Way] = []
    for number, (state, afters) in enumerate(out.items()):
        top = y
        if state in entered:
            arrives[state] = y + LINE
            y += 1.4 * LINE
        y += 0.5 * LINE
        for after, events in afters.items():
            lines = [s for e in events for s in wrapped(e, indent="  ")]
            ways.append(
                Way(state, after, *draw_events(drawing, edge, y, lines))
            )
            y += LINE * len(lines) + 0.4 * LINE
        y = max(y + 0.1 * LINE, top + 2 * LINE)
        draw_state(drawing, state, edge, top, y, final=not afters)
        if number == 0 or state not in entered:
            draw_start(drawing, (top + y) / 2)
        y += LINE
    draw_loops(drawing, ways)
    draw_tracks(drawing, edge, arrives, ways)
    said = (
        f"{len(out)} states: {', '.join(out)}. {len(table)} transitions,"
        " listed in the table below the figure."
    )
    return drawing, said, table_html(out)


def transitions(table: Table) -> dict[str, dict[str, list[str]]]:
    """Return a table as {state: {state after it: [events]}}, as names."""
    out: dict[str, dict[str, list[str]]] = {}
    for (state, event), after in table.items():
        afters = out.setdefault(name_of(state), {})
        afters.setdefault(name_of(after), []).append(name_of(event))
    if not out:
        raise ValueError("it is empty")
    for after in table.values():  # those that nothing leads out of
        out.setdefault(name_of(after), {})
    return out


def draw_events(
    drawing: Drawing, edge: float, y: float, lines: list[str]
) -> tuple[float, float]:
    """Draw what leads out of a state; return where the way goes on."""
    height = LINE * len(lines)
    drawing.text(edge + 14, y, lines, code=True)
    drawing.line(f"M{edge:g} {y + height / 2:g}h10")
    if len(lines) > 1:
        drawing.line(f"M{edge + 10:g} {y + 2:g}v{height - 4:g}")
    widest = max(width_of(line, True) for line in lines)
    return edge + 14 + widest + 6, y + height / 2


def draw_state(
    drawing: Drawing,
    state: str,
    edge: float,
    top: float,
    bottom: float,
    final: bool,
) -> None:
    """Draw a state's box, with a double line if nothing leads out of it."""
    width, height = edge - MARGIN, bottom - top
    drawing.box(MARGIN, top, width, height, BOX)
    if final:
        look = 'fill="none" stroke="currentColor"'
        drawing.box(MARGIN + 3, top + 3, width - 6, height - 6, look)
    middle = MARGIN + width / 2
    y = (top + bottom - LINE) / 2
    drawing.text(middle, y, [state], code=True, middle=True, look=BOLD)


def draw_start(drawing: Drawing, y: float) -> None:
    """Draw a dot that leads into a state where it begins."""
    drawing.parts.append(f'<circle cx="5" cy="{y:g}" r="4"/>')
    drawing.line(f"M5 {y:g}H{MARGIN:g}")


def draw_tracks(
    drawing: Drawing, edge: float, arrives: dict[str, float], ways: list[Way]
) -> None:
    """Draw the ways from events to the states after them."""

    def longest(state: str) -> float:
        lengths = (way.y - arrives[state] for way in ways if leads(way, state))
        return max(map(abs, lengths))

    def leads(way: Way, state: str) -> bool:
        return way.after == state != way.state

    x = drawing.width
    # Short tracks inside, long ones outside: fewer lines cross.
    for state in sorted(arrives, key=longest):
        x += 14
        y = arrives[state]
        for way in ways:
            if leads(way, state):
                turn = 6 if y > way.y else -6
                drawing.line(
                    f"M{way.x:g} {way.y:g}H{x - 6:g}q6 0 6 {turn}"
                    f"V{y - turn:g}q0 {turn} -6 {turn}H{edge + 4:g}"
                )
        drawing.head(edge, y, left=True)
    drawing.width = x


def draw_loops(drawing: Drawing, ways: list[Way]) -> None:
    """Draw an arrow there and back behind events that change nothing."""
    for way in ways:
        if way.state == way.after:
            drawing.line(f"M{way.x:g} {way.y + 5:g}h10a5 5 0 0 0 0 -10h-4")
            drawing.head(way.x, way.y - 5, left=True)
            drawing.width = max(drawing.width, way.x + 16)


def table_html(out: dict[str, dict[str, list[str]]]) -> list[str]:
    """Return the transitions as a folded table."""
    rows = [
        f"<tr><td>{escape(state)}</td><td>{escape(event)}</td>"
        f"<td>{escape(after)}</td></tr>"
        for state, ways in out.items()
        for after, events in ways.items()
        for event in events
    ]
    return [
        "<details>",
        "<summary>The transitions as a table</summary>",
        "<table><thead><tr><th>State</th><th>Event</th>"
        "<th>Next state</th></tr></thead><tbody>",
        *rows,
        "</tbody></table>",
        "</details>",
    ]


# Bytes.


def tokens(data: bytes) -> list[tuple[str, bool]]:
    """Return the characters of bytes, and whether each is an escape."""
    return [
        (shown, len(shown) > 1 and shown != "\\\\")
        for shown in (repr(bytes([b]))[2:-1] for b in data)
    ]


def draw_bytes(layout: Layout) -> tuple[Drawing, str, list[str]]:
    """Draw pieces of bytes in rows, each in a box above its label.

    Escapes, as of CR and LF, stand out. The number above a box is the
    position of its first byte.
    """
    pieces = [(bytes_of(data), name_label(label)) for data, label in layout]
    if not pieces:
        raise ValueError("it is empty")
    drawing = Drawing()
    x, y, position = 4.0, 4.0, 0
    for data, label in pieces:
        lines, labels = byte_lines(data), wrapped(label, 22)
        codes = [str(position), *("".join(s for s, _ in n) for n in lines)]
        width = 16 + max(
            *(width_of(code, True) for code in codes),
            *(width_of(part, False) for part in labels),
        )
        if x > 4 and x + width > ROW:
            x, y = 4.0, drawing.height + LINE
        drawing.text(x + 2, y, codes[:1], code=True, look='opacity="0.6"')
        draw_piece(drawing, x, y + LINE, width, lines)
        if label:
            below = y + LINE * (len(lines) + 1) + 15
            drawing.text(x + width / 2, below, labels, middle=True)
        x += width + 4
        position += len(data)
    said = "; ".join(
        f"{label or 'bytes'}: {repr(data)[1:]}" for data, label in pieces
    )
    return drawing, f"{position} bytes. {said}", []


def draw_piece(
    drawing: Drawing,
    x: float,
    y: float,
    width: float,
    lines: list[list[tuple[str, bool]]],
) -> None:
    """Draw a box with bytes in it."""
    drawing.box(x, y, width, LINE * len(lines) + 12, BOX)
    drawing.text(
        x + width / 2,
        y + 5,
        [byte_html(line) for line in lines],
        code=True,
        middle=True,
        html=True,
    )


def bytes_of(data: Any) -> bytes:
    """Return bytes. Raises TypeError: they are none."""
    if not isinstance(data, bytes | bytearray):
        raise TypeError(f"{data!r} is not bytes")
    return bytes(data)


def name_label(label: Any) -> str:
    """Return a label. Raises TypeError: it is no string."""
    if not isinstance(label, str):
        raise TypeError(f"{label!r} is no label")
    return label


def byte_lines(data: bytes) -> list[list[tuple[str, bool]]]:
    """Return the characters of bytes in lines that fit into a row."""
    lines: list[list[tuple[str, bool]]] = [[]]
    room = int((ROW - 24) / (EM * CODE_EM))
    for shown, escaped in tokens(data):
        if sum(len(s) for s, _ in lines[-1]) + len(shown) > room:
            lines.append([])
        lines[-1].append((shown, escaped))
    return lines


def byte_html(line: list[tuple[str, bool]]) -> str:
    """Return a line of bytes with its escapes marked."""
    # A blank is seen as one: in a box of its own it would be nothing.
    return "".join(
        f'<tspan font-weight="bold" style="fill:{ESCAPE}">{s}</tspan>'
        if escaped
        else escape("␣" if s == " " else s)
        for s, escaped in line
    )


# Conversations.


def draw_ladder(talk: Talk) -> tuple[Drawing, str, list[str]]:
    """Draw who says what to whom, from top to bottom."""
    who = list(dict.fromkeys(n for a, b, _ in talk for n in (a, b)))
    if not 1 <= len(who) <= 4:
        raise ValueError(f"{len(who)} take part, not two to four")
    texts = [wrapped(name_label(text), 30) for _, _, text in talk]
    places = ladder_columns(who, talk, texts)
    drawing = Drawing()
    for name, x in places.items():
        width = width_of(name, False) + 20
        drawing.box(x - width / 2, 4, width, LINE + 10, BOX)
        drawing.text(x, 9, [name], middle=True, look=BOLD)
    rails = len(drawing.parts)
    y = drawing.height + LINE
    for (sender, receiver, _), lines in zip(talk, texts, strict=True):
        y = draw_message(drawing, places[sender], places[receiver], y, lines)
    for x in places.values():  # under what is drawn already
        rail = f'<path d="M{x:g} {14 + LINE:g}V{y:g}" {DASHED}/>'
        drawing.parts.insert(rails, rail)
    drawing.height = max(drawing.height, y)
    said = "; ".join(f"{a} to {b}: {text}" for a, b, text in talk)
    return drawing, said, []


def draw_message(
    drawing: Drawing, a: float, b: float, y: float, lines: list[str]
) -> float:
    """Draw a message from lifeline a to b; return where the next begins."""
    height = LINE * len(lines)
    if a == b:  # out and back, its text at the right
        middle = y + max(height, 20) / 2
        drawing.line(f"M{a:g} {middle - 7:g}h16v14h-10")
        drawing.head(a + 2, middle + 7, left=True)
        drawing.text(a + 24, middle - height / 2, lines, look=HALO)
        return y + max(height, 20) + LINE
    drawing.text((a + b) / 2, y, lines, middle=True, look=HALO)
    y += height + 5
    left = b < a
    drawing.line(f"M{a:g} {y:g}H{b + 6 if left else b - 6:g}")
    drawing.head(b, y, left)
    return y + 0.9 * LINE


def ladder_columns(
    who: list[str], talk: Talk, texts: list[list[str]]
) -> dict[str, float]:
    """Return each lifeline's place, far enough apart for the texts."""
    width = {name: width_of(name, False) + 20 for name in who}
    gaps = [
        max(90.0, (width[a] + width[b]) / 2 + 16) for a, b in pairwise(who)
    ]
    for (sender, receiver, _), lines in zip(talk, texts, strict=True):
        need = max(width_of(line, False) for line in lines) + 24
        first, last = sorted((who.index(sender), who.index(receiver)))
        if first == last:
            last += 1
            need += 24
        if last < len(who):
            short = need - sum(gaps[first:last])
            for n in range(first, last):
                gaps[n] += max(0.0, short) / (last - first)
    places, x = {}, width[who[0]] / 2 + 4
    for n, name in enumerate(who):
        places[name] = round(x, 1)
        x += gaps[n] if n < len(gaps) else 0
    return places


DRAW = {"states": draw_states, "bytes": draw_bytes, "ladder": draw_ladder}
SHAPES = {
    "states": "a table {(state, event): state}",
    "bytes": "a list of (bytes, label)",
    "ladder": "a list of (sender, receiver, text)",
}
