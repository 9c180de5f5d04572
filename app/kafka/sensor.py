"""What Faust tells of its producer, its commits and its rebalances, as metrics.

The sensor that comes with Faust for Prometheus counts in milliseconds, names streams in labels, and goes on showing
the partitions of other workers; its interface is the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from time import monotonic
from typing import Any

import faust

from app.observability.metrics import (
    BUFFER_FULL,
    KAFKA_COMMIT_SECONDS,
    KAFKA_REBALANCES,
    KAFKA_SEND_FAILURES,
    KAFKA_SEND_SECONDS,
)


class KafkaSensor(faust.Sensor):  # type: ignore[misc]
    """Counts what happens between this worker and the broker.

    Args:
        topics: The topics whose messages go to agents.
    """

    def __init__(self, topics: Iterable[str]) -> None:
        super().__init__()
        for topic in topics:
            BUFFER_FULL.labels(topic)

    def on_send_initiated(self, producer: Any, topic: str, message: Any, keysize: int, valsize: int) -> float:
        """Remember when a message was given to the producer."""
        return monotonic()

    def on_send_completed(self, producer: Any, state: float, metadata: Any) -> None:
        """Observe how long the broker took to acknowledge it."""
        KAFKA_SEND_SECONDS.observe(monotonic() - state)

    def on_send_error(self, producer: Any, exc: BaseException, state: float) -> None:
        """Count a message that the broker has not acknowledged."""
        KAFKA_SEND_FAILURES.inc()

    def on_commit_initiated(self, consumer: Any) -> float:
        """Remember when a commit began."""
        return monotonic()

    def on_commit_completed(self, consumer: Any, state: float) -> None:
        """Observe how long it took."""
        KAFKA_COMMIT_SECONDS.observe(monotonic() - state)

    def on_rebalance_start(self, app: Any) -> dict[str, float]:
        """Count a rebalance."""
        KAFKA_REBALANCES.inc()
        state: dict[str, float] = super().on_rebalance_start(app)
        return state

    def on_topic_buffer_full(self, tp: Any) -> None:
        """Count that everything waits for one agent."""
        BUFFER_FULL.labels(tp.topic).inc()
