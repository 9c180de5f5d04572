"""What the doctor wants to know of Elasticsearch."""

from __future__ import annotations

from typing import Any

from elasticsearch import AsyncElasticsearch

from app.adapters.search.client import ELASTICSEARCH
from app.adapters.search.mapping import all_indices, template_name
from app.domain.diagnosis.index import IndexFacts

#: The name that a permission to write is tried with: no event has it, and no index of it is made.
_NOTHING = "0000.00"


@ELASTICSEARCH.at_border
class IndexInspection:
    """Looks at the server, and changes nothing.

    Args:
        client: An open client, closed by whoever has made it.
        prefix: What the names of indices begin with.
    """

    def __init__(self, client: AsyncElasticsearch, prefix: str) -> None:
        self._client = client
        self._prefix = prefix

    async def facts(self) -> IndexFacts:
        """Return what it says of itself.

        Raises:
            app.domain.faults.DependencyFault: it is away, or does not let us in.
        """
        everywhere: dict[str, Any] = {
            "index": all_indices(self._prefix),
            "ignore_unavailable": True,
            "allow_no_indices": True,
        }
        health = await self._client.cluster.health(filter_path="status")
        nodes = await self._client.nodes.info(metric="os", filter_path="nodes.*.version")
        templates = await self._client.options(ignore_status=404).indices.get_index_template(
            name=template_name(self._prefix), filter_path="index_templates.index_template.version"
        )
        settings = await self._client.indices.get_settings(
            **everywhere, name="index.blocks.*", flat_settings=True, filter_path="*.settings"
        )
        blocked = sorted(
            name
            for name, entry in settings.items()
            if any(value == "true" for value in entry.get("settings", {}).values())
        )
        versions = [entry["index_template"].get("version", 0) for entry in templates.get("index_templates", ())]
        return IndexFacts(
            status=health["status"],
            versions=tuple(sorted({node["version"] for node in nodes.get("nodes", {}).values()})),
            template=max(versions, default=None),
            blocked=tuple(blocked),
        )
