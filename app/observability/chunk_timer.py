"""How long a chunk spends in each of its stages: added up while it runs, observed once at its end; and their spans."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from app.observability.metrics import STAGE_SECONDS
from app.observability.tracing import span


class ChunkTimer:
    """The times of one run of a chunk, be it finished or not. A stage that it never entered is not observed."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._seconds: dict[str, float] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        for stage, seconds in self._seconds.items():
            STAGE_SECONDS.labels(stage).observe(seconds)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count the time inside the context for a stage, which may be entered again."""
        began = self._clock()
        try:
            with span(name):
                yield
        finally:
            self._seconds[name] = self._seconds.get(name, 0.0) + self._clock() - began
