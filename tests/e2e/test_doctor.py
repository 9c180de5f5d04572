"""The doctor as an operator calls it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.workers import Worker


def doctor(environment: dict[str, str], directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "app", "doctor", *arguments],
        env=environment,
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.fixture
def environment(worker: Worker) -> dict[str, str]:
    """The settings of an installation that works."""
    return {**worker.environment, "PYTHONPATH": str(Path.cwd())}


def test_each_line_says_what_to_do(environment: dict[str, str], tmp_path: Path) -> None:
    """Aligned lines on standard output, and nothing else anywhere."""
    told = doctor(environment, tmp_path)
    lines = told.stdout.splitlines()
    assert (told.returncode, told.stderr) == (0, "")
    assert {line[:9].rstrip() for line in lines} == {"ok", "warning"}
    assert any(line.startswith("ok       MongoDB  ") for line in lines)
    names = [line[9:].split("  ")[0] for line in lines]
    for name in ("settings", "MongoDB indexes", "Redis eviction", "storage permissions", "Kafka topics"):
        assert name in names
    assert len({line.index(line[9 + len(name) :].lstrip()) for line, name in zip(lines, names, strict=True)}) == 1
    assert all("; " in line for line in lines if line.startswith("warning"))


def test_programs_get_json(environment: dict[str, str], tmp_path: Path) -> None:
    told = doctor(environment, tmp_path, "--json")
    assert told.returncode == 0
    report = json.loads(told.stdout)
    assert all(set(one) == {"check", "grade", "text", "advice"} for one in report)
    assert {one["grade"] for one in report} == {"ok", "warning"}
    assert all((one["advice"] is None) == (one["grade"] == "ok") for one in report)


def test_problem_is_exit_code_one(environment: dict[str, str], tmp_path: Path) -> None:
    """A service is down; the password in its address is not shown."""
    told = doctor({**environment, "REDIS_URI": "redis://:hunter22@127.0.0.1:1"}, tmp_path)
    assert (told.returncode, told.stderr) == (1, "")
    [line] = [line for line in told.stdout.splitlines() if line.startswith("problem")]
    assert "start Redis, or correct REDIS_URI" in line
    assert "hunter22" not in told.stdout


def test_wrong_settings_are_told(environment: dict[str, str], tmp_path: Path) -> None:
    """All of them, one line each, instead of a refusal to start."""
    (tmp_path / ".env").write_text("AUTH_MOD=required\n")
    told = doctor({**environment, "BATCH_SIZE": "many"}, tmp_path)
    assert (told.returncode, told.stderr) == (1, "")
    assert [line.split("  ")[0] for line in told.stdout.splitlines()] == ["problem"] * 2
    assert "did you mean AUTH_MODE?" in told.stdout
    assert "BATCH_SIZE" in told.stdout


def test_mistyped_name_is_a_warning(environment: dict[str, str], tmp_path: Path) -> None:
    told = doctor({**environment, "BATCH_SISE": "100"}, tmp_path)
    assert told.returncode == 0
    assert "warning  settings" in told.stdout
    assert "did you mean BATCH_SIZE?" in told.stdout
