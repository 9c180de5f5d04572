"""MongoDB, through motor: actions, ledger, records and API keys, and nothing else of it outside this package.

Every step is one atomic operation on one document, so that any server that speaks the protocol will do: no
transactions, no update pipelines, no change streams.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from motor.motor_asyncio import AsyncIOMotorClient
from pymongo import ReadPreference
from pymongo.read_concern import ReadConcern

from app.adapters.mongo.account_locks import AccountLocks
from app.adapters.mongo.actions import Actions
from app.adapters.mongo.api_keys import ApiKeys
from app.adapters.mongo.dead_letters import DeadLetters
from app.adapters.mongo.erased_actions import ErasedActions
from app.adapters.mongo.erased_deletions import ErasedDeletions
from app.adapters.mongo.events import Events
from app.adapters.mongo.faults import MONGO
from app.adapters.mongo.index_queue import IndexQueue
from app.adapters.mongo.inspection import Inspection
from app.adapters.mongo.ledger import Ledger
from app.adapters.mongo.records import Records
from app.adapters.mongo.storage_register import StorageRegister
from app.adapters.mongo.stream_chunks import StreamChunks
from app.adapters.mongo.writes import insert_or_replace, journaled

__all__ = [
    "AccountLocks",
    "Actions",
    "ApiKeys",
    "DeadLetters",
    "Events",
    "IndexQueue",
    "Ledger",
    "Records",
    "StorageRegister",
    "Store",
    "StreamChunks",
]

#: Seconds to wait for an answer, where nothing else depends on it.
OPERATION_TIMEOUT = 16.0
#: How much of that a write may take on the server. The rest is for the way, so that its own word comes first.
_SERVER_SHARE = 0.85


@MONGO.at_border
class Store:
    """The database: one client, one object per concern."""

    def __init__(
        self, uri: str, *, timeout: float = 5.0, operation_timeout: float = OPERATION_TIMEOUT, most_commands: int = 4
    ) -> None:
        """Make a client, which does not connect yet.

        Args:
            uri: where the database is, and its name.
            timeout: seconds for finding a server and connecting to it.
            operation_timeout: seconds to wait for an answer; the server gives up a write some time before.
            most_commands: see :class:`Records`.
        """
        self._client: Any = AsyncIOMotorClient(
            uri,
            tz_aware=True,
            serverSelectionTimeoutMS=int(timeout * 1000),
            connectTimeoutMS=int(timeout * 1000),
            socketTimeoutMS=int(operation_timeout * 1000),
            appname="bulk-operations",
        )
        # Whatever the URI says: what a step has written, the next must read.
        database = self._client.get_default_database(
            default="bulk", read_preference=ReadPreference.PRIMARY, read_concern=ReadConcern()
        )
        self._database = database
        self.actions = Actions(database["bulk_operations"])
        self.index_queue = IndexQueue(database["bulk_operations"])
        self.account_locks = AccountLocks(database["admissions"])
        self.ledger = Ledger(database["chunk_outcomes"], database["chunk_openings"])
        # Journaled: Kafka forgets a chunk that has arrived.
        self.stream_chunks = StreamChunks(journaled(database["stream_chunks"]))
        self.records = Records(database, max_time=operation_timeout * _SERVER_SHARE, most_commands=most_commands)
        self.dead_letters = DeadLetters(database["dead_letters"])
        self.events = Events(database["events"])
        self.erased_actions = ErasedActions(database["erased_actions"])
        self.erased_deletions = ErasedDeletions(database["erased_deletions"])
        self.api_keys = ApiKeys(database["api_keys"])
        self._probes = database["probes"]
        self.storage_register = StorageRegister(database["installation"], database["bulk_operations"])
        self.inspection = Inspection(
            database,
            {
                "bulk_operations": Actions.INDEXES,
                "chunk_outcomes": Ledger.INDEXES,
                "chunk_openings": Ledger.INDEXES,
                "stream_chunks": StreamChunks.INDEXES,
                "dead_letters": DeadLetters.INDEXES,
                "erased_actions": ErasedActions.INDEXES,
                "events": Events.INDEXES,
                "api_keys": ApiKeys.INDEXES,
            },
        )

    async def prepare(self) -> None:
        """Create the indexes; harmless when they exist."""
        await self.actions.create_indexes()
        await self.ledger.create_indexes()
        await self.stream_chunks.create_indexes()
        await self.dead_letters.create_indexes()
        await self.erased_actions.create_indexes()
        await self.events.create_indexes()
        await self.api_keys.create_indexes()

    async def check(self) -> None:
        """Return when the server answers.

        Raises:
            app.domain.faults.PassingFault: it does not.
        """
        await self._database.command("ping")

    async def check_write(self) -> None:
        """Return when the server takes writes; a ping is answered without a primary, and by a full disk.

        Raises:
            app.domain.faults.PassingFault: it does not.
        """
        probe = {"_id": "write", "at": datetime.now(UTC)}
        if not (await self._probes.replace_one({"_id": probe["_id"]}, probe)).matched_count:
            await insert_or_replace(self._probes, probe)

    async def close(self) -> None:
        """Close the client's connections."""
        self._client.close()
