"""The spans of traces that were received, and how the trace of an action is shown."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

#: What is shown of a span beside its name and times.
_SHOWN = 3
_BAR = 24


@dataclass(frozen=True)
class Span:
    """A step that was traced.

    Attributes:
        trace: The id of its trace, hexadecimal.
        id: Its own.
        parent: The id of the span in which it was made; empty: it is a root.
        name: What was done.
        start: Unix time, seconds.
        end: The same.
        attributes: What else is known of it.
        links: The traces that it is linked to.
        failed: Whether it ended with an error.
    """

    trace: str
    id: str
    parent: str
    name: str
    start: float
    end: float
    attributes: Mapping[str, Any] = field(default_factory=dict)
    links: tuple[str, ...] = ()
    failed: bool = False


def read(file: Path) -> Iterator[Span]:
    """Yield the spans that were received; none where nothing was."""
    if not file.exists():
        return
    with file.open() as lines:
        for line in lines:
            if line.endswith("\n"):
                fields = json.loads(line)
                yield Span(**{**fields, "links": tuple(fields["links"])})


def traces_of(spans: Iterable[Span], value: str) -> list[list[Span]]:
    """Return the traces in which any span has this value as an attribute, or which are linked to such a one."""
    traces: dict[str, list[Span]] = {}
    for span in spans:
        traces.setdefault(span.trace, []).append(span)
    named = {name for name, found in traces.items() if any(value in span.attributes.values() for span in found)}
    linked = {name for name, found in traces.items() if any(named.intersection(span.links) for span in found)}
    return sorted((traces[name] for name in named | linked), key=lambda found: min(span.start for span in found))


def tree(spans: Sequence[Span]) -> Iterator[tuple[int, Span]]:
    """Yield the spans of a trace with their depth, each behind its parent, the earliest first.

    A span whose parent has not come, because it is still open or was lost, stands like a root.
    """
    known = {span.id for span in spans}
    children: dict[str, list[Span]] = {}
    for span in sorted(spans, key=lambda span: span.start):
        children.setdefault(span.parent if span.parent in known else "", []).append(span)
    waiting = [(0, span) for span in reversed(children.pop("", []))]
    while waiting:
        depth, span = waiting.pop()
        yield depth, span
        waiting += [(depth + 1, child) for child in reversed(children.pop(span.id, []))]


def lines(spans: Sequence[Span]) -> Iterator[str]:
    """Yield the lines that show a trace: when each span began, in ms since the first, how long it took, and what."""
    begin, end = min(span.start for span in spans), max(span.end for span in spans)
    scale = _BAR / max(end - begin, 1e-6)
    yield f"trace {spans[0].trace}: {len(spans)} spans, {(end - begin) * 1000:.0f} ms"
    for depth, span in tree(spans):
        first = min(int((span.start - begin) * scale), _BAR - 1)
        width = max(1, min(round((span.end - span.start) * scale), _BAR - first))
        bar = " " * first + "━" * width
        after, took = (span.start - begin) * 1000, (span.end - span.start) * 1000
        links = "".join(f" -> trace {trace}" for trace in span.links if trace != span.trace)
        known = " ".join(f"{name}={value}" for name, value in list(span.attributes.items())[:_SHOWN])
        text = f"{after:8.1f} {took:8.1f} |{bar:<{_BAR}}| {'  ' * depth}{'! ' if span.failed else ''}{span.name}"
        yield f"{text} {known}{links}".rstrip()
