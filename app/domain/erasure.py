"""Actions that were deleted: what is remembered of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

#: How long it is remembered that an action was deleted: as long as Kafka keeps messages about it, unless it is told
#: otherwise.
REMEMBERED = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class ErasedAction:
    """An action that is gone.

    Attributes:
        id: Its id.
        account_id: Whose it was.
        chunk_count: How many chunks it had.
    """

    id: str
    account_id: str
    chunk_count: int
