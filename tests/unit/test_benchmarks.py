"""The benchmarks' contenders, scenarios and tables, without services."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from benchmarks import contenders
from benchmarks.bed import Usage
from benchmarks.end_to_end import CLEAN, RIVALS, SCENARIOS, Contest, Run, _tables, available_rivals, orders
from stack.samples import Sample

URI = "mongodb://127.0.0.1:1/bench"


class Collection:
    """Counts what contenders say they wrote."""

    def __init__(self) -> None:
        self.records: dict[str, Any] = {}

    def drop(self) -> None:
        self.records.clear()

    def count_documents(self, _: dict[str, Any]) -> int:
        return len(self.records)


class NoBed:
    """What a contender needs of the bed."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.environment = {"MONGO_DB_URI": URI}
        self.database = {"contacts": Collection()}

    @contextmanager
    def using(self) -> Iterator[Usage]:
        yield Usage(seconds=1.0)


@pytest.fixture
def bed(tmp_path: Path) -> Any:
    return NoBed(tmp_path)


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A mongoimport that writes down its arguments, alone on the PATH."""
    directory = tmp_path / "bin"
    directory.mkdir()
    program, called = directory / "mongoimport", tmp_path / "called.json"
    program.write_text(
        f"#!{sys.executable}\nimport json, os, sys\n"
        f"json.dump(sys.argv[1:], open({str(called)!r}, 'w'))\n"
        "sys.exit(os.environ.get('COMPLAINT'))\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(directory))
    return called


def scenario_rows(kind: str) -> list[tuple[str, tuple[str, str, str]]]:
    return list(Sample(100, **{**CLEAN, **SCENARIOS[kind]}).records().items())


def test_mongoimport_command(bed: Any, fake: Path, tmp_path: Path) -> None:
    """It upserts by ``_id`` with four workers, from a file whose header row names that field."""
    path = tmp_path / "rows.csv"
    Sample(3, **CLEAN).write(path)
    assert contenders.mongoimport(bed, Sample(3, **CLEAN), path).seconds == 1.0
    named = tmp_path / "mongoimport.csv"
    assert json.loads(fake.read_text()) == [
        f"--uri={URI}",
        "--collection=contacts",
        f"--file={named}",
        "--type=csv",
        "--headerline",
        "--mode=upsert",
        "--upsertFields=_id",
        "--numInsertionWorkers=4",
    ]
    assert named.read_text() == "_" + path.read_text()


def test_mongoimport_failure(bed: Any, fake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMPLAINT", "no server")
    path = tmp_path / "rows.csv"
    Sample(3, **CLEAN).write(path)
    with pytest.raises(AssertionError, match="no server"):
        contenders.mongoimport(bed, Sample(3, **CLEAN), path)


def test_mongoimport_on_the_path(fake: Path) -> None:
    assert available_rivals() == RIVALS


def test_mongoimport_not_on_the_path(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """It is left out, and one line says so."""
    monkeypatch.setenv("PATH", os.devnull)
    assert [name[:3] for name in available_rivals()] == ["(a)", "(b)"]
    [line] = capsys.readouterr().err.splitlines()
    assert "mongoimport is not on the PATH" in line


@pytest.mark.parametrize(("kind", "changed"), [("the same again", 0), ("one row in ten changed", 10)])
def test_scenarios_differ(kind: str, changed: int) -> None:
    """A scenario differs from the one before it."""
    before, after = (scenario_rows(name) for name in ("new", kind))
    assert sum(one != other for one, other in zip(before, after, strict=True)) == changed


def test_one_column_changes_in_every_row() -> None:
    before, after = (scenario_rows(name) for name in ("one row in ten changed", "one column changed"))
    for (key, (name, *rest)), (key_after, (name_after, *rest_after)) in zip(before, after, strict=True):
        assert (key, rest) == (key_after, rest_after)
        assert name != name_after


@pytest.mark.parametrize("names", [["a"], ["a", "b"], ["a", "b", "c"], ["a", "b", "c", "d"]])
def test_orders_are_fair(names: list[str]) -> None:
    """Each is first, and last, as often as the others."""
    found = list(islice(orders(names), 2 * len(names)))
    assert all(sorted(order) == names for order in found)
    for place in (0, -1):
        assert Counter(order[place] for order in found) == dict.fromkeys(names, 2)


def test_contest_lets_each_begin_empty(bed: Any) -> None:
    """Every contender goes through all scenarios, from an empty collection."""
    seen: list[tuple[str, int]] = []

    def contender(name: str) -> Any:
        def write(_: Any, sample: Sample, path: Path) -> Usage:
            contacts = bed.database["contacts"]
            seen.append((name, len(contacts.records)))
            contacts.records.update(sample.records())
            return Usage(seconds=2.0)

        return write

    runs = Contest(bed, {name: contender(name) for name in "ab"}).compare(10, SCENARIOS, 2)
    each = [0, 10, 10, 10]
    assert seen == [(name, records) for name in "abba" for records in each]
    assert [(run.name, run.kind) for run in runs] == [(name, kind) for name in "ab" for kind in SCENARIOS]
    assert {tuple(run.speeds) for run in runs} == {(5.0, 5.0)}


def test_contest_notices_what_is_missing(bed: Any) -> None:
    with pytest.raises(AssertionError, match="idle: 0 records"):
        Contest(bed, {"idle": lambda *_: Usage()}).compare(10, SCENARIOS, 1)


def test_tables_compare_with_every_rival() -> None:
    def run(name: str, seconds: float) -> Run:
        return Run(name, 1000, "new", [Usage(seconds, {"worker": 0.01, "client": 0.03})] * 2)

    speed, cost, _ = _tables([run("(a) bare loop", 1), run("(c) mongoimport", 4), run("platform, 1 worker", 2)], {})
    assert [row[3:] for row in speed.rows] == [
        ["1,000", "1,000 to 1,000", "–", "–", "4.00"],
        ["250", "250 to 250", "0.25", "–", "–"],
        ["500", "500 to 500", "0.50", "–", "2.00"],
    ]
    costs = dict(zip(cost.columns, cost.rows[-1], strict=True))
    assert (costs["worker"], costs["client"], costs["all"]) == ("10.0", "30.0", "40.0")
