"""Events that the index has refused for what is in them, as dead letters with the reason."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256

from app.domain.actions import Action
from app.domain.dead_letters import DeadLetter, Kind, Origin
from app.domain.indexing import Rejected

#: Where such a letter says that it comes from, where others name their topic.
_FROM = "events"
#: Events that a letter names.
MAX_NAMED = 100


def letter_of_action(action: Action, chunk: int | None, rejected: Sequence[Rejected], at: datetime) -> DeadLetter:
    """Return the letter for refused events of a chunk, or of an action itself (None): there is one of each."""
    return _letter(
        f"{action.id}:{'action' if chunk is None else chunk}:{_FROM}",
        rejected,
        at,
        action_id=action.id,
        account_id=action.account_id,
        index=chunk,
    )


def letter_of_stored(rejected: Sequence[Rejected], at: datetime) -> DeadLetter:
    """Return the letter for refused events that are documents of their own: it is nobody's but the operators'."""
    return _letter(f"{_FROM}:{sha256(rejected[0].event_id.encode()).hexdigest()[:24]}", rejected, at)


def named_events(letter: DeadLetter) -> list[str]:
    """Return the ids of the events that a letter names."""
    return [one["id"] for one in json.loads(letter.payload)]


def _letter(
    letter_id: str,
    rejected: Sequence[Rejected],
    at: datetime,
    *,
    action_id: str | None = None,
    account_id: str | None = None,
    index: int | None = None,
) -> DeadLetter:
    payload = json.dumps([{"id": one.event_id, "reason": one.reason} for one in rejected[:MAX_NAMED]]).encode()
    return DeadLetter(
        id=letter_id,
        kind=Kind.EVENTS,
        error=f"{len(rejected)} events were refused by the index: {rejected[0].reason}",
        origin=Origin(_FROM, 0, 0),
        at=at,
        payload=payload,
        length=len(payload),
        action_id=action_id,
        account_id=account_id,
        index=index,
    )
