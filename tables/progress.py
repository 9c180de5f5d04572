"""The progress table: for each action under way, which chunks have been counted and their sums."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from faust.exceptions import PartitionsMismatch

from app.domain.faults import Dependency, PassingFault
from app.domain.progress import Progress
from app.settings import Settings


class ProgressTable:
    """Progress by action id. To be used by the progress agent alone: a table is written in its stream only.

    Writing raises PassingFault while this worker does not know the changelog yet: of a topic that is new, one broker
    hears later than another.
    """

    def __init__(self, app: Any, settings: Settings) -> None:
        self._table = app.Table("progress", partitions=settings.topic_partitions, key_type=str, value_type=None)

    def get(self, action_id: str) -> Progress | None:
        """Return the progress of an action, or None when the table does not have it."""
        value = self._table.get(action_id)
        return None if value is None else Progress.from_value(value)

    def set(self, action_id: str, progress: Progress) -> None:
        """Store the progress of an action."""
        with _changelog():
            self._table[action_id] = progress.to_value()

    def drop(self, action_id: str) -> None:
        """Forget an action that has ended."""
        with _changelog():
            self._table.pop(action_id, None)


@contextmanager
def _changelog() -> Iterator[None]:
    try:
        yield
    except PartitionsMismatch as error:
        raise PassingFault("the changelog is not known yet", Dependency.BROKER) from error
