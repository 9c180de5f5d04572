"""Whether the handlers of messages get on: each call of a database or of Redis that ends inside one is a step.

A chunk that takes minutes makes steps; a handler that waits for something that never comes makes none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

#: The topic whose message is handled here. What a timer or a request does is no step of a handler.
_topic: ContextVar[str | None] = ContextVar("topic", default=None)
_steps: Counter[str] = Counter()


@contextmanager
def handling(topic: str) -> Iterator[None]:
    """Count as steps of a topic's handlers what ends within, and the end of it."""
    token = _topic.set(topic)
    try:
        yield
    finally:
        count_step()
        _topic.reset(token)


def count_step() -> None:
    """Count a step, if a message is being handled here."""
    if (topic := _topic.get()) is not None:
        _steps[topic] += 1


def steps(topic: str) -> int:
    """Return how many steps the handlers of a topic have made in this process."""
    return _steps[topic]
