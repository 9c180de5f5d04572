"""What is looked at of Elasticsearch, where the settings name one."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from app.domain.diagnosis import index as rules
from app.domain.diagnosis.findings import Finding, ok
from app.services.doctor.check import Check

if TYPE_CHECKING:
    from app.adapters.search import IndexInspection

_REACH = "start Elasticsearch, or correct ELASTICSEARCH_URI, ELASTICSEARCH_API_KEY or ELASTICSEARCH_CA_FILE"
_MAY_LOOK = "let its login monitor the cluster and manage index templates and the indices of ELASTICSEARCH_PREFIX"


def index_checks(inspection: IndexInspection) -> list[Check]:
    """Return the checks of an Elasticsearch."""

    async def connects() -> Finding:
        began = time.monotonic()
        await inspection.facts()
        return ok(f"answers within {(time.monotonic() - began) * 1000:.0f} ms")

    async def version() -> Finding:
        return rules.judge_version(await inspection.facts())

    async def health() -> Finding:
        return rules.judge_health(await inspection.facts())

    async def template() -> Finding:
        return rules.judge_template(await inspection.facts())

    async def writes() -> Finding:
        return rules.judge_writes(await inspection.facts())

    return [
        Check("Elasticsearch", connects, _REACH),
        Check("Elasticsearch version", version, _MAY_LOOK),
        Check("Elasticsearch health", health, _MAY_LOOK),
        Check("Elasticsearch template", template, _MAY_LOOK),
        Check("Elasticsearch writes", writes, _MAY_LOOK),
    ]
