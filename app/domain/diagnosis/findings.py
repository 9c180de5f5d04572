"""A line of the doctor's report."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Grade(StrEnum):
    """How well something is."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """How something is, and what to do about it.

    Attributes:
        grade: a problem keeps the platform from working, or loses something; a warning may one day.
        text: what was found.
        advice: what to do; empty where nothing is.
    """

    grade: Grade
    text: str
    advice: str = ""


def ok(text: str) -> Finding:
    """Return a finding that needs nothing."""
    return Finding(Grade.OK, text)


def warning(text: str, advice: str) -> Finding:
    """Return a finding of what may go wrong one day."""
    return Finding(Grade.WARNING, text, advice)


def problem(text: str, advice: str) -> Finding:
    """Return a finding of what is wrong."""
    return Finding(Grade.PROBLEM, text, advice)


def size(count: int) -> str:
    """Write a number of bytes for people."""
    value = float(count)
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "bytes" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"
