"""Commands beside the worker: what they say while they work."""

from __future__ import annotations

import subprocess
import sys

import pytest

from app.cli import verify


def test_verify_shows_how_far_it_is(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """On standard error, not for every chunk, and not at all when it is soon done."""
    now = 100.0
    monkeypatch.setattr(verify.time, "monotonic", lambda: now)
    progress = verify._Progress(actions=2, rows=10_000)
    progress.action()
    progress.rows(2_000)
    assert capsys.readouterr().err == ""
    now += 2
    progress.rows(2_000)
    progress.rows(2_000)
    progress.action()
    now += 2
    progress.rows(2_000)
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.splitlines() == ["action 1 of 2, row 4,000 of 10,000", "action 2 of 2, row 8,000 of 10,000"]


@pytest.mark.parametrize(
    ("module", "unneeded"),
    [
        ("commands", {"motor", "redis", "faust", "aiokafka"}),
        ("verify", {"redis", "faust", "aiokafka"}),
        ("keys", {"faust", "aiokafka"}),
    ],
)
def test_commands_import_what_they_need(module: str, unneeded: set[str]) -> None:
    script = f"import sys, app.cli.{module}; print(*sys.modules)"
    imported = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert not unneeded & set(imported)
