"""The orphan sweeper: takes away what a worker that died in the middle of an upload left in the storage.

An upload stores its file, then the index of its spans, and last its action. What lies in the storage without an action
is an upload under way, or one that will never be complete. The two are told apart by age alone: an upload is refused
when it has not arrived within ``UPLOAD_TIMEOUT``, and an orphan is at least ``ORPHAN_AGE`` old, which the settings keep
at twice that or more. An action, once there, stays until it is deleted, and then its objects are nobody's; the sweeper
asks for it after it has seen the objects. So two sweepers at once do no harm.

Only keys that an upload can have are ever deleted, and unfinished uploads of such keys: what somebody else keeps in the
same place stays.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta

from app.context import AppContext
from app.domain.upload_keys import is_upload_key

log = logging.getLogger(__name__)

#: Objects looked at in one turn; the next turn goes on where it ended.
_PER_TURN, _PER_LOOK = 10_000, 1000


def sweep_interval(orphan_age: float) -> float:
    """Return the seconds between two turns: an hour, less where orphans are to go sooner."""
    return max(0.2, min(3600.0, orphan_age / 24))


class OrphanSweeper:
    """Goes through the storage, a bounded part of it in each turn."""

    def __init__(self) -> None:
        self._after = ""

    async def sweep_orphans(self, context: AppContext) -> None:
        """Do one turn.

        Raises:
            OSError: the storage cannot be reached; what was found until then is gone.
        """
        before = datetime.now(UTC) - timedelta(seconds=context.settings.orphan_age)
        removed = 0
        for _ in range(_PER_TURN // _PER_LOOK):
            found = await context.storage.objects(self._after, _PER_LOOK)
            old = [stored.key for stored in found if stored.modified < before]
            removed += await _remove_orphans(context, old)
            # At the end it begins anew.
            self._after = found[-1].key if len(found) == _PER_LOOK else ""
            if not self._after:
                break
        unfinished = await context.storage.discard_unfinished(before, _PER_LOOK)
        if removed or unfinished:
            log.info("removed what uploads left behind: %d orphaned objects, %d unfinished", removed, unfinished)


async def _remove_orphans(context: AppContext, keys: list[str]) -> int:
    """Delete those uploads whose action does not exist; return how many."""
    owners = {key: key.partition("/")[0] for key in keys if is_upload_key(key)}
    if not owners:
        return 0
    known = await context.store.actions.existing(sorted(set(owners.values())))
    orphans = [key for key, action_id in owners.items() if action_id not in known]
    for key in orphans:
        await context.storage.delete(key)
    return len(orphans)
