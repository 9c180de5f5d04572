"""Cells without a value: what an empty one means, and what it becomes."""

from __future__ import annotations

from enum import Enum, StrEnum
from typing import Final


class EmptyCells(StrEnum):
    """What an empty cell means in a file whose rows need not say everything of a record."""

    SKIP = "skip"
    """The record keeps what it has."""
    CLEAR = "clear"
    """The record is to have no value."""
    REJECT = "reject"
    """A mistake: the row fails."""


class Keep(Enum):
    """The one value of its kind; false, so that ``all()`` finds it, and None, in a column of texts."""

    KEEP = "keep"

    def __bool__(self) -> bool:
        return False


KEEP: Final = Keep.KEEP
"""Stands in a column where the record keeps what it has; None, where it is to have no value."""

CLEAR: Final = "#N/A"
"""What a cell says that clears, whatever an empty one means: as a spreadsheet shows a value that is not available."""
