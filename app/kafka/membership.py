"""What Faust tells of this worker's place among the others: whether it has its partitions, and which."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from typing import Any

from aiokafka.errors import IllegalStateError, KafkaError
from faust.exceptions import ConsumerNotStarted

#: What the client raises while it has no partitions, or is not there yet.
_NO_ANSWER = (KafkaError, IllegalStateError, ConsumerNotStarted, RuntimeError)


class Membership:
    """Looks at a Faust app; asks nobody.

    Args:
        app: the Faust app.
        topics: the names of the topics that its agents handle.
    """

    def __init__(self, app: Any, topics: Collection[str]) -> None:
        self._app = app
        self._topics = frozenset(topics)

    @property
    def stopping(self) -> bool:
        """Whether the worker was told to stop."""
        return bool(self._app.should_stop)

    @property
    def recovered(self) -> bool:
        """Whether the worker has its partitions, and their tables."""
        return is_recovered(self._app)

    @property
    def leader(self) -> bool:
        """Whether it is the worker that runs what runs once."""
        try:
            return self.recovered and bool(self._app.is_leader())
        except _NO_ANSWER:
            return False

    def partitions(self) -> dict[str, int]:
        """Return how many partitions of each topic it has; nothing while they change hands."""
        if not self.recovered:
            return {}
        try:
            mine = Counter(tp.topic for tp in self._app.consumer.assignment() if tp.topic in self._topics)
        except _NO_ANSWER:
            return {}
        return {topic: mine[topic] for topic in sorted(self._topics)}


def is_recovered(app: Any) -> bool:
    """Tell whether a worker has its partitions and their tables, and is not about to stop."""
    return bool(
        app.tables.recovery.completed.is_set()
        and app.tables.actives_ready
        and not app.rebalancing
        and not app.should_stop
    )
