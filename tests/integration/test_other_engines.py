"""Nothing is built on what only some servers of the protocol do."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pymongo import ReadPreference

from app.adapters.mongo import DeadLetters, Ledger, Records, Store
from app.settings import Settings
from tests.support.bench import Bench
from tests.support.factories import make_dead_letter
from tests.support.scripted_database import ScriptedDatabase


class NonAtomic:
    """A collection on a server that looks first and then writes, in every upsert."""

    def __init__(self, collection: Any) -> None:
        self._collection = collection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._collection, name)

    async def find_one_and_update(self, query: Any, update: Any, *, upsert: bool = False, **options: Any) -> Any:
        return await self._upsert("find_one_and_update", query, update, upsert, options)

    async def replace_one(self, query: Any, document: Any, *, upsert: bool = False, **options: Any) -> Any:
        return await self._upsert("replace_one", query, document, upsert, options)

    async def _upsert(self, name: str, query: Any, change: Any, upsert: bool, options: Any) -> Any:
        present = await self._collection.find_one(query)
        await asyncio.sleep(0.02)  # so that others look as well
        answer = await getattr(self._collection, name)(query, change, upsert=upsert, **options)
        return present if name == "find_one_and_update" else answer


async def test_one_opener_is_first(bench: Bench) -> None:
    """Of many who open a chunk at once one is first, also where an upsert is not atomic."""
    ledger = Ledger(bench.database["chunk_outcomes"], NonAtomic(bench.database["chunk_openings"]))
    first = await asyncio.gather(*(ledger.open("a" * 24 + ":0") for _ in range(20)))
    assert sum(first) == 1
    assert (await bench.database["chunk_openings"].find_one())["openings"] == 20


async def test_statements_are_sorted_by_id(bench: Bench) -> None:
    """Two files with the same ids in opposite order write them in the same, and each row keeps its outcome."""
    refused = {"code": 121, "errmsg": "no"}
    database = ScriptedDatabase(
        lambda ids: {position: refused for position, _id in enumerate(ids) if _id == "default:c"}, bench.database
    )
    bench.store.records = Records(database, max_time=5)
    orders = "dbca", "acbd"
    jobs = [await bench.submit(*(f"{key},N{order},{key}@x.example,active" for key in order)) for order in orders]
    for job in jobs:
        await bench.run(*job.chunks)
    written = [f"default:{key}" for key in "abcd"]
    # The second file finds three of them, and c not.
    assert database.commands == [written, ["default:c"], [_id for _id in written if _id != "default:c"]]
    outcomes = [(await bench.outcomes(job))[0] for job in jobs]
    assert [[entry.row for entry in outcome.exceptions] for outcome in outcomes] == [[3], [2]]
    assert [outcome.counts.created for outcome in outcomes] == [3, 0]


async def test_letters_need_no_upsert(bench: Bench) -> None:
    """A letter takes the place of the one of its id without an upsert, which not every server makes atomic."""

    class WithoutUpserts(NonAtomic):
        async def _upsert(self, name: str, query: Any, change: Any, upsert: bool, options: Any) -> Any:
            assert not upsert
            return await getattr(self._collection, name)(query, change, **options)

    letters = DeadLetters(WithoutUpserts(bench.database["dead_letters"]))
    for message in ("first", "second"):
        await letters.put(make_dead_letter(message=message))
    assert await letters.get("a:1") == make_dead_letter(message="second")


async def test_reads_go_to_the_primary(settings: Settings) -> None:
    """Whatever the URI says: what a step has written, the next must read."""
    uri = f"{settings.mongo_db_uri.get_secret_value()}?readPreference=secondary&readConcernLevel=available"
    store = Store(uri, operation_timeout=settings.database_timeout)
    try:
        await store.check_write()
        assert store._probes.read_preference == ReadPreference.PRIMARY
        assert store._probes.read_concern.level is None
        assert store._client.options.pool_options.socket_timeout < settings.stall_timeout
    finally:
        await store.close()


@pytest.mark.parametrize("name", ["actions", "dead_letters"])
async def test_indexes_are_made_by_one_command(bench: Bench, name: str) -> None:
    """Each collection's indexes come in one command."""

    class Collection:
        def __init__(self) -> None:
            self.commands: list[int] = []

        async def create_indexes(self, indexes: list[Any]) -> None:
            self.commands.append(len(indexes))

        async def update_many(self, *_: Any) -> None:
            pass

    collection = Collection()
    part = getattr(bench.store, name)
    part._collection = collection
    await part.create_indexes()
    assert len(collection.commands) == 1


async def test_ends_are_journaled(bench: Bench) -> None:
    """The insert behind a 201 and the end of an action wait for the journal; what the URI asks for stays."""
    assert bench.store.actions._journaled.write_concern.document["j"] is True
