"""The index of events: written in bulk under ids that do not change, so that writing again changes nothing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import orjson
from elasticsearch import AsyncElasticsearch

from app.adapters.search.client import ELASTICSEARCH
from app.adapters.search.mapping import (
    EXPIRES,
    TEMPLATE_VERSION,
    all_indices,
    index_name,
    month_ended,
    template,
    template_name,
    to_indexed,
)
from app.domain.faults import Dependency, PassingFault
from app.domain.indexing import IndexedEvent, Rejected

log = logging.getLogger(__name__)

#: Most documents, and bytes (about), of one request.
_MOST_DOCUMENTS, _MOST_BYTES = 1_000, 4 * 1024**2
#: Documents that are looked for at once to be deleted.
_PER_DELETION = 1_000
#: Statuses of single documents: written, or there already in this or a later form.
_DONE = (200, 201, 409)
#: Statuses with which it refuses a document for what is in it.
_REJECTED = (400, 413)
#: Longest reason that is told, characters.
_MOST_REASON = 500


@ELASTICSEARCH.at_border
class EventIndex:
    """The events of an installation in Elasticsearch.

    Args:
        client: An open client, which is closed with this.
        prefix: What the names of indices begin with.
        retention: How long events are kept, at least; None: for ever.
    """

    def __init__(self, client: AsyncElasticsearch, prefix: str, retention: timedelta | None) -> None:
        self._client = client
        self._prefix = prefix
        self._retention = retention
        self._installed = False

    async def check(self) -> None:
        """Return when it answers.

        Raises:
            app.domain.faults.DependencyFault: it does not.
        """
        await self._client.cluster.health(filter_path="status")

    async def install(self) -> None:
        """Install the template, unless this process has done so, or a later version; harmless when it is there.

        Raises:
            app.domain.faults.DependencyFault: it is away, or does not allow it.
        """
        if self._installed:
            return
        name = template_name(self._prefix)
        found = await self._client.options(ignore_status=404).indices.get_index_template(name=name)
        versions = [entry["index_template"].get("version", 0) for entry in found.get("index_templates", ())]
        if max(versions, default=0) < TEMPLATE_VERSION:
            await self._client.indices.put_index_template(name=name, **template(self._prefix))
        self._installed = True

    async def write(self, events: Sequence[IndexedEvent]) -> list[Rejected]:
        """Write events, in the place of older forms of the same; return those that it refuses for what is in them.

        What is written is found by a search within about a second.

        Raises:
            app.domain.faults.DependencyFault: it is away, busy or closed to writes: some of them may not be written.
        """
        await self.install()
        rejected: list[Rejected] = []
        place = iter(events)
        # In a thread: a chunk may have thousands of rows that failed.
        while lines := await asyncio.to_thread(self._lines, place):
            answer = await self._bulk(lines)
            if answer["errors"]:
                rejected += self._rejected(lines, answer["items"])
        return rejected

    async def remove(self, action_id: str) -> None:
        """Remove all events of an action, last those that tell when it expires, by which they are found.

        Raises:
            app.domain.faults.DependencyFault: it is away, or closed to writes: doing it again is safe.
        """
        of_action = {"term": {"actionId": action_id}}
        marked = {"exists": {"field": EXPIRES}}
        # What was written a moment ago is to be found, too.
        await self._client.indices.refresh(**self._everywhere)
        for query in ({"bool": {"filter": [of_action], "must_not": [marked]}}, {"bool": {"filter": [of_action]}}):
            async for hits in self._found(query):
                lines = [orjson.dumps({"delete": {"_index": hit["_index"], "_id": hit["_id"]}}) for hit in hits]
                answer = await self._bulk(lines, refresh=True)
                if answer["errors"]:
                    _raise_busy([_only(item) for item in answer["items"] if _only(item).get("status") != 404])

    async def expired_actions(self, now: datetime, limit: int) -> list[str]:
        """Return actions whose time is over, and of which there are events.

        Raises:
            app.domain.faults.DependencyFault: it is away.
        """
        answer = await self._client.search(
            **self._everywhere,
            query={"range": {EXPIRES: {"lte": now.isoformat()}}},
            source_includes=["actionId"],
            size=limit,
            filter_path="hits.hits._source",
        )
        return list(dict.fromkeys(hit["_source"]["actionId"] for hit in answer.get("hits", {}).get("hits", ())))

    async def drop_old(self, now: datetime) -> list[str]:
        """Drop the indices whose month was over longer ago than events are kept; return their names.

        Raises:
            app.domain.faults.DependencyFault: it is away, or does not allow it.
        """
        if self._retention is None:
            return []
        found = await self._client.indices.get(**self._everywhere, features=["aliases"])
        old = [
            name
            for name in found
            if (over := month_ended(name, self._prefix)) is not None and over + self._retention <= now
        ]
        for name in old:
            await self._client.options(ignore_status=404).indices.delete(index=name)
        return old

    async def refresh(self) -> None:
        """Let searches find what is written by now."""
        await self._client.indices.refresh(**self._everywhere)

    async def close(self) -> None:
        """Close the client."""
        await self._client.close()

    @property
    def _everywhere(self) -> dict[str, Any]:
        return {"index": all_indices(self._prefix), "ignore_unavailable": True, "allow_no_indices": True}

    async def _bulk(self, lines: Any, *, refresh: bool = False) -> Any:
        # The client takes lines that are JSON already, and says so in no type.
        filters = ["errors", "items.*.status", *_ERRORS]
        return await self._client.bulk(operations=lines, refresh=refresh, filter_path=filters)

    def _lines(self, events: Iterator[IndexedEvent]) -> list[bytes]:
        """Return the lines of the next request: two for each event, one that says where and one with the document."""
        lines: list[bytes] = []
        size = 0
        while size < _MOST_BYTES and len(lines) < 2 * _MOST_DOCUMENTS:
            item = next(events, None)
            if item is None:
                break
            event = item.event
            where = {
                "_index": index_name(self._prefix, item.period),
                "_id": event.id,
                # An older form of the same event, of whoever is late, does not replace a later one.
                "version": max(1, int(event.at.timestamp() * 1000)),
                "version_type": "external_gte",
            }
            document = orjson.dumps(to_indexed(event, item.expires))
            lines += (orjson.dumps({"index": where}), document)
            size += len(document)
        return lines

    def _rejected(self, lines: Sequence[bytes], items: Sequence[dict[str, Any]]) -> list[Rejected]:
        rejected, others = [], []
        for number, item in enumerate(items):
            result = _only(item)
            if result["status"] in _REJECTED:
                rejected.append(Rejected(orjson.loads(lines[2 * number])["index"]["_id"], _reason(result)))
            elif result["status"] not in _DONE:
                others.append(result)
        _raise_busy(others)
        return rejected

    async def _found(self, query: dict[str, Any]) -> AsyncIterator[list[dict[str, Any]]]:
        """Yield what a query finds, until it finds nothing more: whoever asks removes it."""
        while True:
            answer = await self._client.search(
                **self._everywhere, query=query, source=False, size=_PER_DELETION, sort=["_doc"], track_total_hits=False
            )
            if not (hits := answer["hits"]["hits"]):
                return
            yield hits


#: What is asked for of an error.
_ERRORS = ("items.*.error.type", "items.*.error.reason", "items.*.error.caused_by.reason")


def _only(item: dict[str, Any]) -> dict[str, Any]:
    [result] = item.values()
    return dict(result)


def _reason(result: dict[str, Any]) -> str:
    error = result.get("error", {})
    cause = error.get("caused_by", {}).get("reason")
    parts = (error.get("type"), error.get("reason"), cause)
    return ": ".join(part for part in parts if part)[:_MOST_REASON]


def _raise_busy(results: Sequence[dict[str, Any]]) -> None:
    """Raise what single documents say of the server: too busy, closed to writes, a shard that is not there."""
    if failed := [result for result in results if result.get("error")]:
        kind, status = failed[0]["error"].get("type"), failed[0].get("status")
        raise PassingFault(f"{len(failed)} documents were not written: {kind} (status {status})", Dependency.INDEX)
