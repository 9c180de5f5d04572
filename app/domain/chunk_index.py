"""Where the chunks of an action are, whatever their rows came in."""

from __future__ import annotations

from typing import Protocol

from app.domain.csv.spans import Span


class ChunkIndex(Protocol):
    """The chunks of an action in order."""

    def __len__(self) -> int:
        """Return how many there are."""

    @property
    def row_count(self) -> int:
        """The number of rows of all of them."""

    @property
    def last_row(self) -> int:
        """The highest number that a row can have: the chunks of a stream leave numbers out."""

    def span(self, i: int) -> Span:
        """Return where a chunk is."""

    def spans(self, first: int, count: int) -> list[Span]:
        """Return where up to ``count`` chunks are, from ``first`` on."""
