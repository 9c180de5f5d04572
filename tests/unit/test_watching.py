"""What a watcher is told: the newest state of each action, once."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

from app.domain.actions import Status
from app.domain.outcomes import Counts
from app.domain.watching import MOST_PENDING, LiveState, Watch
from tests.support.clocks import PAST
from tests.support.factories import make_action


def state(**fields: Any) -> LiveState:
    return LiveState(make_action(_id="1" * 24, **fields))


async def told(watch: Watch) -> list[LiveState]:
    return await watch.next(0)


async def test_newest_state_is_told_once() -> None:
    """Of several states of an action the newest is told, and not again."""
    watch = Watch("default", None, PAST)
    first, second = state(), state(status=Status.PROCESSING, updatedAt=PAST + timedelta(seconds=1))
    watch.tell(first)
    watch.tell(second)
    assert await told(watch) == [second]
    watch.tell(second)
    assert await told(watch) == []


async def test_older_state_is_not_told() -> None:
    """A state that was read before one that has been told says nothing new."""
    watch = Watch("default", None, PAST)
    newer = state(status=Status.COMPLETED, updatedAt=PAST + timedelta(seconds=1))
    watch.tell(newer)
    assert await told(watch) == [newer]
    watch.tell(state(status=Status.PROCESSING))
    assert await told(watch) == []


async def test_new_counters_are_news() -> None:
    """Counters that are ahead of the document are told, although that has not changed."""
    watch = Watch("default", "1" * 24, PAST)
    before = state(status=Status.PROCESSING)
    after = LiveState(replace(before.action, counts=Counts(success=5)))
    watch.tell(before)
    assert await told(watch) == [before]
    watch.tell(after)
    assert await told(watch) == [after]


async def test_others_are_not_told() -> None:
    """A watcher of an account, or of an action, is told of nothing else."""
    account, action = Watch("other", None, PAST), Watch("default", "2" * 24, PAST)
    for watch in (account, action):
        watch.tell(state())
        assert await told(watch) == []


async def test_slow_watcher_takes_no_memory() -> None:
    """However much happens while nobody reads, a bounded number of states is kept: the newest."""
    watch = Watch("default", None, PAST)
    for number in range(3 * MOST_PENDING):
        watch.tell(LiveState(make_action(_id=f"{number:024}")))
    states = await told(watch)
    assert [found.action.id for found in states] == [f"{n:024}" for n in range(2 * MOST_PENDING, 3 * MOST_PENDING)]


async def test_closed_watcher_waits_no_longer() -> None:
    """Whoever is let go gets an answer at once."""
    watch = Watch("default", None, PAST)
    waiting = asyncio.create_task(watch.next(60))
    await asyncio.sleep(0)
    watch.close()
    assert await waiting == []
    assert watch.closed
