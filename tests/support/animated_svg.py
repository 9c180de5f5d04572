"""A recorded session as a picture that moves: SVG with nothing but text and CSS, which a README can show.

Each piece of text is there once, with the times at which it is seen. Who asks for less motion sees the last frame.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import groupby
from typing import NamedTuple
from xml.sax.saxutils import escape, quoteattr

import pyte
from pyte.screens import Char

from tests.support.casts import Cast

#: Seconds for which the last frame stays.
_HOLD = 4.0
#: Size of a character, and of the frame around the screen, in pixels.
_FONT, _COLUMN, _LINE, _MARGIN, _BAR = 14, 8.4, 19, 14, 30
_BACKGROUND, _FOREGROUND = "#0d1117", "#d6dde4"
_COLOURS = {
    "black": "#484f58",
    "red": "#ff7b72",
    "green": "#56d364",
    "brown": "#e3b341",
    "blue": "#79c0ff",
    "magenta": "#d2a8ff",
    "cyan": "#56d4dd",
    "white": "#f0f6fc",
    "brightblack": "#8b949e",
}


class _Style(NamedTuple):
    colour: str
    bold: bool
    italic: bool
    background: str


class _Run(NamedTuple):
    """Text of one style, where it stands."""

    line: int
    column: int
    text: str
    style: _Style


_Times = tuple[tuple[float, float], ...]


def animated_svg(cast: Cast) -> str:
    """Return the picture; it is the same for the same session."""
    seen, cursor, end = _seen(cast)
    width = round(cast.width * _COLUMN + 2 * _MARGIN)
    height = cast.height * _LINE + _BAR + _MARGIN
    names: dict[_Times, str] = {}
    colours: dict[str, str] = {}
    body = []
    for run, times in seen.items():
        classes = [colours.setdefault(run.style.colour, f"c{len(colours)}")]
        if run.style.bold:
            classes.append("b")
        if run.style.italic:
            classes.append("i")
        if times != ((0.0, end),):
            classes.append(names.setdefault(times, f"t{len(names)}"))
        body += _drawn(run, " ".join(classes))
    frames = [_keyframes(name, times, end) for times, name in names.items()]
    commands = ", ".join(command for _, command in cast.commands)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
            ' role="img" aria-labelledby="title desc" xml:space="preserve">',
            f'<title id="title">{escape(cast.title)}</title>',
            f'<desc id="desc">{escape(commands)}</desc>',
            "<style>",
            f"text{{font:{_FONT}px ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace;"
            "white-space:pre}",
            ".b{font-weight:700}.i{font-style:italic}",
            *(f".{name}{{fill:{colour}}}" for colour, name in colours.items()),
            *frames,
            _cursor_keyframes(cursor, end),
            "@media (prefers-reduced-motion:reduce){*{animation:none!important}}",
            "</style>",
            f'<rect width="{width}" height="{height}" rx="8" fill="{_BACKGROUND}"/>',
            *(
                f'<circle cx="{18 + 18 * number}" cy="16" r="5" fill="{colour}"/>'
                for number, colour in enumerate(("#ff5f57", "#febc2e", "#28c840"))
            ),
            f'<g transform="translate({_MARGIN} {_BAR})">',
            f'<rect id="cursor" width="{_COLUMN:g}" height="{_LINE}" fill="#8b949e"/>',
            *body,
            "</g>",
            "</svg>\n",
        ]
    )


def _seen(cast: Cast) -> tuple[dict[_Run, _Times], list[tuple[float, tuple[int, int] | None]], float]:
    """Return when each run is seen, where the cursor is from which time on (None: it is hidden), and the end."""
    screen = pyte.Screen(cast.width, cast.height)
    stream = pyte.Stream(screen)
    end = round(cast.output[-1][0] + _HOLD, 2)
    shown: dict[_Run, float] = {}
    seen: defaultdict[_Run, list[tuple[float, float]]] = defaultdict(list)
    cursor: list[tuple[float, tuple[int, int] | None]] = []
    for at, events in groupby(cast.output, key=lambda event: round(event[0], 2)):
        for _, data in events:
            stream.feed(data)
        now = {run for line in range(cast.height) for run in _runs(screen, line)}
        for run in shown.keys() - now:
            seen[run].append((shown.pop(run), at))
        for run in now - shown.keys():
            shown[run] = at
        place = None if screen.cursor.hidden else (min(screen.cursor.x, cast.width - 1), screen.cursor.y)
        if not cursor or cursor[-1][1] != place:
            cursor.append((at, place))
    for run, since in shown.items():
        seen[run].append((since, end))
    # A first frame that comes a moment late would flash between two rounds.
    first = cast.output[0][0]
    times = {
        run: tuple((0.0 if since <= round(first, 2) else since, until) for since, until in spans)
        for run, spans in seen.items()
    }
    return dict(sorted(times.items())), cursor, end


def _runs(screen: pyte.Screen, line: int) -> list[_Run]:
    runs = []
    cells = ((column, screen.buffer[line][column]) for column in range(screen.columns))
    for style, group in groupby(cells, key=lambda cell: _style(cell[1])):
        part = list(group)
        text = "".join(char.data for _, char in part)
        blank = len(text) - len(text.lstrip()) if style.background == "default" else 0
        if text := text[blank:].rstrip() if style.background == "default" else text:
            runs.append(_Run(line, part[0][0] + blank, text, style))
    return runs


def _style(char: Char) -> _Style:
    colour, background = _colour(char.fg, _FOREGROUND), char.bg
    if char.reverse:
        colour, background = _colour(char.bg, _BACKGROUND), _colour(char.fg, _FOREGROUND)
    elif background != "default":
        background = _colour(background, _BACKGROUND)
    if char.data == " " and background == "default":
        # What cannot be seen of a blank does not break the text around it.
        colour = _FOREGROUND
    return _Style(colour, char.bold, char.italics, background)


def _colour(name: str, default: str) -> str:
    if name == "default":
        return default
    if name in _COLOURS:
        return _COLOURS[name]
    return _COLOURS.get(name.removeprefix("bright"), f"#{name}")


def _drawn(run: _Run, classes: str) -> list[str]:
    x, y = f"{run.column * _COLUMN:g}", run.line * _LINE
    width = f"{len(run.text) * _COLUMN:g}"
    # The length is given, because each machine has another font.
    text = f'<text class={quoteattr(classes)} x="{x}" y="{y + 14}" textLength="{width}">{escape(run.text)}</text>'
    if run.style.background == "default":
        return [text]
    visible = " ".join(name for name in classes.split() if name.startswith("t"))
    fill = run.style.background
    return [f'<rect class={quoteattr(visible)} x="{x}" y="{y}" width="{width}" height="{_LINE}" fill="{fill}"/>', text]


def _percent(at: float, end: float) -> str:
    return f"{100 * at / end:.2f}".rstrip("0").rstrip(".") + "%"


def _keyframes(name: str, times: _Times, end: float) -> str:
    """Return the rules of what is seen at these times: hidden, where nothing moves, unless it is there at the end."""
    steps = []
    at_end = times[-1][1] == end
    if at_end and times[0][0] > 0:
        steps.append("0%{visibility:hidden}")
    for since, until in times:
        steps.append(f"{_percent(since, end)}{{visibility:visible}}")
        if until < end:
            steps.append(f"{_percent(until, end)}{{visibility:hidden}}")
    hidden = "" if at_end else "visibility:hidden;"
    return f".{name}{{{hidden}animation:{name} {end:g}s step-end infinite}}@keyframes {name}{{{''.join(steps)}}}"


def _cursor_keyframes(cursor: list[tuple[float, tuple[int, int] | None]], end: float) -> str:
    # Hidden by its visibility, as the text is: by its opacity a browser would move it apart from the text.
    steps = {}
    for at, place in cursor:
        if place is None:
            steps[_percent(at, end)] = "visibility:hidden"
        else:
            steps[_percent(at, end)] = (
                f"visibility:visible;transform:translate({place[0] * _COLUMN:g}px,{place[1] * _LINE}px)"
            )
    [*_, last] = steps.values()
    # The first is that from the beginning.
    steps = {"0%" if number == 0 else at: step for number, (at, step) in enumerate(steps.items())}
    rules = "".join(f"{at}{{{step}}}" for at, step in steps.items())
    return f"#cursor{{{last};animation:cursor {end:g}s step-end infinite}}@keyframes cursor{{{rules}}}"
