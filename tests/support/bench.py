"""A bench for the way of the rows: real database, Redis and storage, and topics that remember what was sent."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, cast

from motor.motor_asyncio import AsyncIOMotorClient

from agents.cleanup import clean_up
from agents.dead_letters import store_dead_letter
from agents.processor import process
from app.adapters.authentication import AnonymousAuthenticator
from app.adapters.event_log import EventLog
from app.adapters.live_actions import LiveActions
from app.adapters.mongo import Store
from app.adapters.progress_reporter import Reporter
from app.adapters.redis.rate_limits import RateLimits
from app.adapters.redis.store import RedisStore
from app.adapters.storage import open_storage
from app.context import AppContext
from app.domain.actions import Action, Status, new_action_id
from app.domain.cells import EmptyCells
from app.domain.csv.spans import SpanScanner
from app.domain.outcomes import ChunkOutcome, Counts
from app.kafka.messages import Chunk, chunk_id
from app.kafka.retry_headers import RetryHeaders
from app.observability.dependencies import Dependencies
from app.services.completion import complete_if_done
from app.services.issuing import chunks_of
from app.settings import Settings
from tests.support.clocks import LONG_AGO
from tests.support.factories import make_action
from tests.support.fakes import RecordingTopics, event
from tests.support.files import COLUMNS, contacts_csv


@dataclass(frozen=True)
class Job:
    """An action as an upload leaves it, and its chunks as the feeder would send them."""

    action_id: str
    chunks: list[Chunk]

    @property
    def chunk_ids(self) -> list[str]:
        return [chunk.id for chunk in self.chunks]


@dataclass(frozen=True)
class State:
    """All that an action has left behind."""

    action: Action | None
    outcomes: dict[str, ChunkOutcome]
    records: dict[str, dict[str, Any]]


class Bench:
    """A platform without Kafka and Faust."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.topics = RecordingTopics(settings.kafka_topic)
        self.store = Store(settings.mongo_db_uri.get_secret_value())
        redis = RedisStore(settings.redis_uri.get_secret_value(), namespace=settings.kafka_topic, claims_ttl=600)
        #: Redis past its store: for looking, and for breaking things.
        self.redis = redis._redis
        self.store.actions.on_transition = redis.snapshots.announce
        self.storage = open_storage(settings.storage_uri, settings.s3_client, self.store.storage_register)
        self.claims = redis.claims
        self._client: Any = AsyncIOMotorClient(settings.mongo_db_uri.get_secret_value(), tz_aware=True)
        #: The database past the store: for looking, and for breaking things.
        self.database = self._client.get_default_database()
        self.context = AppContext(
            settings=settings,
            topics=cast(Any, self.topics),
            progress=cast(Any, None),
            store=self.store,
            redis=redis,
            storage=self.storage,
            claims=self.claims,
            snapshots=redis.snapshots,
            reporter=Reporter(self.store.actions, redis.snapshots, interval=0.5),
            authenticator=AnonymousAuthenticator(),
            rate_limits=RateLimits(
                settings.redis_uri.get_secret_value(),
                window_ms=settings.rate_limit_window_ms,
                namespace=settings.kafka_topic,
            ),
            dependencies=Dependencies({"MongoDB": self.store.check_write, "the storage": self.storage.check}),
            live=LiveActions(self.store.actions, redis.snapshots),
            event_log=EventLog(self.store.events, None),
            should_yield=lambda: False,
        )

    async def close(self) -> None:
        await self.context.close()
        self._client.close()

    def platform_with(self, **parts: Any) -> AppContext:
        """The platform of another worker, in which some parts are not the usual ones."""
        return replace(self.context, **parts)

    async def submit(
        self,
        *rows: str,
        action_type: str = "BULK_UPDATE",
        entity_type: str = "Contact",
        columns: Sequence[str] = COLUMNS,
        empty_cells: EmptyCells | None = None,
        chunk_rows: int = 1000,
        action_id: str | None = None,
        started_at: datetime | None = None,
        **fields: Any,
    ) -> Job:
        """Store a file of these rows and its action, PROCESSING since ``started_at`` (now)."""
        action_id = action_id or new_action_id()
        data = contacts_csv(*rows, columns=columns)
        scanner = SpanScanner(delimiter=",", chunk_rows=chunk_rows, chunk_bytes=3 * 1024**2, max_field_bytes=10_000)
        scanner.feed(data)
        scan = scanner.finish()
        keys = f"{action_id}/upload.csv", f"{action_id}/spans"
        await self.storage.put(keys[0], data)
        await self.storage.put(keys[1], scan.index.to_bytes())
        # The database keeps milliseconds.
        now = datetime.now(UTC)
        now = now.replace(microsecond=now.microsecond // 1000 * 1000)
        action = make_action(
            **{
                "_id": action_id,
                "status": Status.PROCESSING,
                "totalCount": scan.row_count,
                "chunkCount": len(scan.index),
                **Counts().to_document(),
                "actionType": action_type,
                "entityType": entity_type,
                "columns": list(columns),
                "emptyCells": empty_cells,
                "delimiter": ",",
                "fileSize": len(data),
                "sha256": hashlib.sha256(data).hexdigest(),
                "storageKey": keys[0],
                "spansKey": keys[1],
                "createdAt": now,
                "updatedAt": now,
                "startedAt": started_at or now,
                **fields,
            }
        )
        await self.store.actions.add(action)
        return await self.job_of(action)

    async def job_of(self, action: Action) -> Job:
        """The chunks of a stored action as the feeder would send them."""
        return Job(action.id, await chunks_of(self.context, action, range(action.chunk_count)))

    async def start(self, action: Action) -> Job:
        """Let an action that was uploaded be PROCESSING, and return its chunks."""
        change = {"$set": {"status": Status.PROCESSING, "startedAt": action.created_at}}
        await self.database["bulk_operations"].update_one({"_id": action.id}, change)
        return await self.job_of(action)

    async def give_up(self, chunk: Chunk) -> None:
        """Let a chunk become a dead letter."""
        topics = RecordingTopics(self.settings.kafka_topic)
        headers = RetryHeaders.after(event(topic=topics.chunks.name), "it was never to be").to_headers()
        letter = event(chunk.encode(), topic=topics.dead.name, headers=headers)
        await store_dead_letter(letter, self.platform_with(topics=topics))
        [told] = topics.results.results
        assert told.read_counts() == (await self.store.ledger.summaries([chunk.id]))[chunk.id].counts

    async def run(self, *chunks: Chunk) -> None:
        """Run chunks one after another."""
        for chunk in chunks:
            await process(chunk, self.context)

    async def finish(self, job: Job) -> Job:
        """Run what an action has not run yet, and end it."""
        await self.run(*job.chunks)
        assert (await complete_if_done(self.context, job.action_id, len(job.chunks))).progress.complete
        return job

    async def clean_up(self, context: AppContext) -> None:
        """One turn of the clean-up, at a time when everything is due."""
        for collection, name in (
            ("bulk_operations", "cleanupAt"),
            ("erased_actions", "sweepAt"),
            ("dead_letters", "lookAt"),
        ):
            await self.database[collection].update_many({name: {"$exists": True}}, {"$set": {name: LONG_AGO}})
        await clean_up(context)

    async def outcomes(self, job: Job) -> list[ChunkOutcome]:
        found = await self.store.ledger.outcomes(job.chunk_ids)
        return [found[name] for name in job.chunk_ids]

    async def contacts(self) -> dict[str, dict[str, Any]]:
        """Every contact by its id."""
        return {contact["id"]: contact async for contact in self.database["contacts"].find()}

    async def names(self) -> dict[str, str]:
        return {key: contact["name"] for key, contact in (await self.contacts()).items()}

    async def state(self, job: Job) -> State:
        return State(
            await self.store.actions.get(job.action_id),
            await self.store.ledger.outcomes([chunk_id(job.action_id, index) for index in range(len(job.chunks) + 1)]),
            await self.contacts(),
        )
