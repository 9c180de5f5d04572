"""Actions as they change: told to whoever watches them, from any worker to any worker, through Redis.

Redis only says that something has changed. What is told is read from the database and the live counters, once for all
watchers of this worker, so that a lost announcement delays it, and nothing else.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from app.adapters.mongo import Actions
from app.adapters.redis.snapshots import Snapshots
from app.domain.actions import Action, Status
from app.domain.faults import DependencyFault
from app.domain.speed import Rate
from app.domain.tasks import end_tasks
from app.domain.watching import LiveState, Watch

log = logging.getLogger(__name__)

#: Seconds between two looks at counters: progress is told at most so often.
_PAUSE = 0.25
#: Seconds after which everything that is watched is looked at without an announcement.
_RECHECK = 5.0
#: Seconds to wait for the end of the tasks.
_END = 5.0
#: Actions that are read at once, and of an account that has changed.
_AT_ONCE = 500
#: Of how many actions is remembered whose they are.
_REMEMBERED = 10_000
#: By how much two looks at an account overlap, because a change is dated by the clock of the worker that makes it.
_OVERLAP = timedelta(seconds=10)


async def with_live_counters(snapshots: Snapshots, action: Action) -> tuple[Action, Rate | None]:
    """Return an action with the live counters where those are ahead of its document, and how fast it is if known."""
    if action.ended or action.status == Status.SCHEDULED:
        return action, None
    live = await snapshots.get(action.id)
    if live is None:
        return action, None
    if live.counts.processed > action.counts.processed:
        action = replace(action, counts=live.counts)
    return action, live.rate


class LiveActions:
    """The watchers of this worker, and the tasks that tell them, which begin with the first of them."""

    def __init__(self, actions: Actions, snapshots: Snapshots) -> None:
        self._actions, self._snapshots = actions, snapshots
        self._watches: set[Watch] = set()
        self._owners: dict[str, str] = {}
        self._changed: set[str] = set()
        self._everything = False
        self._wake, self._urgent = asyncio.Event(), asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._closed = False

    @asynccontextmanager
    async def watch(
        self, account_id: str, action_id: str | None = None, since: datetime | None = None
    ) -> AsyncIterator[Watch]:
        """Watch an action, or all actions of an account.

        Args:
            account_id: Whose they are.
            action_id: The action; its state is told at once. None: all of the account.
            since: Of an account, the actions that have changed since then are told at once; None: those to come.
        """
        watch = Watch(account_id, action_id, since or datetime.now(UTC))
        self._watches.add(watch)
        if self._closed:
            watch.close()
        elif not self._tasks:
            self._tasks = [asyncio.create_task(self._listen()), asyncio.create_task(self._tell())]
        try:
            await self._look([watch])
            yield watch
        finally:
            self._watches.discard(watch)

    async def close(self) -> None:
        """Let all watchers go, and take no more."""
        self._closed = True
        for watch in self._watches:
            watch.close()
        await end_tasks(self._tasks, timeout=_END)

    async def _listen(self) -> None:
        """Note which actions have changed."""
        async for action_id, urgent in self._snapshots.changes():
            if action_id is None:
                self._everything = True
            elif self._is_watched(action_id):
                self._changed.add(action_id)
            else:
                continue
            self._wake.set()
            if urgent:
                self._urgent.set()

    def _is_watched(self, action_id: str) -> bool:
        owner = self._owners.get(action_id)
        return any(
            watch.action_id == action_id or (watch.action_id is None and owner in (None, watch.account_id))
            for watch in self._watches
        )

    async def _tell(self) -> None:
        """Read what has changed, and tell it."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(_RECHECK):
                    await self._wake.wait()
            everything = self._everything or not self._wake.is_set()
            self._wake.clear()
            self._urgent.clear()
            try:
                if everything:
                    self._everything = False
                    await self._look(list(self._watches))
                changed, self._changed = self._changed, set()
                await self._read(changed)
            except DependencyFault as error:
                log.warning("those who watch actions are not told: %r", error)
                self._everything = True
            with suppress(TimeoutError):
                async with asyncio.timeout(_PAUSE):
                    await self._urgent.wait()

    async def _look(self, watches: Sequence[Watch]) -> None:
        """Look at what is watched, whether it was announced or not."""
        await self._read({watch.action_id for watch in watches if watch.action_id is not None})
        of_account: dict[str, list[Watch]] = {}
        for watch in watches:
            if watch.action_id is None:
                of_account.setdefault(watch.account_id, []).append(watch)
        for account_id, watching in of_account.items():
            # From where the one that was told least is.
            now, looked_at = datetime.now(UTC), min(watch.looked_at for watch in watching)
            found = await self._actions.changed_since(account_id, looked_at - _OVERLAP, _AT_ONCE)
            for action in found:
                await self._tell_state(action)
            # The next look begins where this one ended.
            seen = found[-1].updated_at if len(found) == _AT_ONCE else None
            for watch in watching:
                watch.looked_at = seen or now

    async def _read(self, action_ids: set[str]) -> None:
        ids = sorted(action_ids)
        for start in range(0, len(ids), _AT_ONCE):
            for action in await self._actions.some(ids[start : start + _AT_ONCE]):
                await self._tell_state(action)

    async def _tell_state(self, action: Action) -> None:
        self._owners[action.id] = action.account_id
        if len(self._owners) > _REMEMBERED:
            del self._owners[next(iter(self._owners))]
        watches = [watch for watch in self._watches if watch.account_id == action.account_id]
        if watches:
            state = LiveState(*await with_live_counters(self._snapshots, action))
            for watch in watches:
                watch.tell(state)
