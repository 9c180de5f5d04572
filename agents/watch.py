"""The watch over this worker's consumer: one that is stuck is to be started again by whoever watches the worker."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from app.context import AppContext
from app.domain.consumption import Consumption, StuckRule
from app.kafka.consumption import LOOK_TIMEOUT, ConsumerView
from app.kafka.topics import Channel
from app.observability.dependencies import unavailable
from app.observability.logs import event
from app.observability.work import steps

log = logging.getLogger(__name__)

#: Between two looks, seconds, and as a part of the patience.
_LONGEST_INTERVAL, _PART = 5.0, 0.1
#: By so much a look may be late, seconds: it waits for the consumer, and for what the worker depends on.
_LATE = LOOK_TIMEOUT + 5.0


class Watch:
    """Looks at the consumer, again and again.

    Args:
        app: the Faust app.
        channels: the topics that its agents handle. What waits in other topics waits for a reason.
        patience: seconds for which nothing may move; 0: for ever.
    """

    def __init__(self, app: Any, channels: Iterable[Channel], patience: float) -> None:
        self.interval = min(_LONGEST_INTERVAL, _PART * patience)
        names = [channel.name for channel in channels]
        self._view = ConsumerView(app, names)
        self._rules = {name: StuckRule(patience, longest_gap=self.interval + _LATE) for name in names}
        self._stuck: set[str] = set()

    @property
    def stuck(self) -> bool:
        """Whether the consumer of any topic is stuck."""
        return bool(self._stuck)

    def close(self) -> None:
        """Wait for nothing any more."""
        self._view.close()

    async def look(self, context: AppContext) -> None:
        """Look at it once."""
        seen = await self._view.look(steps)
        away = None
        if not all(one.idle or one.excuse for one in seen.values()) and (names := await unavailable(context)):
            away = f"{', '.join(names)} cannot be used"
        now = time.monotonic()
        for topic, one in seen.items():
            self._judge(topic, replace(one, excuse=one.excuse or away), now)

    def _judge(self, topic: str, seen: Consumption, now: float) -> None:
        rule = self._rules[topic]
        rule.look(seen, now)
        if rule.stuck and topic not in self._stuck:
            self._stuck.add(topic)
            log.error(
                event("the consumer is stuck", topic=topic, seconds=rule.seconds_still, waiting=_shown(seen.waiting))
            )
        elif not rule.stuck and topic in self._stuck:
            self._stuck.remove(topic)
            log.warning(event("the consumer gets on again", topic=topic))


def _shown(waiting: Mapping[str, int] | None) -> str:
    if waiting is None:
        return "unknown"
    return ",".join(f"{partition}={count}" for partition, count in sorted(waiting.items()) if count)
