"""What the command ``bulk`` writes: fit for a terminal, whatever a file or a server says."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime

import pytest

from bulk_client.cli.imports import exit_code
from bulk_client.cli.output import describe, printable, write_json, write_table
from bulk_client.cli.progress import time_left
from bulk_client.models import Action

HOSTILE = "a\x1b[31mb\u202ec\x9bd\ne"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (HOSTILE, "a\\x1b[31mb\\u202ec\\x9bd\\ne"),
        (None, ""),
        (True, "yes"),
        (12345, "12,345"),
        ([1, "x"], "1, x"),
        (datetime(2026, 11, 23, 23, 55, 49, 253000, tzinfo=UTC), "2026-11-23 23:55:49Z"),
        ("Jürgen 😀", "Jürgen 😀"),
    ],
)
def test_texts_are_made_printable(value: object, shown: str) -> None:
    assert printable(value) == shown


def test_tables_have_no_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    """Nor markup, which would be text of a stranger in colour."""
    write_table(("name", "rows"), [(HOSTILE, 1), ("[red]x[/red]", None)], empty="nothing")
    told = capsys.readouterr().out
    assert "[red]x[/red]" in told
    assert not set(told) & set("\x1b\x9b\u202e")


def test_json_is_safe_and_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    write_json({"name": HOSTILE})
    told = capsys.readouterr().out
    assert json.loads(told) == {"name": HOSTILE}
    assert not set(told) & set("\x1b\x9b")


def action(**more: object) -> Action:
    counts = {f"{name}Count": 0 for name in ("processed", "success", "failure", "skipped")}
    shown = {"actionId": "1", "status": "COMPLETED", "totalCount": 4, **counts}
    about = {"actionType": "BULK_UPDATE", "entityType": "Contact", "createdAt": "2026-11-23T23:55:49.253Z"}
    return Action.read({**shown, **about, **more})


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({}, 0),
        ({"skippedCount": 1}, 0),
        ({"failureCount": 1}, 3),
        ({"status": "CANCELLED", "unprocessedCount": 4}, 3),
        ({"status": "PAUSED"}, 3),
        ({"status": "FAILED"}, 1),
    ],
)
def test_exit_code_tells_of_the_rows(more: dict[str, object], code: int) -> None:
    """A duplicate is no failure; rows that never ran are."""
    assert exit_code(action(**more)) == code


def test_end_is_told_in_a_line() -> None:
    ended = action(processedCount=4, successCount=2, createdCount=2, failureCount=1, skippedCount=1)
    assert describe(ended) == "COMPLETED: 4 of 4 rows: 2 succeeded (2 created), 1 failed, 1 skipped"


@pytest.mark.parametrize(("seconds", "shown"), [(None, ""), (61.2, "1:01 left"), (3725, "1:02:05 left")])
def test_time_left_is_short(seconds: float | None, shown: str) -> None:
    assert time_left(seconds) == shown


def test_output_needs_no_utf8(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal of another encoding is written to as well."""
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii", errors="backslashreplace")
    monkeypatch.setattr("sys.stdout", stream)
    write_table(("name",), [("Jürgen",)], empty="")
    stream.flush()
    assert b"J\\xfcrgen" in raw.getvalue()
