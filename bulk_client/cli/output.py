"""What is written: tables for people, JSON for programs, and nothing that a terminal would take for a command."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from bulk_client.models import Counters

#: Columns where there is no terminal: wide enough that nothing is cut.
_WIDE = 400
#: Columns that are not broken into lines.
_WHOLE = frozenset({"id", "import", "at", "made at", "status"})
_CONTROLS = re.compile("[\x7f-\x9f]")


def console(*, errors: bool = False) -> Console:
    """Return what writes to standard output, or to standard error, as these are now."""
    stream = sys.stderr if errors else sys.stdout
    width = None if stream.isatty() else _WIDE
    return Console(file=stream, width=width, markup=False, highlight=False, emoji=False, soft_wrap=not stream.isatty())


def printable(value: object) -> str:
    """Return a value as text in one line: what cannot be printed is written as Python writes it (``\\x1b``)."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="seconds").replace("+00:00", "Z")
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, list | tuple):
        return ", ".join(printable(part) for part in value)
    if isinstance(value, dict):
        return printable(json.dumps(value, ensure_ascii=False))
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in str(value))


def say(text: str) -> None:
    """Write a line for a person to standard output."""
    console().print(Text(text))


def note(text: str) -> None:
    """Write a line to standard error, beside what a program reads."""
    console(errors=True).print(Text(text))


def write_json(value: Any) -> None:
    """Write a value as JSON in one line, without what a terminal would take for a command."""
    text = json.dumps(value, ensure_ascii=False)
    sys.stdout.write(_CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", text) + "\n")
    sys.stdout.flush()


def write_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str) -> None:
    """Write rows as a table; numbers stand on the right. Without any, ``empty`` is said."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
    filled = [list(row) for row in rows]
    if not filled:
        note(empty)
        return
    for number, name in enumerate(columns):
        numeric = all(isinstance(row[number], int | None) for row in filled)
        # What is copied or compared stays in one piece, however narrow the terminal is.
        whole = numeric or name in _WHOLE
        table.add_column(name, justify="right" if numeric else "left", overflow="fold", no_wrap=whole)
    for row in filled:
        table.add_row(*(Text(printable(cell)) for cell in row))
    _print(table)


def write_fields(fields: Iterable[tuple[str, object]]) -> None:
    """Write names and values below each other; those that are None are left out."""
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in fields:
        if value is not None:
            table.add_row(Text(name, style="dim"), Text(printable(value)))
    _print(table)


def _print(table: Table) -> None:
    """Write a table; where there is no terminal without the blanks that fill its lines."""
    output = console()
    if output.is_terminal:
        output.print(table)
        return
    with output.capture() as captured:
        output.print(table)
    for line in captured.get().splitlines():
        say(line.rstrip())


def count_of(count: int, noun: str) -> str:
    """Return a number of things."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def describe(counters: Counters) -> str:
    """Return what became of the rows, in one line."""
    total = "" if counters.total_count is None else f" of {counters.total_count:,}"
    kinds = (
        (counters.created_count, "created"),
        (counters.updated_count, "updated"),
        (counters.unchanged_count, "unchanged"),
        (counters.deleted_count, "deleted"),
    )
    how = ", ".join(f"{count:,} {name}" for count, name in kinds if count)
    parts = [f"{counters.success_count:,} succeeded" + (f" ({how})" if how else "")]
    parts.append(f"{counters.failure_count:,} failed")
    if counters.skipped_count:
        parts.append(f"{counters.skipped_count:,} skipped")
    if counters.unprocessed_count:
        parts.append(f"{counters.unprocessed_count:,} never ran")
    return f"{printable(counters.status)}: {counters.processed_count:,}{total} rows: {', '.join(parts)}"
