"""How long actions are kept after their end."""

from __future__ import annotations

from datetime import datetime, timedelta

#: What belongs to an action is kept so much longer than its document: of an action that is there, all is there.
PARTS_LATER = timedelta(days=1)


def retained_until(ended: datetime, days: float) -> datetime | None:
    """Return until when an action is kept that has just ended; None: for ever."""
    return ended + timedelta(days=days) if days else None
