"""Elasticsearch: the index of events, and the search in it. Nothing else of it is known outside this package.

Whoever has no index does without the client, which takes a second to import: ``app.context`` asks for this package only
where the settings name an Elasticsearch.
"""

from __future__ import annotations

from app.adapters.search.client import connect
from app.adapters.search.engine import IndexSearch
from app.adapters.search.event_index import EventIndex
from app.adapters.search.inspection import IndexInspection

__all__ = ["EventIndex", "IndexInspection", "IndexSearch", "connect"]
