"""The outcomes of rows, page by page: complete, in order, and read only where there are any."""

from __future__ import annotations

from typing import Any

import pytest

from app.domain.outcomes import RowOutcome, RowStatus
from app.services.row_pages import page_of_rows
from tests.support.bench import Bench, Job

BAD = "no address"
#: 40 rows in chunks of 4: of the chunks 0, 3 and 9 some rows fail; row 8 is a duplicate.
FAILED = {2: "INVALID_EMAIL", 14: "INVALID_EMAIL", 15: "REQUIRED", 40: "WRONG_FIELD_COUNT"}
MESSAGES = {
    2: ('email is not an email address: "no address"', "email"),
    14: ('email is not an email address: "no address"', "email"),
    15: ("name is empty.", "name"),
    40: ("The row has 2 fields, the header has 4.", None),
}


def row(number: int) -> str:
    if number == 8:
        return row(7)
    code = FAILED.get(number)
    name = "" if code == "REQUIRED" else f"Name {number}"
    mail = BAD if code == "INVALID_EMAIL" else f"mail{number}@example.com"
    return "1,short" if code == "WRONG_FIELD_COUNT" else f"{number},{name},{mail},active"


async def finished(bench: Bench) -> Job:
    return await bench.finish(await bench.submit(*map(row, range(1, 41)), chunk_rows=4))


async def pages(bench: Bench, job: Job, status: RowStatus | None, limit: int) -> list[list[RowOutcome]]:
    action = await bench.store.actions.get(job.action_id)
    assert action is not None
    found, place = [], (0, 0)
    while True:
        rows, following = await page_of_rows(
            bench.context, action, status=status, chunk=place[0], after=place[1], limit=limit
        )
        found.append(rows)
        if following is None:
            return found
        chunk, _, after = following.partition("-")
        place = int(chunk), int(after)


@pytest.mark.parametrize("limit", [1, 3, 4, 7, 500])
async def test_pages_have_every_row_once(bench: Bench, limit: int) -> None:
    """Pages have every row once, and in order."""
    job = await finished(bench)
    for status, wanted in (
        (None, range(1, 41)),
        ("FAILED", FAILED),
        ("SKIPPED", [8]),
        ("SUCCESS", [number for number in range(1, 41) if number not in {*FAILED, 8}]),
    ):
        found = await pages(bench, job, status, limit)
        assert [entry.row for page in found for entry in page] == list(wanted)
        assert all(len(page) == limit for page in found[:-1])
        assert found[-1]


async def test_row_error_is_read_from_file(bench: Bench) -> None:
    """What is wrong with a row is read in its file.

    The ledger has row and code alone; message and column are those that the processor saw.
    """
    job = await finished(bench)
    [failed] = await pages(bench, job, "FAILED", 500)
    assert {entry.row: entry.code for entry in failed} == FAILED
    assert {entry.row: (entry.message, entry.column) for entry in failed} == MESSAGES
    [[duplicate]] = await pages(bench, job, "SKIPPED", 500)
    assert (duplicate.owner, duplicate.message) == (7, "Row 7 of this file has the same record.")


async def test_only_needed_chunks_are_read(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only chunks that have such rows are read."""
    job = await finished(bench)
    read: list[str] = []
    outcomes = bench.store.ledger.outcomes

    async def counted(ids: Any) -> Any:
        read.extend(ids)
        return await outcomes(ids)

    monkeypatch.setattr(bench.store.ledger, "outcomes", counted)
    await pages(bench, job, "FAILED", 500)
    assert read == [job.chunk_ids[index] for index in (0, 3, 9)]


async def test_rows_are_listed_without_file(bench: Bench) -> None:
    """Rows are listed when their file is gone."""
    job = await finished(bench)
    await bench.storage.delete(f"{job.action_id}/upload.csv")
    [failed] = await pages(bench, job, "FAILED", 500)
    assert {entry.row: entry.code for entry in failed} == FAILED
