"""The store on a real server: every step is atomic, and of two that compete exactly one wins."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from bson import ObjectId

from app.adapters.mongo import Store
from app.adapters.mongo.ledger import Entry
from app.domain.actions import ENDED, TRANSITIONS, Action, Status
from app.domain.outcomes import ChunkOutcome, Counts, RowOutcome
from app.kafka.messages import chunk_id
from tests.support.clocks import PAST
from tests.support.factories import make_action


async def add_action(store: Store, **fields: Any) -> str:
    action = make_action(**fields)
    await store.actions.add(action)
    return action.id


async def status_of(store: Store, action_id: str) -> str:
    action = await store.actions.get(action_id)
    assert action is not None
    return action.status


def ids_of(actions: Sequence[Action]) -> list[str]:
    return [action.id for action in actions]


async def test_preparing_is_idempotent(store: Store) -> None:
    """Preparing twice, and at once, is harmless."""
    await asyncio.gather(store.prepare(), store.prepare())
    await store.check()


# Actions


async def test_action_round_trip(store: Store) -> None:
    """An action comes back as it was stored."""
    action_id = await add_action(store, columns=["id", "ä"], totalCount=2**40, scheduledAt=None)
    action = await store.actions.get(action_id)
    assert action is not None
    assert (action.file.columns.names, action.total_count, action.scheduled_at) == (("id", "ä"), 2**40, None)
    assert (action.created_at, action.created_at.tzinfo is not None) == (PAST, True)
    assert action.status is Status.QUEUED


async def test_action_is_of_its_account(store: Store) -> None:
    """An action is shown to its own account only."""
    action_id = await add_action(store, accountId="mine")
    assert await store.actions.get(action_id, "mine")
    assert await store.actions.get(action_id)
    assert await store.actions.get(action_id, "another") is None
    assert await store.actions.get(action_id, "") is None
    assert await store.actions.get(str(ObjectId())) is None


@pytest.mark.parametrize("target", list(Status))
@pytest.mark.parametrize("present", list(Status))
async def test_status_follows_the_machine(store: Store, present: Status, target: Status) -> None:
    """A status changes exactly where the state machine allows it."""
    action_id = await add_action(store, status=present)
    moved = await store.actions.transition(action_id, target, error="moved")
    if target in TRANSITIONS[present]:
        assert moved is not None
        assert (moved.status, moved.error) == (target, "moved")
        assert moved.updated_at is not None
        assert moved.updated_at > PAST
        assert (moved.completed_at is not None) == (target in ENDED)
    else:
        assert moved is None
        action = await store.actions.get(action_id)
        assert action is not None
        assert (action.status, action.updated_at, action.error) == (present, PAST, None)


async def test_unknown_action_does_not_move(store: Store) -> None:
    """Moving what is not there changes nothing."""
    assert await store.actions.transition(str(ObjectId()), Status.PROCESSING) is None


async def test_one_of_many_moves_wins(store: Store) -> None:
    """Of many who move an action at once one wins."""
    for _ in range(10):
        action_id = await add_action(store, status=Status.SCHEDULED)
        moved = await asyncio.gather(*(store.actions.transition(action_id, Status.QUEUED, stalls=n) for n in range(8)))
        [winner] = [action for action in moved if action is not None]
        action = await store.actions.get(action_id)
        assert action is not None
        assert action.stalls == winner.stalls


async def test_of_two_different_ends_one_stands(store: Store) -> None:
    for _ in range(10):
        action_id = await add_action(store, status=Status.PROCESSING)
        ends = (Status.COMPLETED, Status.CANCELLED, Status.FAILED)
        moved = await asyncio.gather(*(store.actions.transition(action_id, end) for end in ends))
        [winner] = [action for action in moved if action is not None]
        assert await status_of(store, action_id) == winner.status


@pytest.mark.parametrize("status", list(Status))
async def test_counters_need_a_running_action(store: Store, status: Status) -> None:
    """Counters are written only while an action is under way."""
    action_id = await add_action(store, status=status, **Counts().to_document())
    await store.actions.record_progress(action_id, Counts(success=3, failure=1))
    action = await store.actions.get(action_id)
    assert action is not None
    under_way = status in (Status.OPEN, Status.PROCESSING, Status.PAUSED)
    assert (action.counts.processed, action.status) == (4 if under_way else 0, status)


async def test_number_of_a_chunk_is_taken_once(store: Store) -> None:
    """Of many who are told the same number for a chunk that came over Kafka one gets it."""
    claims = await asyncio.gather(*(store.stream_chunks.claim_number("a" * 24, 3) for _ in range(5)))
    assert sorted(claims) == [False] * 4 + [True]


async def test_pages_are_complete(store: Store) -> None:
    """Pages are newest first, and their cursor leaves out and repeats nothing."""
    # Some were made in the same millisecond: there the id decides.
    made = [(PAST + timedelta(milliseconds=n // 3), await add_action(store)) for n in range(20)]
    for moment, action_id in made:
        await store.actions.transition(action_id, Status.PROCESSING, createdAt=moment)
    await add_action(store, accountId="another")
    expected = [action_id for _, action_id in sorted(made, reverse=True)]
    for size in (1, 4, 20, 50):
        found: list[Action] = []
        before = None
        while page := await store.actions.page("default", size, before=before):
            assert len(page) <= size
            found += page
            assert len(found) <= len(expected), "an action is repeated"
            before = (page[-1].created_at, page[-1].id)
        assert ids_of(found) == expected


async def test_page_is_filtered(store: Store) -> None:
    """A page shows only what was asked for."""
    await add_action(store, status=Status.QUEUED)
    failed = await add_action(store, status=Status.FAILED)
    page = await store.actions.page("default", 10, status="FAILED")
    assert ids_of(page) == [failed]


async def test_due_is_scheduled_until_now(store: Store) -> None:
    """Due is what is scheduled up to now."""
    moments = {"past": PAST - timedelta(days=1), "now": PAST, "future": PAST + timedelta(milliseconds=1)}
    made = {name: await add_action(store, status=Status.SCHEDULED, scheduledAt=at) for name, at in moments.items()}
    await add_action(store, status=Status.QUEUED, scheduledAt=PAST - timedelta(days=1))
    await add_action(store, status=Status.CANCELLED, scheduledAt=PAST - timedelta(days=1))
    assert await store.actions.claim_schedules(PAST, PAST, 1) == (1, [made["past"]])
    assert await store.actions.claim_schedules(PAST, PAST, 10) == (1, [made["now"]])
    assert await store.actions.claim_schedules(PAST, PAST, 10) == (0, [])


async def test_unchanged_is_untouched_since(store: Store) -> None:
    """Unchanged is what nothing has touched since."""
    old = await add_action(store, updatedAt=PAST)
    await add_action(store, updatedAt=PAST + timedelta(milliseconds=1))
    await add_action(store, updatedAt=PAST, status=Status.PROCESSING)
    assert ids_of(await store.actions.claim_unchanged(Status.QUEUED, PAST, 10)) == [old]


async def test_one_of_many_claims_a_look(store: Store) -> None:
    """An action is claimed for a look by one of many."""
    for _ in range(10):
        action_id = await add_action(store)
        claimed = await asyncio.gather(*(store.actions.claim_unchanged(Status.QUEUED, PAST, 100) for _ in range(8)))
        assert [ids_of(found) for found in claimed if found] == [[action_id]]
    assert await store.actions.claim_unchanged(Status.QUEUED, PAST, 100) == []


# The ledger


def outcome(first_row: int = 1, rows: int = 10) -> ChunkOutcome:
    exceptions = [
        RowOutcome(first_row, "FAILED", "WRITE_REFUSED", 'The database refused it: "ä"'),
        RowOutcome(first_row + 1, "SKIPPED", "DUPLICATE", "Row 1 of this file has the same record.", owner=1),
    ]
    counts = Counts.of(exceptions, created=rows - 4, updated=2)
    return ChunkOutcome(first_row, rows, counts, exceptions, (1 << rows) - 1 & ~0b1111)


def ids(count: int) -> list[str]:
    action_id = str(ObjectId())
    return [chunk_id(action_id, index) for index in range(count)]


async def test_first_opener_is_told(store: Store) -> None:
    """The first who opens a chunk is told so and no other."""
    [chunk] = ids(1)
    assert await store.ledger.open(chunk) is True
    for _ in range(2):
        assert await store.ledger.open(chunk) is False


async def test_one_of_many_opens_first(store: Store) -> None:
    """Of many who open a chunk at once one is first."""
    for chunk in ids(10):
        first = await asyncio.gather(*(store.ledger.open(chunk) for _ in range(8)))
        assert first.count(True) == 1


async def test_first_plan_stands(store: Store) -> None:
    """Of many plans of a chunk, at once and later, one stands, and everybody is told it."""
    [chunk] = ids(1)
    await store.ledger.open(chunk)
    assert await store.ledger.plan(chunk) is None
    told = await asyncio.gather(*(store.ledger.record_plan(chunk, b"%d" % (n // 2)) for n in range(8)))
    [standing] = {plan for plan, _ in told}
    assert [mine for _, mine in told].count(True) == 1
    await store.ledger.open(chunk)
    assert await store.ledger.record_plan(chunk, standing) == (standing, False)
    assert await store.ledger.plan(chunk) == standing
    assert (await store.ledger.openings([chunk]))[chunk].count == 2


async def test_plan_needs_an_opening(store: Store) -> None:
    """A plan of a chunk whose opening is gone makes none, and stands for who made it."""
    [chunk] = ids(1)
    assert await store.ledger.record_plan(chunk, b"mine") == (b"mine", True)
    assert await store.ledger.plan(chunk) is None


async def test_closed_chunk_has_one_entry(store: Store) -> None:
    """A chunk has an entry from its outcome on, however often it was opened."""
    chunk, other = ids(2)
    await store.ledger.open(chunk)
    await store.ledger.open(other)
    assert await store.ledger.entry(chunk) is None
    await store.ledger.close(chunk, outcome())
    for _ in range(2):
        assert await store.ledger.entry(chunk) == Entry(outcome().counts, dead=False)
        assert await store.ledger.open(chunk) is False
    assert await store.ledger.entry(other) is None


async def test_closing_is_not_opening(store: Store) -> None:
    [chunk] = ids(1)
    await store.ledger.close(chunk, outcome())
    assert await store.ledger.open(chunk) is True


async def test_closing_is_idempotent(store: Store) -> None:
    """Closing twice is as closing once, and opening is not needed."""
    [chunk] = ids(1)
    for _ in range(2):
        assert await store.ledger.close(chunk, outcome(rows=65)) == (Entry(outcome(rows=65).counts), False)
        assert await store.ledger.outcomes([chunk]) == {chunk: outcome(rows=65)}


async def test_first_outcome_stands(store: Store) -> None:
    """The first outcome stands, and who comes later with another is told it."""
    [chunk] = ids(1)
    await store.ledger.close(chunk, outcome())
    before = await store.ledger.outcomes([chunk])
    another = ChunkOutcome(1, 10, Counts(success=10, created=10), [], (1 << 10) - 1)
    assert await store.ledger.close(chunk, another) == (Entry(outcome().counts), False)
    assert await store.ledger.outcomes([chunk]) == before == {chunk: outcome()}


async def test_first_of_many_outcomes_stands(store: Store) -> None:
    """Of many different outcomes at once one stands, and all are told it."""
    for chunk in ids(5):
        outcomes = [ChunkOutcome(1, 10, Counts(success=10, created=n, updated=10 - n), [], n) for n in range(8)]
        closed = await asyncio.gather(*(store.ledger.close(chunk, one) for one in outcomes))
        standing = (await store.ledger.outcomes([chunk]))[chunk]
        assert standing in outcomes
        assert closed == [(Entry(standing.counts), False)] * 8


async def test_outcome_beats_giving_up(store: Store) -> None:
    """When an outcome and a giving up come at once the outcome stands in the end."""
    given_up = ChunkOutcome(1, 10, Counts(failure=10), [], 0)
    for chunk in ids(10):
        await asyncio.gather(
            store.ledger.close_as_dead(chunk, given_up),
            store.ledger.close(chunk, outcome()),
            store.ledger.close_as_dead(chunk, given_up),
        )
        assert await store.ledger.entry(chunk) == Entry(outcome().counts, dead=False)
        assert await store.ledger.outcomes([chunk]) == {chunk: outcome()}


async def test_counts_are_of_closed_chunks(store: Store) -> None:
    """Counts and outcomes of any number of chunks are those of the closed ones."""
    chunks = ids(2_300)
    closed = chunks[::2]

    async def close(mine: Sequence[str]) -> None:
        for chunk in mine:
            await store.ledger.close(chunk, outcome(int(chunk.partition(":")[2]) * 10 + 1))

    await asyncio.gather(*(close(closed[n::8]) for n in range(8)))
    for chunk in chunks[1::200]:
        await store.ledger.open(chunk)
    summaries = await store.ledger.summaries(chunks)
    assert set(summaries) == set(closed)
    assert all(entry.counts == outcome().counts for entry in summaries.values())
    outcomes = await store.ledger.outcomes(chunks)
    assert set(outcomes) == set(closed)
    assert all(outcomes[chunk].first_row == int(chunk.partition(":")[2]) * 10 + 1 for chunk in closed)
    assert await store.ledger.summaries([]) == {}
    assert await store.ledger.outcomes(ids(1)) == {}


async def test_giving_up_keeps_outcome(store: Store) -> None:
    """A chunk that is given up keeps the outcome that it has."""
    done, never_opened, begun = ids(3)
    given_up = ChunkOutcome(1, 10, Counts(failure=10), [], 0)
    await store.ledger.close(done, outcome())
    await store.ledger.open(begun)
    assert await store.ledger.close_as_dead(done, given_up) == Entry(outcome().counts, dead=False)
    for chunk in (never_opened, begun):
        for _ in range(2):
            assert await store.ledger.close_as_dead(chunk, given_up) == Entry(given_up.counts, dead=True)
            assert await store.ledger.entry(chunk) == Entry(given_up.counts, dead=True)
    summaries = await store.ledger.summaries([done, never_opened, begun])
    assert {chunk: entry.dead for chunk, entry in summaries.items()} == {done: False, never_opened: True, begun: True}


async def test_revived_chunk_says_it_was_dead(store: Store) -> None:
    """A dead chunk that runs after all is dead no more, and says that it was."""
    [chunk] = ids(1)
    await store.ledger.close_as_dead(chunk, ChunkOutcome(1, 10, Counts(failure=10), [], 0))
    live = Entry(outcome().counts, dead=False)
    assert await store.ledger.close(chunk, outcome()) == (live, True)
    assert await store.ledger.close(chunk, outcome()) == (live, False)
    assert await store.ledger.summaries([chunk]) == {chunk: live}
    assert await store.ledger.outcomes([chunk]) == {chunk: outcome()}
