"""How far an action is: a fold over the results of its chunks in which each chunk counts once.

The state is small (one bit per chunk) so that it can be a value of a changelog-backed table, and it can be
rebuilt from the ledger at any time: both ways use the same :meth:`Progress.count`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from app.domain.failure_limits import FailureLimit
from app.domain.outcomes import Counts
from app.domain.streams import MOST_CHUNKS


@dataclass(frozen=True, slots=True)
class Progress:
    """The counted chunks of one action.

    ``counted`` has bit *i* set when chunk *i* is in ``counts``; ``fed`` is the first chunk not yet asked of
    the feeder; ``failure_limit`` is how many rows may fail from now on (None: any). While it is ``open`` nobody knows
    how many chunks there will be: ``chunk_count`` is how many are known.
    """

    chunk_count: int
    fed: int = 0
    counted: int = 0
    counts: Counts = Counts()  # noqa: RUF009 - frozen
    failure_limit: FailureLimit | None = None
    open: bool = False

    @property
    def counted_chunks(self) -> int:
        """Number of chunks that have been counted."""
        return self.counted.bit_count()

    @property
    def complete(self) -> bool:
        """Whether every chunk has been counted."""
        return not self.open and self.counted_chunks == self.chunk_count

    @property
    def exceeded(self) -> FailureLimit | None:
        """The limit, when more rows have failed than may."""
        limit = self.failure_limit
        return limit if limit is not None and limit.exceeded(self.counts) else None

    def has(self, index: int) -> bool:
        """Tell whether chunk ``index`` has been counted."""
        return bool(self.counted >> index & 1)

    def count(self, index: int, counts: Counts) -> Progress:
        """Count the result of a chunk; one that has been counted, or that the action has not, changes nothing."""
        if not 0 <= index < (MOST_CHUNKS if self.open else self.chunk_count) or self.has(index):
            return self
        if index >= self.chunk_count:
            # Where nothing was left to be asked of the feeder nothing is now: what comes by itself is not asked for.
            known = replace(self, chunk_count=index + 1)
            return (known.advanced(index + 1) if self.fed >= self.chunk_count else known).count(index, counts)
        return replace(self, counted=self.counted | 1 << index, counts=self.counts + counts)

    def fold(self, results: Iterable[tuple[int, Counts]]) -> Progress:
        """Count many results."""
        bits, counts = self.counted, self.counts
        for index, more in results:
            if 0 <= index < self.chunk_count and not bits >> index & 1:
                bits |= 1 << index
                counts += more
        return replace(self, counted=bits, counts=counts)

    def missing(self, limit: int) -> list[int]:
        """Return the first ``limit`` chunks that have not been counted, in order."""
        found: list[int] = []
        for index in self._missing():
            if len(found) == limit:
                break
            found.append(index)
        return found

    def in_flight(self) -> list[int]:
        """Return the chunks that were asked of the feeder and have not been counted, in order."""
        return [index for index in self._missing() if index < self.fed]

    def _missing(self) -> Iterator[int]:
        absent = ~self.counted & (1 << self.chunk_count) - 1
        while absent:
            lowest = absent & -absent
            yield lowest.bit_length() - 1
            absent ^= lowest

    def next_window(self, window: int) -> int | None:
        """Return the first chunk of the next window once half of the one under way is done, else ``None``.

        At most one and a half windows of an action are therefore in flight.
        """
        if self.fed >= self.chunk_count or self.fed - self.counted_chunks > window // 2:
            return None
        return self.fed

    def advanced(self, fed: int) -> Progress:
        """Return the state after chunks below ``fed`` have been asked of the feeder."""
        return replace(self, fed=min(max(fed, self.fed), self.chunk_count))

    def unfinished(self) -> Progress:
        """Return the state of an action of which further chunks may come by themselves."""
        return replace(self, open=True)

    def limited(self, limit: FailureLimit | None) -> Progress:
        """Return the state with another limit."""
        return replace(self, failure_limit=limit)

    def to_value(self) -> dict[str, Any]:
        """Return the state as a JSON value."""
        value = {
            "chunkCount": self.chunk_count,
            "fed": self.fed,
            "counted": f"{self.counted:x}",
            "counts": self.counts.to_document(),
        }
        if self.open:
            value["open"] = True
        return value if self.failure_limit is None else {**value, "maxFailures": self.failure_limit.text}

    @classmethod
    def from_value(cls, value: Mapping[str, Any]) -> Progress:
        """Read a state back from its JSON value."""
        return cls(
            value["chunkCount"],
            value["fed"],
            int(value["counted"], 16),
            Counts.from_document(value["counts"]),
            FailureLimit.parse(value["maxFailures"]) if "maxFailures" in value else None,
            value.get("open", False),
        )
