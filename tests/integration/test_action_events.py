"""Events of chunks and rows, made from the ledger and the stored file."""

from __future__ import annotations

from app.domain.actions import Action
from app.domain.events import Event, EventType
from app.domain.outcomes import DEAD_LETTER
from app.services.action_events import chunk_events
from tests.support.bench import Bench, Job

ROWS = (
    "1,Ada,ada@example.com,active",
    "G-1,No Mail,NoBody ,active",
    "3,,x@example.com,active",
    "1,Ada again,Ada2@example.com,active",
    "5,Eve,eve@example.com,active",
    "6,Six",
)


async def action_of(bench: Bench, job: Job) -> Action:
    action = await bench.store.actions.get(job.action_id)
    assert action is not None
    return action


async def events_of(bench: Bench, job: Job, *indexes: int) -> dict[int, list[Event]]:
    action = await action_of(bench, job)
    wanted = indexes or range(action.chunk_count)
    return {index: events async for index, events in chunk_events(bench.context, action, wanted)}


async def test_rows_say_what_is_wrong(bench: Bench) -> None:
    """Each chunk has its event, then one for each row that failed or was skipped, with whom it is about."""
    job = await bench.finish(await bench.submit(*ROWS, chunk_rows=3))
    first, second = (await events_of(bench, job)).values()
    told = [(event.type, event.row, event.code, event.record_id, event.email) for event in (*first, *second)]
    assert told == [
        (EventType.CHUNK_COMPLETED, None, None, None, None),
        (EventType.ROW_FAILED, 2, "INVALID_EMAIL", "G-1", "nobody"),
        (EventType.ROW_FAILED, 3, "REQUIRED", "3", "x@example.com"),
        (EventType.CHUNK_COMPLETED, None, None, None, None),
        (EventType.ROW_SKIPPED, 4, "DUPLICATE", "1", "ada2@example.com"),
        (EventType.ROW_FAILED, 6, "WRONG_FIELD_COUNT", "6", None),
    ]
    assert [event.message for event in first] == [
        "Rows 1 to 3 were processed: 1 succeeded, 2 failed, 0 skipped.",
        'email is not an email address: "NoBody "',
        "name is empty.",
    ]
    assert {event.account_id for event in first} == {"default"}


async def test_unfinished_chunks_have_none(bench: Bench) -> None:
    """Only chunks that are finished and asked for are told."""
    job = await bench.submit(*ROWS, chunk_rows=2)
    await bench.run(job.chunks[0], job.chunks[2])
    assert list(await events_of(bench, job)) == [0, 2]
    assert list(await events_of(bench, job, 1, 2)) == [2]


async def test_dead_chunk_is_one_event(bench: Bench) -> None:
    """However many rows it has; its replay takes the place of the event."""
    job = await bench.submit(*ROWS[:2], chunk_rows=2)
    await bench.give_up(job.chunks[0])
    [dead] = (await events_of(bench, job))[0]
    assert (dead.type, dead.code, dead.first_row, dead.last_row) == (EventType.CHUNK_DEAD, DEAD_LETTER, 1, 2)
    assert dead.message == "Rows 1 to 2 failed and can be replayed: it was never to be"
    await bench.run(*job.chunks)
    done, failed = (await events_of(bench, job))[0]
    assert (done.id, done.type) == (dead.id, EventType.CHUNK_COMPLETED)
    assert failed.row == 2


async def test_rows_without_their_file(bench: Bench) -> None:
    """A file that is gone is said to be gone; what the ledger knows is told all the same."""
    job = await bench.finish(await bench.submit(*ROWS, chunk_rows=10))
    await bench.storage.delete((await action_of(bench, job)).file.storage_key)
    summary, *rows = (await events_of(bench, job))[0]
    assert summary.type == EventType.CHUNK_COMPLETED
    assert [(event.row, event.code) for event in rows] == [
        (2, "INVALID_EMAIL"),
        (3, "REQUIRED"),
        (4, "DUPLICATE"),
        (6, "WRONG_FIELD_COUNT"),
    ]
    assert "not stored any more" in rows[0].message
    assert rows[2].message == "Row 1 of this file has the same record."
