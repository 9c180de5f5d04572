"""What somebody who watches actions is still to be told: the newest state of each, and never more than that."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import NamedTuple

from app.domain.actions import Action, Status
from app.domain.outcomes import Counts
from app.domain.speed import Rate

#: So many actions may be waiting to be told to one watcher.
MOST_PENDING = 1000


class LiveState(NamedTuple):
    """An action with its newest counters, and how fast it is if that is known."""

    action: Action
    rate: Rate | None = None


class Watch:
    """One watcher, of an action or of all actions of an account.

    Only the newest state of an action is kept, so that whoever is slow misses what is past, and takes no memory.
    """

    def __init__(self, account_id: str, action_id: str | None, looked_at: datetime) -> None:
        self.account_id, self.action_id = account_id, action_id
        #: Until when the actions of the account have been looked through.
        self.looked_at = looked_at
        #: Whether nothing will come any more.
        self.closed = False
        self._pending: dict[str, LiveState] = {}
        self._told: dict[str, tuple[Status, datetime | None, Counts]] = {}
        self._changed = asyncio.Event()

    def tell(self, state: LiveState) -> None:
        """Note the newest state of an action, unless it is known or older."""
        action = state.action
        if action.account_id != self.account_id or self.action_id not in (None, action.id):
            return
        seen = action.status, action.updated_at, action.counts
        told = self._told.get(action.id)
        if told is not None and (told == seen or _is_older(seen, told)):
            return
        self._told.pop(action.id, None)
        self._told[action.id] = seen
        self._pending[action.id] = state
        if len(self._told) > MOST_PENDING:
            oldest = next(iter(self._told))
            del self._told[oldest]
            self._pending.pop(oldest, None)
        self._changed.set()

    def close(self) -> None:
        """Let the watcher go."""
        self.closed = True
        self._changed.set()

    async def next(self, timeout: float) -> list[LiveState]:
        """Return what has changed since the last call; nothing after ``timeout`` seconds, or when it is closed."""
        try:
            async with asyncio.timeout(timeout):
                await self._changed.wait()
        except TimeoutError:
            return []
        if not self.closed:
            self._changed.clear()
        states, self._pending = list(self._pending.values()), {}
        return states


def _is_older(seen: tuple[Status, datetime | None, Counts], told: tuple[Status, datetime | None, Counts]) -> bool:
    """Tell whether a state was read before the one that was told: two reads may overtake each other."""
    return seen[1] is not None and told[1] is not None and seen[1] < told[1]
