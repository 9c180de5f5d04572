"""Figures that tests add up for the last lines of a run's report, also when the run is spread over processes."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

import pytest


@dataclass
class Figures:
    """What the tests of one run have shown."""

    #: Rows that the fault tests found exact.
    rows: int = 0
    #: What happened, and the seconds until the next row was counted.
    recoveries: list[tuple[str, float]] = field(default_factory=list)
    #: How many requests the workers of the security tests answered, by status.
    answers: Counter[str] = field(default_factory=Counter)

    def add(self, rows: int, recoveries: list[tuple[str, float]], answers: dict[str, int]) -> None:
        """Add the figures of another process."""
        self.rows += rows
        self.recoveries += recoveries
        self.answers.update(answers)


_FIGURES = pytest.StashKey[Figures]()


def figures(config: pytest.Config) -> Figures:
    """The figures of this process; at the end of a run, those of all."""
    return config.stash.setdefault(_FIGURES, Figures())


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hand the figures of a process of pytest-xdist to the one that reports."""
    if (output := getattr(session.config, "workeroutput", None)) is not None:
        found = figures(session.config)
        # What goes from process to process is made of plain types.
        output["figures"] = {**asdict(found), "answers": dict(found.answers)}


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take them over. A process that died has none."""
    if found := getattr(node, "workeroutput", {}).get("figures"):
        figures(node.config).add(**found)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say how many rows were exact and how soon they moved again after each fault; how requests were answered."""
    found = figures(config)
    if found.rows:
        terminalreporter.section("faults")
        terminalreporter.line(
            f"{found.rows} rows found exact, {len(found.recoveries)} faults timed; rows moved again after"
        )
        for what, seconds in sorted(found.recoveries):
            terminalreporter.line(f"{seconds:6.1f} s  {what}")
    if found.answers:
        terminalreporter.section("security")
        told = ", ".join(f"{times} with {status}" for status, times in sorted(found.answers.items()) if times)
        terminalreporter.line(f"{found.answers.total()} requests that could be read were answered: {told}")
