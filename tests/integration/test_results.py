"""The results file of an action: every row with what became of it, in the order of the file, in pieces."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Collection
from typing import Any

import pytest

from app.domain.actions import Action
from app.domain.outcomes import RowStatus
from app.domain.rows import RowsUnreadable
from app.services import results as service
from app.services.results import csv_results, json_results, results
from tests.support.bench import Bench, Job
from tests.support.files import COLUMNS
from tests.support.forms import REQUIRED
from tests.support.uploads_only import UploadsOnly

RESULTS = ["_row", "_status", "_code", "_column", "_message", "_recordId"]
FAILED, SKIPPED, SUCCESS = "FAILED", "SKIPPED", "SUCCESS"
#: What is wrong with rows of 40; row 8 has the record of row 7.
WRONG = {2: "INVALID_EMAIL", 14: "REQUIRED", 15: "WRONG_FIELD_COUNT", 40: "INVALID_EMAIL"}
MESSAGES = {
    "INVALID_EMAIL": ("email", 'email is not an email address: "nobody"'),
    "REQUIRED": ("name", "name is empty."),
    "WRONG_FIELD_COUNT": ("", "The row has 2 fields, the header has 4."),
}


def cells(number: int) -> list[str]:
    if number == 8:
        return cells(7)
    match WRONG.get(number):
        case "INVALID_EMAIL":
            return [str(number), "Ada", "nobody", "active"]
        case "REQUIRED":
            return [str(number), "", f"{number}@example.com", "active"]
        case "WRONG_FIELD_COUNT":
            return [str(number), "Ada"]
    return [str(number), "Ada" if number % 3 else "Lovelace, Ada", f"{number}@example.com", "Active"]


def line(number: int) -> str:
    made = io.StringIO()
    csv.writer(made, lineterminator="").writerow(cells(number))
    return made.getvalue()


def expected(numbers: Collection[int]) -> list[list[str]]:
    rows = []
    for number in numbers:
        shown = [*cells(number), "", ""][:4]
        if number == 8:
            told = [SKIPPED, "DUPLICATE", "", "Row 7 of this file has the same record.", ""]
        elif code := WRONG.get(number):
            told = [FAILED, code, *MESSAGES[code], ""]
        else:
            told = [SUCCESS, "CREATED", "", "", str(number)]
        rows.append([*shown, str(number), *told])
    return rows


async def finished(bench: Bench, **fields: Any) -> tuple[Job, Action]:
    job = await bench.finish(await bench.submit(*map(line, range(1, 41)), chunk_rows=4, **fields))
    action = await bench.store.actions.get(job.action_id)
    assert action is not None
    return job, action


async def made(bench: Bench, action: Action, *statuses: RowStatus, as_json: bool = False) -> list[bytes]:
    """The pieces of a results file."""
    form = json_results(action) if as_json else csv_results(action)
    return [piece async for piece in results(bench.context, action, form, statuses or None)]


def read(pieces: list[bytes]) -> list[list[str]]:
    header, *rows = csv.reader(io.StringIO(b"".join(pieces).decode(), newline=""))
    assert header == [*COLUMNS, *RESULTS]
    return rows


@pytest.mark.parametrize(
    ("statuses", "numbers"),
    [
        ((), range(1, 41)),
        ((FAILED,), WRONG),
        ((FAILED, SKIPPED), sorted([*WRONG, 8])),
        ((SUCCESS,), [number for number in range(1, 41) if number not in {*WRONG, 8}]),
        ((SUCCESS, FAILED), [number for number in range(1, 41) if number != 8]),
        ((SKIPPED,), [8]),
    ],
)
async def test_rows_are_complete_and_in_order(
    bench: Bench, statuses: tuple[RowStatus, ...], numbers: Collection[int]
) -> None:
    """Each row that is asked for is there once, in the order of the file, as CSV and as JSON."""
    _, action = await finished(bench)
    assert read(await made(bench, action, *statuses)) == expected(numbers)
    lines = b"".join(await made(bench, action, *statuses, as_json=True)).splitlines()
    names = [*COLUMNS, *RESULTS]
    assert [[str(value or "") for value in json.loads(line).values()] for line in lines] == expected(numbers)
    assert all(list(json.loads(line)) == names for line in lines)


async def test_pieces_are_small(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A large file is made in pieces of a bounded size, which together are the same."""
    _, action = await finished(bench)
    whole = b"".join(await made(bench, action))
    monkeypatch.setattr(service, "_PIECE", 1)
    pieces = await made(bench, action)
    assert len(pieces) == 10
    assert b"".join(pieces) == whole


async def test_clean_chunks_are_not_read(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only chunks that have such rows are read, in the ledger and in the file."""
    job, action = await finished(bench)
    asked: list[str] = []
    read_bytes = 0
    outcomes, read_range = bench.store.ledger.outcomes, type(bench.context.storage).read

    async def counted(ids: Any) -> Any:
        asked.extend(ids)
        return await outcomes(ids)

    async def counted_bytes(self: Any, key: str, start: int = 0, end: int | None = None) -> bytes:
        nonlocal read_bytes
        data = await read_range(self, key, start, end)
        read_bytes += len(data) if key.endswith(".csv") else 0
        return data

    monkeypatch.setattr(bench.store.ledger, "outcomes", counted)
    monkeypatch.setattr(type(bench.context.storage), "read", counted_bytes)
    await made(bench, action, SKIPPED)
    assert asked == [job.chunk_ids[1]]
    assert read_bytes < 200


async def test_of_a_clean_action_nothing_is_read(bench: Bench) -> None:
    """Where nothing failed the file of failures is a header, made of the counts alone."""
    job = await bench.finish(await bench.submit("1,A,a@example.com,active"))
    await bench.storage.delete(f"{job.action_id}/upload.csv")
    action = await bench.store.actions.get(job.action_id)
    assert action is not None
    assert read(await made(bench, action, FAILED)) == []
    assert await made(bench, action, FAILED, as_json=True) == []


async def test_running_action_has_what_is_finished(bench: Bench) -> None:
    """While an action runs its results are those of the chunks that have ended."""
    job = await bench.submit(*map(line, range(1, 41)), chunk_rows=4)
    await bench.run(job.chunks[0], job.chunks[2])
    action = await bench.store.actions.get(job.action_id)
    assert action is not None
    assert [int(row[4]) for row in read(await made(bench, action))] == [1, 2, 3, 4, 9, 10, 11, 12]


async def test_missing_file_is_told(bench: Bench) -> None:
    """Without its file, or with another one, an action has no results, and that is said."""
    job, action = await finished(bench)
    key = f"{job.action_id}/upload.csv"
    data = await bench.storage.read(key)
    for content, words in (
        (data[:200], "the stored file ends before byte"),
        (data.replace(b"\n3,", b" 3,"), "are not the 4 of the ledger"),
        (None, "its file is not stored any more"),
    ):
        if content is None:
            await bench.storage.delete(key)
        else:
            await bench.storage.put(key, content)
        with pytest.raises(RowsUnreadable, match=words):
            await made(bench, action)


async def test_chunk_that_was_given_up_says_why(bench: Bench) -> None:
    """Rows of a dead chunk have failed with the reason of the chunk."""
    job = await bench.submit("1,A,a@example.com,active", "2,B,b@example.com,active")
    await bench.give_up(job.chunks[0])
    action = await bench.store.actions.get(job.action_id)
    assert action is not None
    rows = read(await made(bench, action, FAILED))
    assert [row[5:] for row in rows] == [[FAILED, "DEAD_LETTER", "", rows[0][8], ""]] * 2
    assert "it was never to be" in rows[0][8]


@pytest.mark.parametrize(("codec", "mark"), [("utf-8", False), ("utf-8-sig", True), ("cp1252", True), ("utf-16", True)])
async def test_spreadsheets_get_a_mark(bench: Bench, client: UploadsOnly, codec: str, mark: bool) -> None:
    """Who has sent a byte-order mark, or another encoding than UTF-8, is given a mark."""
    content = "id;name;email;status\r\n1;Jürgen;j@example.com;active\r\n".encode(codec)
    action = await client.take(REQUIRED, content)
    [piece] = await made(bench, action)
    assert piece.startswith("\ufeff".encode()) is mark
    assert piece.decode("utf-8-sig") == ";".join([*COLUMNS, *RESULTS]) + "\r\n"


async def test_results_come_back_as_they_were(bench: Bench, client: UploadsOnly) -> None:
    """Failures that are corrected and uploaded as they are become the records that were meant."""
    rows = ["=1,+A,nobody,active", "'=2,''=B,b@example.com,active", "-3,@C,c@example.com,sleeping"]
    job = await bench.finish(await bench.submit(*rows))
    action = await bench.store.actions.get(job.action_id)
    assert action is not None
    corrected = b"".join(await made(bench, action, FAILED))
    assert b"'=1,'+A,nobody" in corrected
    corrected = corrected.replace(b"nobody,", b"a@example.com,").replace(b"sleeping,", b"active,")
    again = await client.take(REQUIRED, corrected)
    assert again.file.ignored_columns == ()
    assert again.total_count == 2
    await bench.finish(await bench.start(again))
    assert await bench.names() == {"=1": "+A", "'=2": "''=B", "-3": "@C"}
    outcome = read(await made(bench, again))
    assert [row[:4] for row in outcome] == [
        ["'=1", "'+A", "a@example.com", "active"],
        ["'-3", "'@C", "c@example.com", "active"],
    ]
    assert [row[-1] for row in outcome] == ["'=1", "'-3"]
