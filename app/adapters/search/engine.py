"""The search in Elasticsearch: a typed query becomes a filter, in which what somebody wrote is only ever a value."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from elasticsearch import AsyncElasticsearch

from app.adapters.search.client import ELASTICSEARCH
from app.adapters.search.mapping import EXACT, EXPIRES, WORDS, all_indices
from app.domain.events import Event, EventType
from app.domain.searches import FACETS, BadCursor, FoundEvents, Search, Term

#: Seconds that it may take; a search that takes longer finds nothing, and the ledger is asked.
_PATIENCE = 5.0
#: Most values that are counted of a field: there are fewer codes, statuses and entities. Days are not limited.
_MOST_VALUES = 100
#: The fields of events that are counted, by the names of the facets.
_COUNTED: Final = {"code": "code", "status": "status", "entity": "entityType"}
_BY_DAY: Final = {
    "date_histogram": {
        "field": "@timestamp",
        "calendar_interval": "day",
        "format": "yyyy-MM-dd",
        "min_doc_count": 1,
        "order": {"_count": "desc"},
    }
}


@ELASTICSEARCH.at_border
class IndexSearch:
    """The engine that asks Elasticsearch; see :class:`app.domain.searches.SearchEngine`.

    Args:
        client: An open client, closed by whoever has made it.
        prefix: What the names of indices begin with.
    """

    def __init__(self, client: AsyncElasticsearch, prefix: str) -> None:
        self._client = client.options(request_timeout=_PATIENCE)
        self._prefix = prefix

    async def search(self, search: Search) -> FoundEvents:
        """Return a page of the events that are asked for, the newest first, with the counts of all that are found.

        Raises:
            BadCursor: ``after`` is not from a page of this engine.
            app.domain.faults.DependencyFault: it is away, or takes too long.
        """
        after = None if search.after is None else list(_cursor(search.after))
        answer = await self._client.search(
            index=all_indices(self._prefix),
            ignore_unavailable=True,
            allow_no_indices=True,
            # A part of what there is must not look like all of it.
            allow_partial_search_results=False,
            query=query_of(search),
            sort=[{"@timestamp": {"order": "desc", "unmapped_type": "date"}}, {"id": {"order": "desc"}}],
            search_after=after,
            size=search.limit + 1,
            source_excludes=[WORDS, EXACT, EXPIRES],
            track_total_hits=False,
            aggregations=_aggregations(),
        )
        hits = answer["hits"]["hits"]
        page = hits[: search.limit]
        return FoundEvents(
            engine="elasticsearch",
            events=tuple(Event.from_document(hit["_source"]) for hit in page),
            counts=_counts(answer.get("aggregations", {})),
            following=tuple(page[-1]["sort"]) if len(hits) > search.limit else None,
        )


def query_of(search: Search) -> dict[str, Any]:
    """Return the query: the account first, then each thing that is asked for; nothing of it has a score."""
    filters: list[dict[str, Any]] = [{"term": {"accountId": search.account_id}}]
    filters += [{"term": {name: value}} for name, value in search.filters.items()]
    times = {"gte": search.since, "lt": search.until}
    if wanted := {name: _time(at) for name, at in times.items() if at is not None}:
        filters.append({"range": {"@timestamp": wanted}})
    if search.row is not None:
        filters.append(_row(search.row))
    filters += [_term(term) for term in search.terms]
    query: dict[str, Any] = {"filter": filters}
    if search.hidden_types:
        query["must_not"] = [{"terms": {"type": sorted(search.hidden_types)}}]
    return {"bool": query}


def _term(term: Term) -> dict[str, Any]:
    """Return what an event with this term has: it is one of its values, or all of its words are in the message."""
    ways: list[dict[str, Any]] = [{"term": {EXACT: term.text.casefold()}}]
    if not term.exact and term.words:
        ways.append({"bool": {"filter": [{"term": {WORDS: word}} for word in term.words]}})
    return {"bool": {"should": ways, "minimum_should_match": 1}}


def _row(row: int) -> dict[str, Any]:
    """Return what an event about a row has: its number, or that its chunk was given up."""
    given_up = [
        {"term": {"type": EventType.CHUNK_DEAD.value}},
        {"range": {"firstRow": {"lte": row}}},
        {"range": {"lastRow": {"gte": row}}},
    ]
    return {"bool": {"should": [{"term": {"row": row}}, {"bool": {"filter": given_up}}], "minimum_should_match": 1}}


def _time(at: datetime) -> str:
    return at.astimezone(UTC).isoformat()


def _cursor(after: tuple[str | int, ...]) -> tuple[int, str]:
    match after:
        case (int(at), str(event_id)) if not isinstance(at, bool) and abs(at) < 2**53:
            return at, event_id
    raise BadCursor("the page does not begin at an event")


def _aggregations() -> dict[str, Any]:
    values = {name: {"terms": {"field": field, "size": _MOST_VALUES}} for name, field in _COUNTED.items()}
    return {**values, "day": _BY_DAY}


def _counts(found: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    """Return the counts in the order of the facets, the most frequent value first."""
    return {
        name: {
            str(bucket.get("key_as_string", bucket["key"])): int(bucket["doc_count"])
            for bucket in found.get(name, {}).get("buckets", ())
        }
        for name in FACETS
    }
