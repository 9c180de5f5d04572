"""What a database says of itself, for the doctor."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pymongo import IndexModel
from pymongo.common import MAX_SUPPORTED_WIRE_VERSION, MIN_SUPPORTED_WIRE_VERSION
from pymongo.errors import CollectionInvalid, OperationFailure

from app.adapters.mongo.faults import MONGO
from app.domain.diagnosis.mongo import MongoFacts

#: What the server says of a collection that nobody has made yet.
_NO_COLLECTION = 26


@MONGO.at_border
class Inspection:
    """Looks at a database and changes nothing.

    Args:
        database: the database.
        indexes: those that each collection should have, by its name.
    """

    def __init__(self, database: Any, indexes: Mapping[str, Sequence[IndexModel]]) -> None:
        self._database = database
        self._indexes = indexes

    async def facts(self) -> MongoFacts:
        """Return what it says of itself; raises the faults of the database."""
        # Its new name, hello, is not known everywhere.
        hello = await self._database.command("isMaster")
        build = await self._database.command("buildInfo")
        return MongoFacts(
            version=str(build.get("version", "0")),
            wire_versions=(int(hello.get("minWireVersion", 0)), int(hello.get("maxWireVersion", 0))),
            ours=(MIN_SUPPORTED_WIRE_VERSION, MAX_SUPPORTED_WIRE_VERSION),
            # A mongod names what it can store with; the server in Java has one place.
            stand_in="storageEngines" not in build,
            replica_set=hello.get("setName"),
            router=hello.get("msg") == "isdbgrid",
            acknowledged_by=self._database.write_concern.document.get("w"),
        )

    async def time(self) -> float:
        """Return its clock, seconds since 1970."""
        hello = await self._database.command("isMaster")
        told: datetime = hello["localTime"]
        return (told if told.tzinfo else told.replace(tzinfo=UTC)).timestamp()

    async def missing_indexes(self) -> dict[str, list[str]]:
        """Return the names of the indexes that are not there, by collection."""
        missing = {}
        for collection, wanted in self._indexes.items():
            there = await self._names(collection)
            if lacking := [name for name in _names(wanted) if name not in there]:
                missing[collection] = lacking
        return missing

    async def _names(self, collection: str) -> set[str]:
        try:
            return set(await self._database[collection].index_information())
        except CollectionInvalid:
            return set()
        except OperationFailure as error:
            if error.code == _NO_COLLECTION:
                return set()
            raise


def _names(indexes: Iterable[IndexModel]) -> Iterable[str]:
    return (index.document["name"] for index in indexes)
