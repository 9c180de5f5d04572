"""Rows that come over Kafka, on real services: each is taken once, counted once, and never silently another."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agents.dead_letters import keep_poison, store_dead_letter
from agents.dispatcher import dispatch
from agents.feeder import feed
from agents.processor import process
from app.context import AppContext
from app.domain.actions import Status, TransitionRefused
from app.domain.dead_letters import MAX_OF_NOBODY, Kind, Obstacle
from app.domain.entities import ENTITIES
from app.domain.faults import PermanentFault
from app.domain.idempotency import KeyReused
from app.domain.streams import AlreadyClosed, Declared, NotAStream
from app.kafka.backlog import Offsets
from app.kafka.inline_rows import read_chunk
from app.kafka.messages import Chunk, Feed
from app.kafka.retry_headers import RetryHeaders
from app.observability.metrics import FORGED_CHUNKS, STREAM_CHUNKS
from app.services.arrivals import Refusal
from app.services.erasure import delete
from app.services.lifecycle import cancel, pause, resume
from app.services.record_history import page_of_history
from app.services.replays import find_obstacle, start_replay
from app.services.results import csv_results, results
from app.services.retries import retry
from app.services.row_pages import page_of_rows
from app.services.streams import close_stream
from app.services.verification import verify
from tests.support.bench import Bench
from tests.support.clocks import LONG_AGO
from tests.support.delivery import deliver_all
from tests.support.fakes import MemoryProgress, event
from tests.support.leftovers import leftovers
from tests.support.streams import PRINCIPAL, Producer, contact, current, message_of, opened_stream
from web.representations import record_to_response


@pytest.fixture
def context(bench: Bench) -> AppContext:
    settings = bench.settings.model_copy(update={"feed_window": 4})
    return bench.platform_with(progress=MemoryProgress(), settings=settings)


@pytest.fixture
async def producer(context: AppContext) -> Producer:
    return Producer(context, await opened_stream(context))


async def close(bench: Bench, context: AppContext, producer: Producer, **declared: int) -> None:
    await close_stream(context, await current(bench, producer.action_id), Declared(**declared))
    await deliver_all(bench, context)


async def assert_complete(bench: Bench, producer: Producer, *, rows: int, success: int | None = None) -> None:
    """It has ended with so many rows, all of them counted; the verify command agrees."""
    action = await current(bench, producer.action_id)
    assert (action.status, action.error) == (Status.COMPLETED, None)
    assert action.total_count == action.counts.processed == rows
    assert action.counts.success == (rows if success is None else success)
    assert [text async for text in verify(bench.store, bench.storage, action)] == []


async def letters(bench: Bench, producer: Producer) -> list[tuple[str, str]]:
    """The kind and the reason of each dead letter, the oldest first."""
    found = await bench.store.dead_letters.page(["default", None], 500)
    return [(letter.kind, letter.error) for letter in reversed(found)]


async def silent_for(bench: Bench, producer: Producer, seconds: float) -> None:
    """Let nothing have been heard of an action for so long."""
    then = datetime.now(UTC) - timedelta(seconds=seconds)
    change = {"$set": {"updatedAt": then, "stream.waitingSince": then}}
    await bench.database["bulk_operations"].update_one({"_id": producer.action_id}, change)
    await bench.database["chunk_openings"].update_many({}, {"$set": {"at": LONG_AGO}})


async def test_rows_run_as_they_come(bench: Bench, context: AppContext, producer: Producer) -> None:
    """While the action is open its rows are written and counted; it ends when it is closed."""
    await producer.send([contact(1), contact(2)], 0)
    await deliver_all(bench, context)
    action = await current(bench, producer.action_id)
    assert (action.status, action.counts.success, action.takes_chunks) == (Status.OPEN, 0, True)
    assert set(await bench.contacts()) == {"c1", "c2"}
    assert context.progress.get(action.id).counts.success == 2
    await producer.send([contact(3)], 1)
    await close(bench, context, producer, chunks=2)
    await assert_complete(bench, producer, rows=3)
    history = [entry.status for entry in (await current(bench, producer.action_id)).history]
    assert history == [Status.OPEN, Status.PROCESSING, Status.COMPLETED]


@pytest.mark.parametrize("declared", [{"chunks": 3}, {"rows": 5}, {"rows": 5, "chunks": 3}])
@pytest.mark.parametrize("early", [True, False])
async def test_order_and_copies_do_not_matter(
    bench: Bench, context: AppContext, producer: Producer, declared: dict[str, int], early: bool
) -> None:
    """Chunks come twice and out of order, before and after the action is closed: each row counts once."""
    chunks = {0: [contact(1), contact(2)], 1: [contact(3)], 2: [contact(4), contact(5)]}
    if early:
        await close(bench, context, producer, **declared)
    for index in (2, 0, 2, 1, 0, 1):
        await producer.send(chunks[index], index)
    await deliver_all(bench, context)
    if not early:
        await close(bench, context, producer, **declared)
    await assert_complete(bench, producer, rows=5)
    action = await current(bench, producer.action_id)
    assert (action.chunk_count, action.counts.created, await letters(bench, producer)) == (3, 5, [])


async def test_messages_without_index(bench: Bench, context: AppContext, producer: Producer) -> None:
    """A message is known by where it was first read; one that its producer sends twice is two."""
    await producer.send([contact(1)], offset=70)
    await producer.send([contact(2)], offset=71)
    await producer.send([contact(1)], offset=70)
    await producer.send([contact(2)], offset=72)
    await deliver_all(bench, context)
    await close(bench, context, producer, chunks=3)
    await assert_complete(bench, producer, rows=3, success=2)
    assert (await current(bench, producer.action_id)).counts.duplicate == 1


async def test_numbers_that_got_lost(bench: Bench, context: AppContext, producer: Producer) -> None:
    """Somebody died with a number that he had given to no chunk: it stays vacant, and the action ends."""
    await producer.send([contact(1)])
    await bench.store.actions.take_number(producer.action_id, None)
    await producer.send([contact(2)])
    await deliver_all(bench, context)
    await close(bench, context, producer, rows=2)
    await assert_complete(bench, producer, rows=2)
    rows, _ = await page_of_rows(
        context, await current(bench, producer.action_id), status=None, chunk=0, after=0, limit=10
    )
    assert [row.row for row in rows] == [1, 20_001]


async def test_nothing_is_a_number_too(bench: Bench, context: AppContext, producer: Producer) -> None:
    """An action is closed without any row."""
    await close(bench, context, producer, rows=0)
    await assert_complete(bench, producer, rows=0)
    await bench.clean_up(context)


async def test_histories_name_chunk_and_place(bench: Bench, context: AppContext, producer: Producer) -> None:
    """What a row has done to a record is told while the action is open, by the chunk and the place of the row."""
    await producer.send([contact(1)], 0)
    await producer.send([contact(2), contact(3)], 7)
    await deliver_all(bench, context)
    contacts = ENTITIES["Contact"]
    page = await page_of_history(context, "default", contacts, "c3", begin=None, limit=10)
    [entry] = record_to_response(contacts, "c3", None, page)["history"]
    assert (entry["actionId"], entry["chunk"], entry["place"]) == (producer.action_id, 7, 2)
    assert (entry["code"], entry["actionStatus"]) == ("CREATED", Status.OPEN)
    assert page.unreadable == []


async def test_bad_rows_fail_alone(bench: Bench, context: AppContext, producer: Producer) -> None:
    """What JSON can say of a row is judged as a row of a file is; rows without a value are rows."""
    rows = [contact(1), {}, contact(3, email="none"), contact(4, name=None), contact(1), contact(6, name=7)]
    await producer.send(rows, 0)
    await close(bench, context, producer, rows=6)
    await assert_complete(bench, producer, rows=6, success=2)
    action = await current(bench, producer.action_id)
    shown, _ = await page_of_rows(context, action, status=None, chunk=0, after=0, limit=10)
    assert [(row.row, row.code) for row in shown] == [
        (1, "CREATED"),
        (2, "REQUIRED"),
        (3, "INVALID_EMAIL"),
        (4, "REQUIRED"),
        (5, "DUPLICATE"),
        (6, "CREATED"),
    ]
    assert (await bench.names())["c6"] == "7"


async def test_patches_say_what_they_change(bench: Bench, context: AppContext) -> None:
    """What a row does not have stays as it is, null clears, in each row for itself."""
    await bench.finish(await bench.submit("a,A,a@x.example,active", "b,B,b@x.example,active"))
    producer = Producer(context, await opened_stream(context, action_type="BULK_PATCH"))
    await producer.send([{"id": "a", "name": "New"}, {"ID": "b", "status": "inactive"}, {"id": "a", "email": None}], 0)
    await close(bench, context, producer, chunks=1)
    found = await bench.contacts()
    assert (found["a"]["name"], found["a"]["status"], found["b"]["name"]) == ("New", "active", "B")
    assert found["b"]["status"] == "inactive"


async def test_rows_of_an_action_come_back(bench: Bench, context: AppContext, producer: Producer) -> None:
    """The results file has them by chunk and place, and what failed is retried as from a file."""
    await producer.send([contact(1), contact(2, email="none")], 1)
    await producer.send([contact(3, name='a "b", c')], 0)
    await close(bench, context, producer, chunks=2)
    await assert_complete(bench, producer, rows=3, success=2)
    action = await current(bench, producer.action_id)
    made = b"".join([part async for part in results(context, action, csv_results(action), None)]).decode()
    assert [line.rpartition(",active,")[2].split(",")[:4] for line in made.splitlines()[1:]] == [
        ["0:1", "1", "SUCCESS", "CREATED"],
        ["1:1", "10001", "SUCCESS", "CREATED"],
        ["1:2", "10002", "FAILED", "INVALID_EMAIL"],
    ]
    again = (await retry(context, action, PRINCIPAL, None)).action
    await deliver_all(bench, context)
    ended = await current(bench, again.id)
    assert (ended.status, ended.total_count, ended.counts.failure, ended.stream) == (Status.COMPLETED, 1, 1, None)
    assert [text async for text in verify(bench.store, bench.storage, ended)] == []


REFUSED: dict[str, tuple[Refusal, dict[str, Any]]] = {
    "other rows under an index": (Refusal.MISMATCH, {"rows": [contact(9)], "index": 0}),
    "no index after some with one": (Refusal.LATE, {"rows": [contact(9)]}),
    "an index beyond the last": (Refusal.MISMATCH, {"rows": [contact(9)], "index": 2}),
    "a row that is no object": (Refusal.NOT_FLAT, {"rows": ["c9"], "index": 1}),
    "a value that is an object": (Refusal.NOT_FLAT, {"rows": [contact(9, name={})], "index": 1}),
    "another entity": (Refusal.MISMATCH, {"rows": [contact(9)], "index": 1, "entityType": "Task"}),
    "too many bytes": (Refusal.TOO_LARGE, {"rows": [contact(9, name="x" * 5000)], "index": 1}),
}


@pytest.mark.parametrize("case", list(REFUSED))
async def test_a_refused_chunk_is_kept(bench: Bench, context: AppContext, case: str) -> None:
    """It becomes a dead letter of its account without the token, once, and the action goes on."""
    refusal, sent = REFUSED[case]
    small = bench.platform_with(
        progress=MemoryProgress(), settings=bench.settings.model_copy(update={"chunk_bytes": 4096})
    )
    producer = Producer(small, await opened_stream(small))
    await producer.send([contact(1)], 0)
    await close(bench, small, producer, chunks=2)
    counted = STREAM_CHUNKS.labels(refusal)._value.get()
    for _ in range(2):
        await producer.send(**sent, offset=55)
    assert STREAM_CHUNKS.labels(refusal)._value.get() == counted + 2
    [letter] = await bench.store.dead_letters.page(["default"], 5)
    assert (letter.kind, letter.action_id, letter.row_count) == (Kind.ROWS, producer.action_id, 1)
    assert producer.token.encode() not in letter.payload
    assert await find_obstacle(small, letter) == Obstacle.ROWS_REFUSED
    assert (await current(bench, producer.action_id)).stream.refused == 1
    await producer.send([contact(2)], 1)
    await deliver_all(bench, small)
    await assert_complete(bench, producer, rows=2)


async def test_a_late_chunk_is_kept(bench: Bench, context: AppContext, producer: Producer) -> None:
    """Its action has ended: a copy of one that has come says nothing, another is refused."""
    await producer.send([contact(1)], 0)
    await close(bench, context, producer, rows=1)
    await producer.send([contact(1)], 0)
    assert await letters(bench, producer) == []
    await producer.send([contact(2)], 1)
    [(kind, _)] = await letters(bench, producer)
    assert kind == Kind.ROWS
    await assert_complete(bench, producer, rows=1)


@pytest.mark.parametrize("token", [None, "", "wrong", "\udc80"])
async def test_nobody_writes_without_a_token(bench: Bench, context: AppContext, token: str | None) -> None:
    """Nothing of such a message is kept anywhere: neither of the action, nor of a letter, nor in the storage."""
    producer = Producer(context, await opened_stream(context))
    value = message_of(producer.action_id, [contact(1)], 0)
    headers = [] if token is None else [("stream-token", token.encode(errors="surrogateescape"))]
    await process(read_chunk(event(value, topic=bench.topics.chunks.name, headers=headers)), context)
    assert (bench.topics.taken, await letters(bench, producer)) == ({}, [])
    assert (await current(bench, producer.action_id)).chunk_count == 0
    assert [stored.key for stored in await bench.storage.objects() if "chunks" in stored.key] == []


async def test_a_token_opens_one_action(bench: Bench, context: AppContext, producer: Producer) -> None:
    """That of another action, be it of the same account, is no token."""
    other = Producer(context, await opened_stream(context))
    await producer.send([contact(1)], 0, token=other.token)
    assert (await current(bench, producer.action_id)).chunk_count == 0
    file = await bench.submit("a,A,a@x.example,active")
    producer.action_id = file.action_id
    await producer.send([contact(1)], 0)
    assert bench.topics.taken == {}


async def test_letters_of_an_action_are_few(bench: Bench, context: AppContext, producer: Producer) -> None:
    """Who has a token cannot fill the database with what is refused."""
    for _ in range(103):
        await producer.send(["no row"], 0)
    assert len(await letters(bench, producer)) == 100
    assert (await current(bench, producer.action_id)).stream.refused == 103


async def test_letters_of_nobody_are_few(bench: Bench, context: AppContext) -> None:
    """Nor can anybody with what cannot be read."""
    few = [{"_id": str(n), "kind": "POISON", "status": "DEAD", "at": LONG_AGO} for n in range(MAX_OF_NOBODY - 1)]
    await bench.database["dead_letters"].insert_many(few)
    for offset in range(3):
        await keep_poison(event(b"?", offset=offset), context)
    assert await bench.database["dead_letters"].count_documents({}) == MAX_OF_NOBODY


# What never comes true

CONTRADICTIONS: dict[str, tuple[dict[str, int], str]] = {
    "fewer chunks": ({"chunks": 1}, "It was closed with 1 chunk, and has a chunk of index 1."),
    "fewer rows": ({"rows": 2}, "It was closed with 2 rows, and 3 rows arrived."),
    "more rows": ({"rows": 4, "chunks": 2}, "It was closed with 4 rows in 2 chunks, and 3 rows in 2 chunks arrived."),
}


@pytest.mark.parametrize("case", list(CONTRADICTIONS))
async def test_a_contradiction_fails(bench: Bench, context: AppContext, producer: Producer, case: str) -> None:
    """What arrived cannot be what was declared: the action is FAILED at once, with the reason."""
    declared, reason = CONTRADICTIONS[case]
    await producer.send([contact(1), contact(2)], 0)
    await producer.send([contact(3)], 1)
    await deliver_all(bench, context)
    await close(bench, context, producer, **declared)
    action = await current(bench, producer.action_id)
    assert (action.status, action.error) == (Status.FAILED, reason)
    assert (action.total_count, action.counts.processed, action.takes_chunks) == (3, 3, False)


async def test_a_gap_fails(bench: Bench, context: AppContext, producer: Producer) -> None:
    """All rows are there, and an index is not: whoever counts so has lost something."""
    await producer.send([contact(1)], 0)
    await producer.send([contact(2)], 2)
    await deliver_all(bench, context)
    await close(bench, context, producer, rows=2)
    action = await current(bench, producer.action_id)
    assert (action.status, action.error) == (Status.FAILED, "All of its 2 rows are there, but no chunk of index 1.")


@pytest.mark.parametrize(
    ("declared", "reason"),
    [
        (
            {"chunks": 4},
            "It was closed with 4 chunks, and 2 chunks arrived; no more came for 60 seconds. Missing chunks: 1, 3.",
        ),
        ({"rows": 9}, "It was closed with 9 rows, and 2 rows arrived; no more came for 60 seconds. Missing chunks: 1."),
        ({}, "It was not closed, and no chunk came for 60 seconds; 2 rows in 2 chunks arrived."),
    ],
)
async def test_a_timeout_says_what_is_missing(bench: Bench, declared: dict[str, int], reason: str) -> None:
    """After STREAM_TIMEOUT without a chunk the action is FAILED, and not before."""
    settings = bench.settings.model_copy(update={"stream_timeout": 60.0})
    context = bench.platform_with(progress=MemoryProgress(), settings=settings)
    producer = Producer(context, await opened_stream(context))
    await producer.send([contact(1)], 0)
    await producer.send([contact(2)], 2)
    await deliver_all(bench, context)
    if declared:
        await close(bench, context, producer, **declared)
    await silent_for(bench, producer, 55)
    await dispatch(context)
    assert (await current(bench, producer.action_id)).status == Status.OPEN
    await silent_for(bench, producer, 65)
    await dispatch(context)
    await deliver_all(bench, context)
    action = await current(bench, producer.action_id)
    assert (action.status, action.error) == (Status.FAILED, reason)
    assert (action.counts.processed, action.total_count, action.unprocessed_count) == (2, 2, 0)


async def test_what_stands_in_kafka_is_waited_for(bench: Bench) -> None:
    """No worker ran, or others have sent much: what was sent in time is read first, and nothing that comes later."""
    settings = bench.settings.model_copy(update={"stream_timeout": 60.0})
    context = bench.platform_with(progress=MemoryProgress(), settings=settings)
    producer = Producer(context, await opened_stream(context))
    statuses = []
    for ends, read, silent in [((9, 5), (7, 5), 65), ((20, 5), (8, 5), 70), ((20, 5), (9, 5), 75)]:
        bench.topics.offsets = Offsets(ends, read)
        await silent_for(bench, producer, silent)
        await dispatch(context)
        statuses.append((await current(bench, producer.action_id)).status)
    assert statuses == [Status.OPEN, Status.OPEN, Status.FAILED]


async def test_nobody_waits_for_kafka_for_ever(bench: Bench) -> None:
    """What is behind an offset need not be a message."""
    settings = bench.settings.model_copy(update={"stream_timeout": 60.0})
    context = bench.platform_with(progress=MemoryProgress(), settings=settings)
    producer = Producer(context, await opened_stream(context))
    bench.topics.offsets = Offsets((9,), (8,))
    await silent_for(bench, producer, 24 * 60)
    await dispatch(context)
    assert (await current(bench, producer.action_id)).status == Status.FAILED


async def test_a_chunk_that_got_lost(bench: Bench, context: AppContext, producer: Producer) -> None:
    """It has arrived, and its message is gone: it is sent again while the action is open, and is waited for."""
    await producer.send([contact(1)], 0)
    bench.topics.chunks.sent.clear()
    await silent_for(bench, producer, 100_000)
    await dispatch(context)
    await deliver_all(bench, context)
    assert set(await bench.contacts()) == {"c1"}
    await close(bench, context, producer, rows=1)
    await assert_complete(bench, producer, rows=1)


async def test_a_seal_that_got_lost(bench: Bench, context: AppContext, producer: Producer) -> None:
    """Whoever stored the last chunk died behind it: the dispatcher finds that all is there."""
    await producer.send([contact(1)], 0)
    await deliver_all(bench, context)
    await bench.store.actions.declare(producer.action_id, Declared(rows=1), "key of one")
    await bench.store.actions.declare(producer.action_id, Declared(rows=1), "key of another")
    stream = (await current(bench, producer.action_id)).stream
    assert stream is not None
    assert stream.closed_by == "key of one"
    await silent_for(bench, producer, 30)
    await dispatch(context)
    await assert_complete(bench, producer, rows=1)


# Steering

Step = Callable[[], Awaitable[object]]


async def test_pause_and_go_on(bench: Bench, context: AppContext, producer: Producer) -> None:
    """What comes in a pause is kept and does not run; resumed, it runs, window by window, and the action is open."""
    await producer.send([contact(0)], 0)
    await deliver_all(bench, context)
    await pause(context, await current(bench, producer.action_id), PRINCIPAL)
    for index in range(1, 12):
        await producer.send([contact(index)], index)
    await deliver_all(bench, context)
    assert set(await bench.contacts()) == {"c0"}
    resumed = await resume(context, await current(bench, producer.action_id), PRINCIPAL)
    assert resumed.status == Status.OPEN
    await deliver_all(bench, context)
    assert len(await bench.contacts()) == 12
    await producer.send([contact(12)], 12)
    await close(bench, context, producer, rows=13)
    await assert_complete(bench, producer, rows=13)


async def test_closed_in_a_pause(bench: Bench, context: AppContext, producer: Producer) -> None:
    """It ends once it is resumed."""
    await producer.send([contact(1)], 0)
    await pause(context, await current(bench, producer.action_id), PRINCIPAL)
    await close(bench, context, producer, chunks=1)
    assert (await current(bench, producer.action_id)).status == Status.PAUSED
    await resume(context, await current(bench, producer.action_id), PRINCIPAL)
    await deliver_all(bench, context)
    await assert_complete(bench, producer, rows=1)


async def test_cancel_counts_what_came(bench: Bench, context: AppContext, producer: Producer) -> None:
    """Rows that came and never ran are unprocessed."""
    await producer.send([contact(1)], 0)
    await deliver_all(bench, context)
    await producer.send([contact(2), contact(3)], 1)
    cancelled = await cancel(context, await current(bench, producer.action_id), PRINCIPAL)
    assert (cancelled.status, cancelled.total_count, cancelled.unprocessed_count) == (Status.CANCELLED, 3, 2)
    await deliver_all(bench, context)
    await bench.clean_up(context)
    await deliver_all(bench, context)
    action = await current(bench, producer.action_id)
    assert (action.counts.processed, action.unprocessed_count, action.chunk_count) == (1, 2, 2)
    assert [text async for text in verify(bench.store, bench.storage, action)] == []


async def test_too_many_failures_pause_it(bench: Bench, context: AppContext) -> None:
    """As they do an action of a file; resumed, it goes on."""
    producer = Producer(context, await opened_stream(context, max_failures="1"))
    await producer.send([contact(1, email="no"), contact(2, email="no"), contact(3)], 0)
    await deliver_all(bench, context)
    action = await current(bench, producer.action_id)
    assert (action.status, action.failure_limit_reached) == (Status.PAUSED, True)
    await resume(context, action, PRINCIPAL)
    await close(bench, context, producer, rows=3)
    await assert_complete(bench, producer, rows=3, success=1)


async def test_more_rows_than_may_be(bench: Bench) -> None:
    """MAX_ROWS holds for all chunks together: the action is FAILED."""
    context = bench.platform_with(progress=MemoryProgress(), settings=bench.settings.model_copy(update={"max_rows": 2}))
    producer = Producer(context, await opened_stream(context))
    await producer.send([contact(1), contact(2)], 0)
    await producer.send([contact(3)], 1)
    await deliver_all(bench, context)
    action = await current(bench, producer.action_id)
    assert (action.status, action.error, action.total_count) == (Status.FAILED, "An action may have 2 rows.", 2)


async def test_closing_twice(bench: Bench, context: AppContext, producer: Producer) -> None:
    """With the same numbers nothing changes, with others it is refused, also when the action has ended."""
    await producer.send([contact(1)], 0)
    await deliver_all(bench, context)
    for _ in range(2):
        await close(bench, context, producer, rows=1)
    with pytest.raises(AlreadyClosed):
        await close(bench, context, producer, rows=2)
    await assert_complete(bench, producer, rows=1)


async def test_what_cannot_be_closed(bench: Bench, context: AppContext, producer: Producer) -> None:
    """An action of a file, and one that has ended open."""
    job = await bench.submit("a,A,a@x.example,active")
    with pytest.raises(NotAStream):
        await close_stream(context, await current(bench, job.action_id), Declared(rows=1))
    await cancel(context, await current(bench, producer.action_id), PRINCIPAL)
    with pytest.raises(TransitionRefused):
        await close_stream(context, await current(bench, producer.action_id), Declared(rows=1))


async def test_opened_again_with_a_key(bench: Bench, context: AppContext) -> None:
    """The same request is the same action, with a token that is new; the old one is none any more."""
    first = await opened_stream(context, key="default:k")
    again = await opened_stream(context, key="default:k")
    assert (again.action.id, again.replayed, first.replayed) == (first.action.id, True, False)
    await Producer(context, first).send([contact(1)], 0)
    assert (await current(bench, first.action.id)).chunk_count == 0
    await Producer(context, again).send([contact(1)], 0)
    assert (await current(bench, first.action.id)).chunk_count == 1
    with pytest.raises(KeyReused):
        await opened_stream(context, key="default:k", digest="other")


async def test_claims_are_rebuilt(bench: Bench, context: AppContext, producer: Producer) -> None:
    """The claims of an action that was open for too long are gone: duplicates are found all the same."""
    await producer.send([contact(1)], 0)
    await deliver_all(bench, context)
    await bench.claims.release(producer.action_id)
    await producer.send([contact(1), contact(2)], 1)
    await deliver_all(bench, context)
    await silent_for(bench, producer, 1000)
    await dispatch(context)
    await bench.clean_up(context)
    await deliver_all(bench, context)
    await close(bench, context, producer, rows=3)
    await assert_complete(bench, producer, rows=3, success=2)


async def test_a_feed_of_what_is_not_there(bench: Bench, context: AppContext, producer: Producer) -> None:
    """Indexes that no chunk has are left out."""
    await producer.send([contact(1)], 2)
    bench.topics.chunks.sent.clear()
    await feed(Feed(action_id=producer.action_id, indexes=(0, 2, 7)), context)
    assert len(bench.topics.chunks.sent) == 1


async def test_a_deletion_leaves_nothing(bench: Bench, context: AppContext, producer: Producer) -> None:
    """Of chunks with and without an index, nor of what comes late."""
    other = Producer(context, await opened_stream(context))
    await producer.send([contact(1)], 0)
    await other.send([contact(2)])
    for one in (producer, other):
        await close(bench, context, one, rows=1)
        await delete(context, "default", one.action_id)
        await bench.clean_up(context)
        await deliver_all(bench, context)
        await one.send([contact(3)], None if one is other else 1)
        uris = (bench.settings.mongo_db_uri.get_secret_value(), bench.settings.redis_uri.get_secret_value())
        assert await asyncio.to_thread(leftovers, *uris, one.action_id) == set()
    assert [stored.key for stored in await bench.storage.objects() if "chunks" in stored.key] == []
    assert set(await bench.contacts()) == {"c1", "c2"}


async def test_a_forged_chunk_is_dropped(bench: Bench, context: AppContext, producer: Producer) -> None:
    """A producer may write to the topic, but not what only we do: neither for other accounts, nor other rows."""
    await producer.send([contact(1)], 0)
    [sent] = bench.topics.chunks.sent
    chunk, counted = Chunk.decode(sent.value), FORGED_CHUNKS._value.get()
    assert chunk.seal is not None
    source = chunk.source.model_copy(update={"account_id": "victim"})
    for forged in (chunk.model_copy(update={"seal": None}), chunk.model_copy(update={"source": source})):
        await process(forged, context)
        letter = RetryHeaders.after(event(topic=bench.topics.chunks.name), "away").to_headers()
        await store_dead_letter(event(forged.encode(), topic=bench.topics.dead.name, headers=letter), context)
    assert FORGED_CHUNKS._value.get() == counted + 2
    assert (await bench.contacts(), await letters(bench, producer)) == ({}, [])
    unknown = chunk.model_copy(update={"action_id": "f" * 24, "source": source})
    with pytest.raises(PermanentFault):
        await process(unknown, context)
    await deliver_all(bench, context)
    assert set(await bench.contacts()) == {"c1"}


async def test_a_dead_chunk_is_replayed(bench: Bench, context: AppContext, producer: Producer) -> None:
    """As one of a file: its rows are failures until then, also when its action has ended meanwhile."""
    await producer.send([contact(1), contact(2)], 1)
    await producer.send([contact(2), contact(3)], 0)
    dead, other = (Chunk.decode(sent.value) for sent in bench.topics.chunks.sent)
    bench.topics.chunks.sent.clear()
    await bench.give_up(dead)
    await process(other, context)
    await close(bench, context, producer, chunks=2)
    action = await current(bench, producer.action_id)
    assert (action.status, action.counts.success, action.counts.failure) == (Status.COMPLETED, 2, 2)
    await bench.clean_up(context)
    letter = await bench.store.dead_letters.get(dead.id)
    assert letter is not None
    assert await start_replay(context, letter)
    await deliver_all(bench, context)
    await assert_complete(bench, producer, rows=4, success=3)
    assert (await current(bench, producer.action_id)).counts.duplicate == 1
