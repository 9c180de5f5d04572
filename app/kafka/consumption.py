"""What is seen of this worker's consumer: how much waits in its partitions, and where it is in them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from typing import Any

from aiokafka.errors import IllegalStateError, KafkaError
from faust.exceptions import ConsumerNotStarted

from app.domain.consumption import Consumption
from app.kafka.consumer import Place

#: Longest wait for the consumer's thread and the broker, seconds.
LOOK_TIMEOUT = 5.0
#: What the client raises while it has no partitions, no connection, or is not there yet.
_NO_ANSWER = (KafkaError, IllegalStateError, ConsumerNotStarted, TimeoutError, RuntimeError)


class ConsumerView:
    """Looks at the partitions of some topics that this worker has.

    The ends of partitions are asked of the broker, through the consumer: what that knows of them is as old as its last
    fetch.

    Args:
        app: the Faust app.
        topics: the names of the topics that it handles.
    """

    def __init__(self, app: Any, topics: Collection[str]) -> None:
        self._app = app
        self._topics = frozenset(topics)
        self._question: asyncio.Task[Mapping[Any, int]] | None = None

    async def look(self, steps: Callable[[str], int]) -> dict[str, Consumption]:
        """Return what is to be seen now of each topic; ``steps``: those of its handlers so far."""
        places: dict[Any, Place] = {}
        ends: Mapping[Any, int] | None = None
        if self._excuse() is None:
            try:
                mine = [tp for tp in self._app.consumer.assignment() if tp.topic in self._topics]
                ends = await self._ends(mine) if mine else {}
                places = {tp: self._app.consumer.place(tp) for tp in mine if tp in ends}
            except _NO_ANSWER:
                ends = None
        # Partitions may have changed hands while they were looked at.
        excuse = self._excuse()
        return {
            topic: Consumption(
                waiting=None
                if ends is None
                else {_name(tp): place.waiting(ends[tp]) for tp, place in places.items() if tp.topic == topic},
                done={_name(tp): place.done for tp, place in places.items() if tp.topic == topic},
                steps=steps(topic),
                excuse=excuse,
            )
            for topic in self._topics
        }

    def close(self) -> None:
        """Ask no more."""
        if self._question is not None:
            self._question.cancel()

    async def _ends(self, partitions: Collection[Any]) -> Mapping[Any, int]:
        """Return the end of each partition.

        One question at a time, however long it takes: the thread of the consumer answers few at once, and has more to
        do than this.
        """
        if self._question is None or self._question.done():
            self._question = asyncio.create_task(self._app.consumer.highwaters(*partitions))
            # Whether anybody still waits for it or not.
            self._question.add_done_callback(lambda asked: asked.cancelled() or asked.exception())
        async with asyncio.timeout(LOOK_TIMEOUT):
            return await asyncio.shield(self._question)

    def _excuse(self) -> str | None:
        app = self._app
        if app.should_stop:
            return "the worker stops"
        if app.rebalancing:
            return "partitions change hands"
        if app.in_recovery or not app.tables.recovery.completed.is_set():
            return "tables are recovered"
        return None


def _name(tp: Any) -> str:
    return f"{tp.topic}:{tp.partition}"
