"""The store on a real server: every step is atomic, and of two that compete exactly one wins."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import Any, ClassVar

import pytest
from bson import BSON, ObjectId
from pymongo import WriteConcern

from app.adapters.mongo import Records, Store
from app.adapters.mongo.ledger import Entry
from app.domain.actions import ENDED, TRANSITIONS, Action, Status
from app.domain.outcomes import ChunkOutcome, Counts, RowOutcome
from app.kafka.messages import chunk_id
from app.settings import Settings
from tests.support.clocks import PAST
from tests.support.factories import make_action


@pytest.fixture
async def store(settings: Settings) -> AsyncIterator[Store]:
    store = Store(settings.mongo_db_uri.get_secret_value())
    await store.prepare()
    yield store
    await store.close()


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
    under_way = status in (Status.PROCESSING, Status.PAUSED)
    assert (action.counts.processed, action.status) == (4 if under_way else 0, status)


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
    assert set(ids_of(await store.actions.due_schedules(PAST, 10))) == {made["past"], made["now"]}
    assert len(await store.actions.due_schedules(PAST, 1)) == 1


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
    assert await store.ledger.opened_once(chunk)
    for _ in range(2):
        assert await store.ledger.open(chunk) is False
        assert not await store.ledger.opened_once(chunk)


async def test_one_of_many_opens_first(store: Store) -> None:
    """Of many who open a chunk at once one is first."""
    for chunk in ids(10):
        first = await asyncio.gather(*(store.ledger.open(chunk) for _ in range(8)))
        assert first.count(True) == 1
        assert not await store.ledger.opened_once(chunk)


async def test_unopened_chunk_is_reported(store: Store) -> None:
    """A chunk that nobody opened was not opened once."""
    assert not await store.ledger.opened_once(ids(1)[0])


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
    assert not await store.ledger.opened_once(chunk)
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


# Records


def upsert(_id: str, **values: Any) -> dict[str, Any]:
    return {"q": {"_id": _id}, "u": {"$set": values, "$setOnInsert": {"createdBy": "me"}}, "upsert": True}


async def test_upsert_tells_new_from_old(store: Store) -> None:
    """An upsert tells which records it made and which were there."""
    first = await store.records.upsert("contacts", [upsert("a:1", name="One"), upsert("a:2", name="Two")])
    assert (first.created, first.refused) == (frozenset({0, 1}), {})
    second = await store.records.upsert(
        "contacts", [upsert("a:2", name="Zwei"), upsert("a:3", name="Drei"), upsert("a:1", name="Eins")]
    )
    assert (second.created, second.refused) == (frozenset({1}), {})
    found = await store.records.find("contacts", ["a:1", "a:2", "a:3", "a:4"], ["name"])
    assert {_id: record["name"] for _id, record in found.items()} == {"a:1": "Eins", "a:2": "Zwei", "a:3": "Drei"}


async def test_nothing_in_nothing_out(store: Store) -> None:
    """With nothing to write or to find nothing is written or found."""
    written = await store.records.upsert("contacts", [])
    assert (written.created, written.refused) == (frozenset(), {})
    assert await store.records.find("contacts", [], ["name"]) == {}


async def test_refused_statement_is_named(store: Store) -> None:
    """A statement that the server refuses is named, and the others are written."""
    await store.records.upsert("contacts", [upsert("a:0", count="text")])
    bad = {"q": {"_id": "a:0"}, "u": {"$inc": {"count": 1}}, "upsert": True}
    written = await store.records.upsert("contacts", [upsert("a:1"), bad, upsert("a:2")])
    assert written.created == {0, 2}
    assert set(written.refused) == {1}
    assert written.refused[1]
    assert set(await store.records.find("contacts", ["a:0", "a:1", "a:2"], ["_id"])) == {"a:0", "a:1", "a:2"}


async def test_largest_chunk_can_be_written(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The largest chunk that the settings allow can be written.

    As many rows as possible, as wide as CHUNK_BYTES lets them be, most of it in the ids, which are written twice.
    """
    monkeypatch.setenv("BATCH_SIZE", "10000")
    monkeypatch.setenv("CHUNK_BYTES", str(3 * 1024**2))
    limits = Settings(_env_file=None)
    rows, width = limits.batch_size, limits.chunk_bytes // limits.batch_size
    email, status = "jürgen@müller.example.com", "inactive"
    # Letters of four bytes: the id may be 128 characters, and the name takes what is left.
    id_letters = min(128 - 6, (width - 60) // 4)
    statements = []
    for row in range(1, rows + 1):
        key = "🙂" * id_letters + f"{row:06}"
        name = "n" * max(1, width - len(f"{key},,{email},{status}\n".encode()))
        assert width - 4 <= len(f"{key},{name},{email},{status}\n".encode()) <= width
        values = {"accountId": "default", "id": key, "name": name, "email": email, "status": status}
        bulk = {"actionId": "0" * 24, "row": row, "status": "SUCCESS", "at": PAST}
        statement = upsert(f"default:{key}", **values, _bulk=bulk)
        statement["u"]["$setOnInsert"]["createdBy"] = "0" * 24
        statements.append(statement)
    command = {"update": "contacts", "updates": statements, "ordered": False}
    # The test server may be more patient than MongoDB.
    assert len(BSON.encode(command)) <= 16 * 1024**2
    written = await store.records.upsert("contacts", statements)
    assert (len(written.created), written.refused) == (rows, {})


async def test_only_asked_fields_are_read(store: Store) -> None:
    """Only the fields that are asked for are read."""
    await store.records.upsert("contacts", [upsert("a:1", name="One", email="one@example.com")])
    assert await store.records.find("contacts", ["a:1"], ["createdBy"]) == {"a:1": {"_id": "a:1", "createdBy": "me"}}


async def test_concurrent_upserts_create_once(store: Store) -> None:
    """Of many who make the same records at once one makes each."""
    statements = [upsert(f"a:{n}", name="N") for n in range(300)]
    written = await asyncio.gather(*(store.records.upsert("contacts", statements) for _ in range(6)))
    assert all(not answer.refused for answer in written)
    assert sorted(index for answer in written for index in answer.created) == list(range(300))
    assert len(await store.records.find("contacts", [f"a:{n}" for n in range(300)], ["_id"])) == 300


async def test_record_made_meanwhile_is_retried() -> None:
    """A record that somebody else makes at the same moment is written again."""

    class Overtaken:
        """A server on which another worker's insert comes first, once, for the second and third statement."""

        commands: ClassVar[list[list[str]]] = []
        write_concern = WriteConcern()

        async def command(self, command: dict[str, Any]) -> dict[str, Any]:
            self.commands.append([statement["q"]["_id"] for statement in command["updates"]])
            if len(self.commands) > 1:
                return {"n": 2, "upserted": [{"index": 1, "_id": "a:3"}]}
            taken = [{"index": index, "code": 11000, "errmsg": "duplicate key"} for index in (1, 2)]
            refused = {"index": 3, "code": 2, "errmsg": "bad value"}
            return {"n": 1, "upserted": [{"index": 0, "_id": "a:1"}], "writeErrors": [*taken, refused]}

    server = Overtaken()
    written = await Records(server, max_time=5).upsert("contacts", [upsert(f"a:{n}") for n in range(1, 5)])
    assert server.commands == [["a:1", "a:2", "a:3", "a:4"], ["a:2", "a:3"]]
    assert (written.created, written.refused) == ({0, 2}, {3: "its values cannot be stored"})
