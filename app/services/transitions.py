"""What became of a change of an action's status that somebody has asked for."""

from __future__ import annotations

from app.context import AppContext
from app.domain.actions import Action, TransitionRefused


async def moved_or_refused(context: AppContext, action: Action, moved: Action | None) -> Action:
    """Return the action as it is after a change.

    Args:
        context: the stores.
        action: as it was before.
        moved: as the change has left it; None: its status did not allow the change.

    Raises:
        TransitionRefused: with the present status, it was not changed.
    """
    if moved is None:
        current = await context.store.actions.get(action.id)
        raise TransitionRefused((current or action).status)
    return moved
