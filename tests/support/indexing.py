"""A bench whose events are indexed, in indices of its own."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from app.adapters.search import EventIndex, IndexSearch, connect
from app.adapters.search.mapping import all_indices, template
from app.context import AppContext
from app.domain.events import Event
from app.domain.searches import FoundEvents, Search
from app.services.indexing import Indexer
from app.settings import Settings
from stack import ELASTICSEARCH, Stack
from tests.support.bench import Bench


def index_settings(search: Stack) -> dict[str, str]:
    """Settings of a fresh namespace in an Elasticsearch."""
    return {
        ELASTICSEARCH.variable: search[ELASTICSEARCH].uri,
        "ELASTICSEARCH_PREFIX": f"t{uuid.uuid4().hex[:10]}",
    }


class IndexBench:
    """The index and its indexer, over a bench."""

    def __init__(self, bench: Bench, environment: Mapping[str, str]) -> None:
        self.bench = bench
        settings = Settings(_env_file=None, **{name.lower(): value for name, value in environment.items()})
        self.prefix = settings.elasticsearch_prefix
        self.client = connect(settings)
        self.index = EventIndex(self.client, self.prefix, timedelta(days=90))
        self.search_engine = IndexSearch(self.client, self.prefix)
        self.context: AppContext = bench.platform_with(index=self.index, index_search=self.search_engine)
        self.indexer = Indexer()

    async def close(self) -> None:
        await self.index.close()

    async def catch_up(self) -> None:
        """Index what is due, and let it be found."""
        await self.indexer.index(self.context)
        await self.index.refresh()

    async def search(self, **wanted: Any) -> FoundEvents:
        return await self.search_engine.search(Search(**{"account_id": "default", "limit": 1000, **wanted}))

    async def found(self, **wanted: Any) -> tuple[Event, ...]:
        return (await self.search(**wanted)).events

    async def documents(self) -> dict[str, dict[str, Any]]:
        """Every document of the index, by its id."""
        everywhere = {"index": all_indices(self.prefix), "ignore_unavailable": True}
        hits = (await self.client.search(**everywhere, size=10_000))["hits"]["hits"]
        documents = {hit["_id"]: hit["_source"] for hit in hits}
        assert len(documents) == len(hits)
        return documents

    async def with_mapping(self, month: datetime, **fields: Any) -> str:
        """Make an index whose mapping takes some fields for something else; return its name."""
        name = f"{self.prefix}-events-{month:%Y.%m}"
        made = template(self.prefix)["template"]
        mappings = made["mappings"]
        mappings = {**mappings, "properties": {**mappings["properties"], **fields}}
        await self.client.indices.create(index=name, settings=made["settings"], mappings=mappings)
        return name
