"""How far an action is right now: its live counters are ahead of its document, which is written less often."""

from __future__ import annotations

from dataclasses import replace

from app.adapters.redis.snapshots import Snapshots
from app.domain.actions import Action, Status
from app.domain.speed import Rate


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
