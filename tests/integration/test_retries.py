"""Retries on real services: exactly the rows that failed, byte by byte, once, whoever asks and whatever dies."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from agents.dead_letters import store_dead_letter
from app.context import AppContext
from app.domain.access import Principal, Role
from app.domain.account_limits import TooManyActive
from app.domain.actions import Action, Status, TransitionRefused
from app.domain.entities import ENTITIES
from app.domain.faults import PassingFault
from app.domain.rows import RowsUnreadable
from app.domain.upload_keys import keys_of
from app.services import ledger_walk, retries, verification
from app.services.erasure import delete
from app.services.lifecycle import cancel
from app.services.record_history import page_of_history
from app.services.retries import AlreadyRetried, NothingToRetry, NotSettled, original_rows, retry
from app.services.row_pages import page_of_rows
from app.services.upload import Submitted
from app.services.verification import verify
from tests.integration.test_lifecycle import Parts, action_of, begin, settle
from tests.support.bench import Bench, Job
from tests.support.delivery import deliver_all
from tests.support.fakes import MemoryProgress, event
from web.representations import accepted_to_response

PRINCIPAL = Principal("default", Role.OPERATOR, "key 1")

#: Rows 2, 5, 6 and 9 fail.
ROWS = [
    "a,A,a@x.example,active",
    'b,"B, ""the bad""\none",no address,active',
    "c,C,c@x.example,active",
    "a,Again,a@x.example,active",
    "d,D,d@x.example,odd",
    "  e ,E",
    "f,F,f@x.example,active",
    "g,G,g@x.example,active",
    'h,"H,h@x.example,active',
]
FAILED = [2, 5, 6, 9]
FAILED_BYTES = (ROWS[1] + "\n" + ROWS[4] + "\n" + ROWS[5] + "\n" + ROWS[8]).encode()


@pytest.fixture
def context(bench: Bench) -> AppContext:
    return bench.platform_with(progress=MemoryProgress())


async def ended(bench: Bench, context: AppContext, *rows: str, chunk_rows: int = 2, **fields: Any) -> Job:
    """An action that has run to its end."""
    job = await bench.submit(*(rows or ROWS), chunk_rows=chunk_rows, **fields)
    await bench.finish(job)
    return job


async def retried(bench: Bench, context: AppContext, job: Job, key: str | None = None) -> Submitted:
    return await retry(context, await action_of(bench, job), PRINCIPAL, key)


async def run(bench: Bench, context: AppContext, action: Action) -> Action:
    """Let an action run to its end, from its announcement on."""
    await deliver_all(bench, context)
    finished = await bench.store.actions.get(action.id)
    assert finished is not None
    assert finished.status == Status.COMPLETED
    assert [text async for text in verify(bench.store, bench.storage, finished)] == []
    return finished


async def mend(bench: Bench, action: Action) -> None:
    """Let the rows of an action be good: the same file with an address and a status, of the same length."""
    key = action.file.storage_key
    data = await bench.storage.read(key)
    await bench.storage.put(key, data.replace(b"no address", b"b@x.exampl").replace(b",odd", b",active"[:4]))


async def stored_keys(bench: Bench) -> set[str]:
    return {stored.key for stored in await bench.storage.objects()}


# What it has


@pytest.mark.parametrize("chunk_rows", [1, 2, 100])
async def test_a_retry_has_what_failed(bench: Bench, context: AppContext, chunk_rows: int) -> None:
    """The header, and the bytes of the rows that failed, in their order; and which rows they were."""
    job = await ended(bench, context, chunk_rows=chunk_rows)
    made, replayed = await retried(bench, context, job)
    original = await action_of(bench, job)
    header = (await bench.storage.read(original.file.storage_key)).partition(b"\n")[0] + b"\n"
    assert not replayed
    assert (await bench.storage.read(made.file.storage_key)).rstrip(b"\n") == header + FAILED_BYTES
    assert (made.retry_of, original.retried_by, made.total_count) == (original.id, made.id, 4)
    assert (made.file.columns, made.file.delimiter) == (original.file.columns, original.file.delimiter)
    finished = await run(bench, context, made)
    assert (finished.counts.failure, finished.counts.processed) == (4, 4)
    rows, _ = await page_of_rows(context, finished, status=None, chunk=0, after=0, limit=10)
    assert await original_rows(context, finished, [row.row for row in rows]) == dict(
        zip([1, 2, 3, 4], FAILED, strict=True)
    )
    assert await original_rows(context, finished, [3]) == {3: 6}
    assert await original_rows(context, original, [row.row for row in rows]) == {}
    assert [row.code for row in rows] == [
        "INVALID_EMAIL",
        "INVALID_STATUS",
        "WRONG_FIELD_COUNT",
        "UNTERMINATED_QUOTE",
    ]


async def test_a_retry_is_answered_like_an_upload(bench: Bench, context: AppContext) -> None:
    made, _ = await retried(bench, context, await ended(bench, context))
    answer = accepted_to_response(made)
    assert (answer["actionId"], answer["status"], answer["totalCount"]) == (made.id, "QUEUED", 4)
    assert made.history[0].by == made.created_by == "key 1"


async def test_many_failures_need_no_memory_of_them(
    bench: Bench, context: AppContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More chunks than are looked up at once, and blocks of the file."""
    monkeypatch.setattr(ledger_walk, "_COUNTS_PER_READ", 40)
    monkeypatch.setattr(retries, "_BLOCK", 16 * 1024)
    monkeypatch.setattr(verification, "_BLOCK", 32 * 1024)
    rows = [f"{n},{'x' * 200},{'no address' if n % 2 else f'{n}@x.example'},active" for n in range(600)]
    job = await ended(bench, context, *rows, chunk_rows=3)
    made, _ = await retried(bench, context, job)
    data = await bench.storage.read(made.file.storage_key)
    assert data.splitlines()[1:] == [row.encode() for row in rows[1::2]]
    assert [text async for text in verify(bench.store, bench.storage, await run(bench, context, made))] == []


async def test_a_dead_chunk_is_retried(bench: Bench, context: AppContext) -> None:
    """All its rows have failed, though nothing is wrong with them: the retry has them all succeed."""
    job = await bench.submit(*(f"{n},N,{n}@x.example,active" for n in range(6)), chunk_rows=2)
    await bench.run(job.chunks[0], job.chunks[2])
    await store_dead_letter(event(job.chunks[1].encode(), topic=bench.settings.kafka_topic), context)
    await deliver_all(bench, context)
    original = await action_of(bench, job)
    assert (original.status, original.counts.failure) == (Status.COMPLETED, 2)
    made, _ = await retried(bench, context, job)
    finished = await run(bench, context, made)
    assert (finished.counts.success, finished.counts.created) == (2, 2)
    assert [text async for text in verify(bench.store, bench.storage, original)] == []
    assert len(await bench.contacts()) == 6


async def test_a_cancelled_action_is_retried(bench: Bench, context: AppContext) -> None:
    """Once it is certain what has failed: a chunk in hand may still fail."""
    job = await begin(bench, context)
    await bench.store.actions.correct_counts(job.action_id, (await action_of(bench, job)).counts, 99)
    await cancel(context, await action_of(bench, job), PRINCIPAL)
    with pytest.raises(NotSettled):
        await retried(bench, context, job)
    await settle(bench, context)
    with pytest.raises(NothingToRetry):
        await retried(bench, context, job)


# One retry


async def test_a_retry_under_way_is_the_only_one(bench: Bench, context: AppContext) -> None:
    """Another request is refused, and told which one it is."""
    job = await ended(bench, context)
    made, _ = await retried(bench, context, job)
    before = await stored_keys(bench)
    with pytest.raises(AlreadyRetried) as refused:
        await retried(bench, context, job)
    assert refused.value.action_id == made.id
    assert await stored_keys(bench) == before


async def test_failures_of_a_retry_are_retried(bench: Bench, context: AppContext) -> None:
    """Asked of the original: what the first retry has done is not done again."""
    job = await ended(bench, context)
    first, _ = await retried(bench, context, job)
    await mend(bench, first)
    await deliver_all(bench, context)
    second, _ = await retried(bench, context, job)
    assert (second.retry_of, second.total_count) == (first.id, 3)
    finished = await run(bench, context, second)
    rows, _ = await page_of_rows(context, finished, status=None, chunk=0, after=0, limit=10)
    assert await original_rows(context, finished, [row.row for row in rows]) == {1: 2, 2: 3, 3: 4}


async def test_histories_name_original_rows(bench: Bench, context: AppContext) -> None:
    """What a row of a retry has done to a record is told with the number of the row in the first file."""
    first, _ = await retried(bench, context, await ended(bench, context))
    await mend(bench, first)
    await deliver_all(bench, context)
    page = await page_of_history(context, "default", ENTITIES["Contact"], "b", begin=None, limit=10)
    assert [(e.action.id, e.row, e.change, e.original) for e in page.entries] == [(first.id, 1, "CREATED", 2)]


async def test_success_leaves_nothing_to_retry(bench: Bench, context: AppContext) -> None:
    """Of an action without failures, and of one whose failures a retry has done."""
    good = await ended(bench, context, *ROWS[:1])
    with pytest.raises(NothingToRetry):
        await retried(bench, context, good)
    job = await ended(bench, context, *ROWS[:2])
    made, _ = await retried(bench, context, job)
    await mend(bench, made)
    await deliver_all(bench, context)
    with pytest.raises(NothingToRetry):
        await retried(bench, context, job)


@pytest.mark.parametrize("status", [Status.SCHEDULED, Status.QUEUED, Status.PROCESSING, Status.PAUSED])
async def test_what_has_not_ended_is_not_retried(bench: Bench, context: AppContext, status: Status) -> None:
    job = await bench.submit(*ROWS, status=status)
    with pytest.raises(TransitionRefused) as refused:
        await retried(bench, context, job)
    assert refused.value.status == status


@pytest.mark.parametrize("keys", [[None] * 8, [f"key {n}" for n in range(8)], ["the same"] * 8])
async def test_many_at_once_make_one(bench: Bench, context: AppContext, keys: list[str | None]) -> None:
    """The others are told which one it is, and leave no file behind; the same request gets the same answer."""
    job = await ended(bench, context)
    before = await stored_keys(bench)
    answers = await asyncio.gather(*(retried(bench, context, job, key) for key in keys), return_exceptions=True)
    made = {answer.action.id for answer in answers if isinstance(answer, Submitted)}
    [made_id] = made | {answer.action_id for answer in answers if isinstance(answer, AlreadyRetried)}
    assert await stored_keys(bench) - before == set(keys_of(made_id))
    assert await bench.database["bulk_operations"].count_documents({"retryOf": job.action_id}) == 1
    assert (await action_of(bench, job)).retried_by == made_id
    expected = 8 if keys[0] == "the same" else 1
    assert sum(isinstance(answer, Submitted) for answer in answers) == expected


async def test_a_lost_answer_is_given_again(bench: Bench, context: AppContext) -> None:
    """By its key, also when the retry has ended since, and is retried itself."""
    job = await ended(bench, context)
    first, _ = await retried(bench, context, job, "mine")
    assert await retried(bench, context, job, "mine") == (await bench.store.actions.get(first.id), True)
    await deliver_all(bench, context)
    second, replayed = await retried(bench, context, job, "next")
    assert (second.retry_of, replayed) == (first.id, False)
    again, replayed = await retried(bench, context, job, "mine")
    assert (again.id, replayed) == (first.id, True)


async def test_a_retry_whose_maker_died_is_found(bench: Bench, context: AppContext) -> None:
    """It died before the original could say which its retry is."""
    job = await ended(bench, context)

    async def die(*_: object) -> None:
        raise PassingFault("it died")

    broken = bench.platform_with(store=Parts(bench.store, actions=Parts(bench.store.actions, link_retry=die)))
    with pytest.raises(PassingFault):
        await retry(broken, await action_of(bench, job), PRINCIPAL, None)
    assert (await action_of(bench, job)).retried_by is None
    # A client's key would have expired by then.
    long_ago = (await action_of(bench, job)).created_at.replace(year=2020)
    await bench.database["bulk_operations"].update_many({}, {"$set": {"createdAt": long_ago}})
    before = await stored_keys(bench)
    with pytest.raises(AlreadyRetried) as refused:
        await retried(bench, context, job)
    assert await stored_keys(bench) == before
    assert (await action_of(bench, job)).retried_by == refused.value.action_id


# What stands in its way


async def test_a_replay_is_waited_for(bench: Bench, context: AppContext) -> None:
    """Its rows may succeed yet."""
    job = await ended(bench, context)
    letter = {"_id": job.chunk_ids[0], "kind": "CHUNK", "status": "REPLAYED", "actionId": job.action_id}
    await bench.database["dead_letters"].insert_one(letter)
    with pytest.raises(NotSettled):
        await retried(bench, context, job)


@pytest.mark.parametrize("part", ["upload.csv", "spans"])
async def test_a_lost_file_is_not_retried(bench: Bench, context: AppContext, part: str) -> None:
    job = await ended(bench, context)
    await bench.storage.delete(f"{job.action_id}/{part}")
    before = await stored_keys(bench)
    with pytest.raises(RowsUnreadable):
        await retried(bench, context, job)
    assert await stored_keys(bench) == before


async def test_a_retry_needs_room(bench: Bench, context: AppContext) -> None:
    """The limits of the account are those of an upload; nothing is left behind."""
    job = await ended(bench, context)
    await bench.submit(*ROWS)
    before = await stored_keys(bench)
    limited = bench.platform_with(settings=bench.settings.model_copy(update={"max_active_actions": 1}))
    with pytest.raises(TooManyActive):
        await retry(limited, await action_of(bench, job), PRINCIPAL, None)
    assert await stored_keys(bench) == before


async def test_verify_looks_at_the_row_map(bench: Bench, context: AppContext) -> None:
    made, _ = await retried(bench, context, await ended(bench, context))
    finished = await run(bench, context, made)
    await bench.storage.put(f"{made.id}/rows", (2).to_bytes(8, "little") * 3)
    found = [text async for text in verify(bench.store, bench.storage, finished)]
    assert "row 2 is row 2 of the original, the row before it row 2" in found
    assert "the original rows of 3 rows are known, of 4" in found


# Deletions


async def test_retry_outlives_its_original(bench: Bench, context: AppContext) -> None:
    """It goes on when the action that it names is deleted, and knows its rows of it."""
    job = await ended(bench, context)
    made, _ = await retried(bench, context, job)
    await delete(context, "default", job.action_id)
    await settle(bench, context)
    assert await bench.store.actions.find(job.action_id) is None
    finished = await run(bench, context, made)
    rows, _ = await page_of_rows(context, finished, status=None, chunk=0, after=0, limit=10)
    assert finished.retry_of == job.action_id
    assert list((await original_rows(context, finished, [row.row for row in rows])).values()) == FAILED


async def test_deleted_retry_makes_room(bench: Bench, context: AppContext) -> None:
    """An action whose retry is deleted can be retried again, from the moment on at which that is out of sight."""
    job = await ended(bench, context)
    first, _ = await retried(bench, context, job)
    await run(bench, context, first)
    await delete(context, "default", first.id)
    second, replayed = await retried(bench, context, job)
    assert (second.id != first.id, replayed, second.retry_of) == (True, False, job.action_id)
    await settle(bench, context)
    assert (await action_of(bench, job)).retried_by == second.id
    assert not {key for key in await stored_keys(bench) if key.startswith(first.id)}
