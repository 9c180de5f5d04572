"""The newest counters of an action that is under way, ahead of what its document has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from app.domain.outcomes import Counts
from app.domain.speed import Rate


@dataclass(frozen=True, slots=True)
class LiveCounters:
    """Counts, and how fast they have grown lately (None: not known)."""

    counts: Counts
    rate: Rate | None = None

    def to_document(self) -> dict[str, Any]:
        """Return them as they are published."""
        document: dict[str, Any] = self.counts.to_document()
        if self.rate is not None:
            document |= {"recentRate": self.rate.value, "recentRateAt": self.rate.observed_at}
        return document

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        """Read what was published."""
        rate, observed_at = document.get("recentRate"), document.get("recentRateAt")
        known = None if rate is None or observed_at is None else Rate(rate, observed_at)
        return cls(Counts.from_document(document), known)
