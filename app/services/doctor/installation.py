"""All checks of an installation, by what they look at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from app.adapters.mongo import Store
from app.adapters.redis.store import RedisStore
from app.adapters.storage import IdentifiedStorage
from app.services.doctor.broker import broker_checks
from app.services.doctor.cache import cache_checks
from app.services.doctor.check import Check
from app.services.doctor.database import database_checks
from app.services.doctor.files import disk_checks, storage_checks
from app.services.doctor.index import index_checks
from app.settings import Settings

if TYPE_CHECKING:
    from app.adapters.search import IndexInspection


def all_checks(
    settings: Settings,
    store: Store,
    redis: RedisStore,
    storage: IdentifiedStorage,
    topics: Sequence[str],
    index: IndexInspection | None = None,
) -> list[list[Check]]:
    """Return the checks in groups, in the order of the report.

    Args:
        settings: of the installation.
        store: its database.
        redis: its Redis.
        storage: its storage.
        topics: the names of its topics.
        index: its Elasticsearch, if it has one.
    """
    return [
        database_checks(store),
        cache_checks(redis),
        storage_checks(storage),
        disk_checks(settings),
        broker_checks(settings, topics),
        *([] if index is None else [index_checks(index)]),
    ]
