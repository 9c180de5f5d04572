"""The failures of an action by what is wrong: exact, of the first rows of very many, and read where there are any."""

from __future__ import annotations

from typing import Any

import pytest

from app.domain.failure_groups import FailureGroups
from app.domain.rows import RowsUnreadable
from app.services import failures as service
from app.services.failures import group_failures
from tests.support.bench import Bench, Job

ROWS = [
    "1,Ada,a@example.com,active",
    "2,Bo,b@example.com,aktiv",
    "3,Cy,nobody,active",
    "4,Di,d@example.com,aktiv",
    "5,Ed",
    "6,Flo,f@example.com,active",
    "7,,g@example.com,active",
    "8,Hu,h@example.com,aktiv",
    "9,Ida,=nobody,active",
    "6,Flo again,f2@example.com,active",
]


async def groups_of(bench: Bench, job: Job) -> FailureGroups:
    action = await bench.store.actions.get(job.action_id)
    assert action is not None
    return await group_failures(bench.context, action)


async def test_failures_are_grouped(bench: Bench) -> None:
    """One look says what is wrong, how often, and where first."""
    job = await bench.finish(await bench.submit(*ROWS, chunk_rows=3))
    groups = await groups_of(bench, job)
    assert [(g.code, g.column, g.value, g.count, g.rows) for g in groups.largest(9)] == [
        ("INVALID_STATUS", "status", "aktiv", 3, [2, 4, 8]),
        ("INVALID_EMAIL", "email", "nobody", 1, [3]),
        ("WRONG_FIELD_COUNT", None, None, 1, [5]),
        ("REQUIRED", "name", "", 1, [7]),
        ("INVALID_EMAIL", "email", "=nobody", 1, [9]),
    ]
    assert groups.largest(1)[0].message == 'status is not one of active, inactive, pending, archived: "aktiv"'


async def test_mapped_columns_have_their_names(bench: Bench) -> None:
    """With a mapping the groups name the columns of the file, and have their values."""
    columns = ["Nr", "name", "email", "Zustand"]
    job = await bench.submit(*ROWS, columns=columns, fields=["id", "name", "email", "status"])
    await bench.finish(job)
    [first, *_] = (await groups_of(bench, job)).largest(9)
    assert (first.column, first.value, first.count) == ("Zustand", "aktiv", 3)


async def test_kept_reasons_are_shown(bench: Bench) -> None:
    """What only the ledger knows is told as it is."""
    job = await bench.submit(*ROWS, chunk_rows=5)
    await bench.run(job.chunks[0])
    await bench.give_up(job.chunks[1])
    groups = {group.code: group for group in (await groups_of(bench, job)).largest(9)}
    assert (groups["DEAD_LETTER"].count, groups["INVALID_STATUS"].rows) == (5, [2, 4])


async def test_clean_chunks_are_left_alone(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only chunks with failures are read, and of a clean action nothing but counts."""
    job = await bench.finish(await bench.submit(*ROWS[:1], *ROWS[5:6], *ROWS[1:2], chunk_rows=1))
    asked: list[str] = []
    outcomes = bench.store.ledger.outcomes

    async def counted(ids: Any) -> Any:
        asked.extend(ids)
        return await outcomes(ids)

    monkeypatch.setattr(bench.store.ledger, "outcomes", counted)
    assert (await groups_of(bench, job)).count == 1
    assert asked == [job.chunk_ids[2]]
    clean = await bench.finish(await bench.submit("c1,C,c1@example.com,active"))
    await bench.storage.delete(f"{clean.action_id}/upload.csv")
    assert len(await groups_of(bench, clean)) == 0
    assert asked == [job.chunk_ids[2]]


async def test_very_many_are_looked_at_in_part(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of very many failures the first ones are looked at, and no more than these."""
    job = await bench.finish(await bench.submit(*[f"{n},A,nobody,active" for n in range(50)], chunk_rows=10))
    monkeypatch.setattr(service, "_MOST_EXAMINED", 25)
    groups = await groups_of(bench, job)
    assert (groups.count, groups.largest(1)[0].rows) == (25, list(range(1, 11)))


async def test_without_its_file_nothing_is_grouped(bench: Bench) -> None:
    job = await bench.finish(await bench.submit(*ROWS))
    await bench.storage.delete(f"{job.action_id}/upload.csv")
    with pytest.raises(RowsUnreadable, match="not stored any more"):
        await groups_of(bench, job)
