"""Records on a real server: compared by their bytes, inserted and updated a chunk at a time."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import bson
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from app.adapters.mongo import Store
from app.adapters.mongo.statements import EncodedRecords, RecordLayout
from app.domain.operations.operation import Presence
from app.settings import Settings
from tests.support.clocks import PAST

FIELDS = ("id", "name", "email", "status")
ABSENT, SAME, DIFFERENT = Presence.ABSENT, Presence.SAME, Presence.DIFFERENT


def encoded(*names: str, account: str = "a", first: int = 0, action: str = "0" * 24) -> EncodedRecords:
    """Contacts with these names; the ids count on from the first."""
    numbers = range(first, first + len(names))
    tag = {"actionId": action, "startedAt": PAST, "status": "SUCCESS", "at": datetime.now(UTC)}
    layout = RecordLayout(account, FIELDS, 0, {"accountId": account}, tag, {"createdBy": action})
    columns = [[f"{n:04}" for n in numbers], list(names), [f"{n}@x.example" for n in numbers], ["active"] * len(names)]
    return layout.encode([n + 1 for n in numbers], columns)


async def names(store: Store, *numbers: int) -> list[str]:
    ids = [f"a:{n:04}" for n in numbers]
    found = await store.records.find("contacts", ids, ["name"])
    return [found[_id]["name"] for _id in ids]


async def test_insert_and_update(store: Store) -> None:
    """New records are made by an insert, and changed by an update, which makes none."""
    written = await store.records.insert("contacts", encoded("One", "Two").inserts())
    assert (written.count, written.missed, written.conflicts, written.refused) == (2, 0, set(), {})
    written = await store.records.update("contacts", encoded("Eins", "Zwei", "Drei").changes())
    assert (written.count, written.missed, written.refused) == (3, 1, {})
    assert await names(store, 0, 1) == ["Eins", "Zwei"]
    assert list(await store.records.find("contacts", ["a:0002"], ["_id"])) == []


async def test_nothing_in_nothing_out(store: Store) -> None:
    """Nothing to write, to compare or to find is nothing written, compared or found."""
    assert (await store.records.insert("contacts", [])).count == 0
    assert (await store.records.update("contacts", [])).count == 0
    assert list(await store.records.compare("contacts", encoded())) == []
    assert await store.records.find("contacts", [], ["name"]) == {}


async def test_taken_ids_are_conflicts(store: Store) -> None:
    """An insert whose id is taken is named and changes nothing; the others are made."""
    await store.records.insert("contacts", encoded("There", first=1).inserts())
    written = await store.records.insert("contacts", encoded("A", "B", "C").inserts())
    assert (written.count, written.conflicts, written.refused) == (2, {1}, {})
    assert await names(store, 0, 1, 2) == ["A", "There", "C"]


async def test_refused_statement_is_named(store: Store) -> None:
    """A statement that the server refuses is named, and the others are carried out."""
    await store.records.insert("contacts", encoded("A", "B", "C").inserts())
    statements = encoded("X", "Y", "Z").changes()
    statements[1] = bson.encode({"q": {"_id": "a:0001"}, "u": {"$inc": {"name": 1}}})
    written = await store.records.update("contacts", statements)
    assert (written.count, list(written.refused)) == (2, [1])
    assert await names(store, 0, 1, 2) == ["X", "B", "Z"]


async def test_one_of_many_inserts_a_record(store: Store) -> None:
    """Of many who make the same records at once one makes each, and the others have a conflict."""
    documents = encoded(*["N"] * 300).inserts()
    written = await asyncio.gather(*(store.records.insert("contacts", documents) for _ in range(6)))
    assert sum(answer.count for answer in written) == 300
    assert sorted(n for answer in written for n in answer.conflicts) == sorted([*range(300)] * 5)


@pytest.mark.parametrize("count", [1, 100, 101, 450])
async def test_compare(store: Store, count: int) -> None:
    """Each record is absent, the same or different, whether a query asks for a few or for many."""
    assert list(await store.records.compare("contacts", encoded(*["N"] * count))) == [ABSENT] * count
    present = range(0, count, 3)
    await store.records.insert("contacts", encoded(*["N"] * count).at(present).inserts())
    wanted = ["N" if n % 2 else "M" if n % 4 else "Longer" for n in range(count)]
    found = await store.records.compare("contacts", encoded(*wanted))
    assert list(found) == [ABSENT if n % 3 else SAME if n % 2 else DIFFERENT for n in range(count)]


async def test_order_of_fields_is_no_difference(store: Store) -> None:
    """A record whose fields another program stored in another order, beside fields of its own, is the same."""
    database = store._database["contacts"]
    email = {"email": "0@x.example", "own": [1, 2]}
    await database.insert_one({"_id": "a:0000", "status": "active", **email, "name": "N", "id": "0000"})
    assert list(await store.records.compare("contacts", encoded("N"))) == [SAME]
    assert list(await store.records.compare("contacts", encoded("M"))) == [DIFFERENT]


@pytest.mark.parametrize("value", [None, 7, {"first": "N"}, ["N"], "", b"N", datetime(2026, 1, 1)])
async def test_other_types_are_different(store: Store, value: Any) -> None:
    """A field that is no text, or that is missing, is different."""
    record = {"_id": "a:0000", "id": "0000", "name": value, "email": "0@x.example", "status": "active"}
    await store._database["contacts"].insert_one(record)
    assert list(await store.records.compare("contacts", encoded("N"))) == [DIFFERENT]
    await store._database["contacts"].update_one({"_id": "a:0000"}, {"$unset": {"name": 1}})
    assert list(await store.records.compare("contacts", encoded("N"))) == [DIFFERENT]


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=6)


@hypothesis_settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=20))
async def test_compare_is_equality(store: Store, pairs: list[tuple[str, str]]) -> None:
    """Whatever the texts are, same means equal."""
    await store._database["contacts"].delete_many({})
    await store.records.insert("contacts", encoded(*(old for old, _ in pairs)).inserts())
    found = await store.records.compare("contacts", encoded(*(new for _, new in pairs)))
    assert list(found) == [SAME if old == new else DIFFERENT for old, new in pairs]


async def test_largest_chunk_can_be_written(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command takes as many rows as there may be, as wide as CHUNK_BYTES lets them be, most of it in the ids."""
    monkeypatch.setenv("BATCH_SIZE", "10000")
    monkeypatch.setenv("CHUNK_BYTES", str(3 * 1024**2))
    limits = Settings(_env_file=None)
    rows, width = limits.batch_size, limits.chunk_bytes // limits.batch_size
    email, status = "jürgen@müller.example.com", "inactive"
    # Letters of four bytes: the id may be 128 characters, and the name takes what is left.
    keys = ["🙂" * min(128 - 6, (width - 60) // 4) + f"{row:06}" for row in range(rows)]
    names = ["n" * max(1, width - len(f"{key},,{email},{status}\n".encode())) for key in keys]
    layout = encoded().layout
    records = layout.encode(range(1, rows + 1), [keys, names, [email] * rows, [status] * rows])
    for statements in (records.inserts(), records.changes()):
        # The test server may be more patient than MongoDB, whose messages have 48,000,000 bytes.
        assert sum(map(len, statements)) <= 16 * 1024**2
    assert list(await store.records.compare("contacts", records)) == [ABSENT] * rows
    assert (await store.records.insert("contacts", records.inserts())).count == rows
    assert list(await store.records.compare("contacts", records)) == [SAME] * rows
    assert (await store.records.update("contacts", records.changes())).missed == 0


async def test_only_asked_fields_are_read(store: Store) -> None:
    """Only the fields that are asked for are read."""
    await store.records.insert("contacts", encoded("N", action="me").inserts())
    assert await store.records.find("contacts", ["a:0000"], ["createdBy"]) == {
        "a:0000": {"_id": "a:0000", "createdBy": "me"}
    }
