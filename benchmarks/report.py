"""What the benchmarks found: tables, JSON, and a plot."""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any


@dataclass
class Table:
    """One table; prints as Markdown, so that it can be put into the docs as it is."""

    title: str
    columns: Sequence[str]
    note: str = ""
    rows: list[list[str]] = field(default_factory=list)

    def add(self, *cells: str) -> None:
        """Add a row."""
        self.rows.append(list(cells))

    def __str__(self) -> str:
        widths = [max(map(len, column)) for column in zip(self.columns, *self.rows, strict=True)]
        lines = [
            "| " + " | ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)) + " |"
            for cells in (self.columns, *self.rows)
        ]
        lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
        return "\n".join([f"### {self.title}", "", *([self.note, ""] if self.note else []), *lines, ""])


def median(values: Sequence[float]) -> float:
    """Return the median."""
    return statistics.median(values)


def spread(values: Sequence[float]) -> str:
    """Return the least and the most."""
    return f"{min(values):,.0f} to {max(values):,.0f}"


def quantile(values: Sequence[float], share: float) -> float:
    """Return the least of the values that ``share`` of them do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def say(text: str) -> None:
    """Tell how far it is, beside the result."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def write(directory: Path, tables: Sequence[Table], figures: dict[str, Any]) -> None:
    """Write ``benchmark.md``, ``benchmark.json`` and, from its end-to-end figures, ``benchmark.svg``."""
    directory.mkdir(parents=True, exist_ok=True)
    text = "\n".join(map(str, tables))
    print(text)
    (directory / "benchmark.md").write_text(text, encoding="utf-8")
    machine = {"cores": os.cpu_count(), "system": platform.platform(), "python": platform.python_version()}
    document = {"machine": machine, **figures}
    (directory / "benchmark.json").write_text(json.dumps(document, indent=1, ensure_ascii=False), encoding="utf-8")
    if find_spec("matplotlib") is None:
        say("matplotlib is not installed: no plot is drawn")
    elif runs := [run for run in figures.get("end to end", ()) if run.get("kind") == "new"]:
        draw(runs, directory / "benchmark.svg")


def draw(runs: Sequence[dict[str, Any]], path: Path) -> None:
    """Draw rows per second by size of the file, a line for each contender, with least and most as bars."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "benchmark"
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 4.5))
    for name in dict.fromkeys(run["name"] for run in runs):
        mine = sorted((run for run in runs if run["name"] == name), key=lambda run: run["rows"])
        middles = [median(run["rows per second"]) for run in mine]
        lows = [middle - min(run["rows per second"]) for middle, run in zip(middles, mine, strict=True)]
        highs = [max(run["rows per second"]) - middle for middle, run in zip(middles, mine, strict=True)]
        axes.errorbar([run["rows"] for run in mine], middles, [lows, highs], marker="o", capsize=3, label=name)
    axes.set_xscale("log")
    axes.set_ylim(bottom=0)
    axes.set_xlabel("rows of the file, all new")
    axes.set_ylabel("rows per second")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
