"""What the agents and the web views work with: the stores and the topics of this process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from app.adapters.authentication import Authenticator, open_authenticator
from app.adapters.event_log import EventLog
from app.adapters.live_actions import LiveActions
from app.adapters.mongo import Store
from app.adapters.progress_reporter import Reporter
from app.adapters.redis.claims import Claims
from app.adapters.redis.rate_limits import RateLimits
from app.adapters.redis.snapshots import Snapshots
from app.adapters.redis.store import RedisStore
from app.adapters.storage import IdentifiedStorage, open_storage
from app.domain.open_requests import OpenRequests
from app.domain.searches import SearchEngine
from app.kafka.topics import Topics
from app.observability.dependencies import Dependencies
from app.settings import Settings
from tables.progress import ProgressTable

if TYPE_CHECKING:
    from app.adapters.search import EventIndex, IndexSearch


@dataclass(frozen=True, slots=True)
class AppContext:
    """The open clients. Made once the event loop runs, never at import."""

    settings: Settings
    topics: Topics
    progress: ProgressTable
    store: Store
    redis: RedisStore
    storage: IdentifiedStorage
    claims: Claims
    snapshots: Snapshots
    reporter: Reporter
    authenticator: Authenticator
    rate_limits: RateLimits
    dependencies: Dependencies
    live: LiveActions
    event_log: EventLog
    #: What the rows do not depend on: a worker is ready without it.
    optional_dependencies: Dependencies = field(default_factory=lambda: Dependencies({}), kw_only=True)
    #: Where events are indexed, and searched; None: there is no Elasticsearch.
    index: EventIndex | None = field(default=None, kw_only=True)
    index_search: SearchEngine | None = field(default=None, kw_only=True)
    #: The uploads that this worker is taking, and the streams of events and the files that it is sending.
    open_uploads: OpenRequests = field(default_factory=OpenRequests, kw_only=True)
    open_streams: OpenRequests = field(default_factory=OpenRequests, kw_only=True)
    open_downloads: OpenRequests = field(default_factory=OpenRequests, kw_only=True)
    #: Those in which it looks up the history of a record.
    open_lookups: OpenRequests = field(default_factory=OpenRequests, kw_only=True)
    #: Whether partitions are about to be given away, or the worker is about to stop.
    should_yield: Callable[[], bool]

    @classmethod
    def open(
        cls, settings: Settings, topics: Topics, progress: ProgressTable, *, should_yield: Callable[[], bool]
    ) -> Self:
        """Create the clients; none of them connects yet."""
        store = Store(
            settings.mongo_db_uri.get_secret_value(),
            operation_timeout=settings.database_timeout,
            most_commands=settings.processor_concurrency,
        )
        redis = RedisStore(
            settings.redis_uri.get_secret_value(), namespace=settings.kafka_topic, claims_ttl=settings.dedupe_ttl
        )
        store.actions.on_transition = redis.snapshots.announce
        storage = open_storage(
            settings.storage_uri,
            settings.s3_client,
            store.storage_register,
            reserve=settings.storage_reserve_bytes,
        )
        index, index_search = _open_index(settings)
        return cls(
            settings=settings,
            topics=topics,
            progress=progress,
            store=store,
            redis=redis,
            storage=storage,
            claims=redis.claims,
            snapshots=redis.snapshots,
            reporter=Reporter(store.actions, redis.snapshots, interval=settings.progress_interval),
            authenticator=open_authenticator(settings, store.api_keys),
            rate_limits=RateLimits(
                settings.redis_uri.get_secret_value(),
                window_ms=settings.rate_limit_window_ms,
                # Installations may share a Redis; they differ in their topics.
                namespace=settings.kafka_topic,
            ),
            dependencies=Dependencies(
                {
                    "MongoDB": store.check_write,
                    "Redis": redis.check_write,
                    "the storage": storage.check,
                    "Kafka": topics.check,
                }
            ),
            live=LiveActions(store.actions, redis.snapshots),
            event_log=EventLog(store.events, settings.events_retention),
            optional_dependencies=Dependencies({} if index is None else {"Elasticsearch": index.check}),
            index=index,
            index_search=index_search,
            should_yield=should_yield,
        )

    async def close(self) -> None:
        """Close the clients."""
        if self.index is not None:
            await self.index.close()
        await self.live.close()
        await self.event_log.close()
        await self.dependencies.close()
        await self.optional_dependencies.close()
        await self.rate_limits.close()
        await self.redis.close()
        await self.storage.close()
        await self.store.close()


def _open_index(settings: Settings) -> tuple[EventIndex | None, IndexSearch | None]:
    if not settings.has_index:
        return None, None
    # Only here: the client takes a second to import, and most do without.
    from app.adapters.search import EventIndex, IndexSearch, connect

    client = connect(settings)
    index = EventIndex(client, settings.elasticsearch_prefix, settings.events_retention)
    return index, IndexSearch(client, settings.elasticsearch_prefix)
