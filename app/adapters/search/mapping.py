"""How events lie in Elasticsearch: names of indices, the template with their mapping, and an event as a document.

There is one index a month and not a data stream: a data stream takes new documents only, under an id that is unique in
one of its parts, while the event of a chunk that was given up is replaced by that of its replay. In which index an
event lies follows from what never changes, so that it is one document under one id whenever it is written.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from app.domain.events import Event
from app.domain.searches import exact_values, words_of

#: Raised with each change of what is below, so that a worker of an older version does not undo it.
TEMPLATE_VERSION = 1

#: Fields of the index alone: the words of the message, what a word may be equal to, and when the action goes.
WORDS, EXACT, EXPIRES = "words", "exact", "expireAt"

_KEYWORD = {"type": "keyword", "ignore_above": 1024}
#: What is only compared, never sorted by or counted, needs no second copy by columns.
_COMPARED = {**_KEYWORD, "doc_values": False}
_NUMBER = {"type": "integer"}

MAPPING: dict[str, Any] = {
    "dynamic": False,
    "properties": {
        "id": {"type": "keyword"},
        "schemaVersion": {"type": "short"},
        "@timestamp": {"type": "date"},
        "accountId": _KEYWORD,
        "type": _KEYWORD,
        "level": _KEYWORD,
        "message": {"type": "text", "norms": False},
        "actionId": _KEYWORD,
        "entityType": _KEYWORD,
        "actionType": _KEYWORD,
        "status": _KEYWORD,
        "code": _KEYWORD,
        "chunk": _NUMBER,
        "firstRow": {"type": "long"},
        "lastRow": {"type": "long"},
        "row": {"type": "long"},
        "column": _KEYWORD,
        "recordId": _COMPARED,
        "email": _COMPARED,
        "actor": _KEYWORD,
        # What a gateway passes on as the address of a client need not be one.
        "source": _KEYWORD,
        # Shown, not searched.
        "counts": {"type": "object", "enabled": False},
        "count": {"type": "long"},
        WORDS: _COMPARED,
        EXACT: _COMPARED,
        EXPIRES: {"type": "date"},
    },
}


def index_name(prefix: str, period: datetime) -> str:
    """Return the name of the index of a time: one for each month (UTC)."""
    return f"{prefix}-events-{period.astimezone(UTC):%Y.%m}"


def all_indices(prefix: str) -> str:
    """Return the pattern of all indices of an installation; ``<prefix>-events`` of another one does not match it."""
    return f"{prefix}-events-2*"


def template_name(prefix: str) -> str:
    """Return the name of the index template."""
    return f"{prefix}-events"


def template(prefix: str) -> dict[str, Any]:
    """Return the index template; all indices also have the alias ``<prefix>-events``, for people and their tools."""
    return {
        "index_patterns": [all_indices(prefix)],
        "version": TEMPLATE_VERSION,
        # Above the templates that Elasticsearch has for everything.
        "priority": 500,
        "template": {
            "settings": {
                "number_of_shards": 1,
                "auto_expand_replicas": "0-1",
                "refresh_interval": "1s",
                # Newest first, as it is asked for: a page is found without looking at everything.
                "sort.field": ["@timestamp", "id"],
                "sort.order": ["desc", "desc"],
            },
            "mappings": MAPPING,
            "aliases": {f"{prefix}-events": {}},
        },
    }


def month_ended(name: str, prefix: str) -> datetime | None:
    """Return when the month of an index was over; None for a name that is none of ours."""
    match = re.fullmatch(rf"{re.escape(prefix)}-events-(\d{{4}})\.(\d{{2}})", name)
    if match is None or not 1 <= int(match[2]) <= 12:
        return None
    first = datetime(int(match[1]), int(match[2]), 1, tzinfo=UTC)
    return (first + timedelta(days=31)).replace(day=1)


def to_indexed(event: Event, expires: datetime | None = None) -> dict[str, Any]:
    """Return an event as the index has it: with its words, and what a word of a query may be equal to.

    Both are made here and not by an analyser, so that a word means the same to both engines of the search.
    """
    document = event.to_document()
    document[WORDS] = sorted(set(words_of(event.message)))
    document[EXACT] = sorted({value.casefold() for value in exact_values(event) if value is not None})
    if expires is not None:
        document[EXPIRES] = expires
    return document
