"""Watching actions through Redis and the database, whatever is lost on the way."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from app.adapters import live_actions
from app.domain.actions import Status
from app.domain.live_counters import LiveCounters
from app.domain.outcomes import Counts
from app.domain.watching import Watch
from tests.support.bench import Bench
from tests.support.factories import make_action


async def until(watch: Watch, status: Status, processed: int = 0, timeout: float = 60) -> None:
    """Wait until a watcher is told of this state of an action."""
    async with asyncio.timeout(timeout):
        while True:
            for action, _ in await watch.next(5):
                if (action.status, action.counts.processed) == (status, processed):
                    return


async def test_action_is_told_as_it_goes(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who watches an action is told its state, its transitions at once, and its live counters."""
    monkeypatch.setattr(live_actions, "_RECHECK", 600)
    action = await bench.store.actions.add(make_action())
    async with bench.context.live.watch("default", action.id) as watch:
        await until(watch, Status.QUEUED)
        await bench.store.actions.start(action.id, None)
        await until(watch, Status.PROCESSING)
        await bench.context.snapshots.publish(action.id, LiveCounters(Counts(success=7)))
        await until(watch, Status.PROCESSING, 7)
        await bench.store.actions.end(action.id, Status.COMPLETED, Counts(success=9), 1, cleanup_at=datetime.now(UTC))
        await until(watch, Status.COMPLETED, 9)


async def test_account_is_told_of_its_own(bench: Bench) -> None:
    """Who watches an account is told of actions that are made later, and of no other account's."""
    live = bench.context.live
    async with live.watch("acme") as watch:
        for account in ("other", "acme"):
            action = await bench.store.actions.add(make_action(accountId=account, updatedAt=datetime.now(UTC)))
            await bench.store.actions.start(action.id, None)
        async with asyncio.timeout(60):
            while not (states := await watch.next(5)):
                pass
    assert {state.action.account_id for state in states} == {"acme"}


async def test_missed_changes_are_told(bench: Bench) -> None:
    """Who comes again is told what has changed since."""
    now = datetime.now(UTC)
    for hours in (3, 1):
        await bench.store.actions.add(make_action(accountId="acme", updatedAt=now - timedelta(hours=hours)))
    live = bench.context.live
    async with live.watch("acme", since=now - timedelta(hours=2)) as watch:
        [state] = await watch.next(5)
    assert state.action.updated_at is not None
    assert now - state.action.updated_at < timedelta(hours=2)


async def test_who_was_told_least_misses_nothing(bench: Bench) -> None:
    """Of several who watch an account each is told what has changed since it was looked at for them."""
    now = datetime.now(UTC)
    live = bench.context.live
    old, new = Watch("acme", None, now - timedelta(hours=3)), Watch("acme", None, now)
    live._watches |= {old, new}
    action = await bench.store.actions.add(make_action(accountId="acme", updatedAt=now - timedelta(hours=2)))
    await live._look([old, new])
    assert [state.action.id for state in await old.next(5)] == [action.id]


@pytest.mark.parametrize("what", ["action", "account"])
async def test_lost_announcements_delay_only(bench: Bench, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    """A change that nobody announces is told all the same, some seconds later."""
    monkeypatch.setattr(live_actions, "_RECHECK", 0.3)
    action = await bench.store.actions.add(make_action())
    live = bench.context.live
    async with live.watch("default", action.id if what == "action" else None) as watch:
        await watch.next(0)

        async def lost(_: str) -> None:
            pass

        monkeypatch.setattr(bench.store.actions, "on_transition", lost)
        await bench.store.actions.start(action.id, None)
        await until(watch, Status.PROCESSING)


async def test_close_lets_all_go(bench: Bench) -> None:
    """A worker that stops lets its watchers go at once, and takes no more."""
    live = bench.context.live
    async with live.watch("a") as watch:
        waiting = asyncio.create_task(watch.next(60))
        await asyncio.sleep(0)
        await live.close()
        assert await waiting == []
        assert watch.closed
    assert all(task.done() for task in live._tasks)
    async with live.watch("a") as late:
        assert late.closed
