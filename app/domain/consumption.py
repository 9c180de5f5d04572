"""When a worker that consumes a topic is stuck, so that only starting it again helps.

It has messages to handle, nothing of them moves, and nothing excuses that: no partitions change hands, no tables are
recovered, and all that it depends on answers. Starting again would help against none of these.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Consumption:
    """What is seen at one time of the consumer of a topic.

    Attributes:
        waiting: messages that are not done yet, by partition; None: the consumer does not say.
        done: up to where each partition is done. What was only fetched has not got on.
        steps: how often anything has ended inside its handlers: one that takes its time is not stuck.
        excuse: why nothing is expected to move now; None: it should.
    """

    waiting: Mapping[str, int] | None = None
    done: Mapping[str, int | None] = field(default_factory=dict)
    steps: int = 0
    excuse: str | None = None

    @property
    def idle(self) -> bool:
        """Whether there is nothing to do, as far as is known."""
        return self.waiting is not None and not any(self.waiting.values())


class StuckRule:
    """Tells from what is seen of the consumer of a topic, again and again, whether it is stuck.

    Args:
        patience: seconds for which nothing may move; 0: for ever.
        longest_gap: seconds between two looks. When more have passed, this process stood still itself, and what it saw
            before says nothing any more.
    """

    def __init__(self, patience: float, *, longest_gap: float) -> None:
        self._patience = patience
        self._longest_gap = longest_gap
        self._before: Consumption | None = None
        self._looked_at = 0.0
        self._still_since = 0.0

    def look(self, seen: Consumption, now: float) -> None:
        """Take in what is seen at a time, in seconds that only grow."""
        before, gap = self._before, now - self._looked_at
        self._before, self._looked_at = seen, now
        if before is None or gap > self._longest_gap or seen.excuse or seen.idle or _has_moved(before, seen):
            self._still_since = now

    @property
    def seconds_still(self) -> float:
        """For how long nothing had moved that should, at the last look."""
        return self._looked_at - self._still_since

    @property
    def stuck(self) -> bool:
        """Whether that was too long."""
        return 0 < self._patience <= self.seconds_still


def _has_moved(before: Consumption, seen: Consumption) -> bool:
    if seen.steps != before.steps:
        return True
    # Of a consumer that does not say where it is nothing is known to have moved.
    return seen.waiting is not None and before.waiting is not None and seen.done != before.done
