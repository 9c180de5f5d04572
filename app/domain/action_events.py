"""The events of an action, its chunks and its rows, made from what its document and its ledger say of them."""

from __future__ import annotations

from datetime import UTC, datetime

from app.domain.actions import PLATFORM, Action, Status, Transition
from app.domain.dead_letters import DEAD_ROW
from app.domain.events import (
    MAX_MESSAGE,
    Event,
    EventType,
    Level,
    action_event_id,
    bounded,
    chunk_event_id,
    row_event_id,
    transition_type,
)
from app.domain.outcomes import DEAD_LETTER, ChunkOutcome, RowOutcome

_LEVELS = {Status.FAILED: Level.ERROR, Status.CANCELLED: Level.WARNING}


def transition_events(action: Action) -> list[Event]:
    """Return what happened to an action as a whole, the oldest first.

    That it was made, its transitions (the latest ``MAX_HISTORY``), its retry, and chunks that were sent again and have
    no result yet. What an event says never changes.
    """
    events = [_created(action), *(_transition(action, change) for change in action.history)]
    if action.retried_by is not None:
        events.append(_retried(action, action.retried_by))
    events += [
        _event(
            action,
            EventType.CHUNK_REISSUED,
            f"reissue:{reissue.index}:{reissue.times}",
            reissue.at,
            f"Chunk {reissue.index} had no result and was sent again.",
            level=Level.WARNING,
            chunk=reissue.index,
            count=reissue.times,
        )
        for reissue in action.reissues
    ]
    return sorted(events, key=lambda event: event.at)


def _event(
    action: Action, kind: EventType, what: str, at: datetime, message: str, *, level: Level = Level.INFO, **more: object
) -> Event:
    return Event(
        id=action_event_id(action.id, what),
        at=at,
        account_id=action.account_id,
        type=kind,
        level=level,
        message=bounded(message, MAX_MESSAGE) or "",
        action_id=action.id,
        entity_type=action.entity_type,
        action_type=action.action_type,
        **more,  # type: ignore[arg-type]
    )


def _created(action: Action) -> Event:
    what = f"{action.action_type} of {action.entity_type} was created"
    if action.retry_of is not None:
        what += f" as the retry of action {action.retry_of}"
    if action.file.name:
        what += f" from the file {action.file.name}"
    return _event(action, EventType.ACTION_CREATED, "created", action.created_at, f"{what}.", actor=action.created_by)


def _transition(action: Action, change: Transition) -> Event:
    reason = change.reason or (action.error if change.status == Status.FAILED else None)
    told = f"The action is {change.status}."
    # What the platform pauses, a person is to look at.
    stopped = change.status == Status.PAUSED and change.by == PLATFORM
    moment = int(change.at.timestamp() * 1000)
    return _event(
        action,
        transition_type(change.status),
        f"{change.status}:{moment}",
        change.at,
        told if reason is None else f"The action is {change.status}: {reason}",
        level=Level.WARNING if stopped else _LEVELS.get(change.status, Level.INFO),
        status=change.status.value,
        actor=bounded(change.by),
    )


def _retried(action: Action, retry: str) -> Event:
    # The first half of an id is the second in which it was made.
    made_at = datetime.fromtimestamp(int(retry[:8], 16), UTC)
    message = f"The rows that failed are run again by action {retry}."
    return _event(action, EventType.ACTION_RETRIED, "retried", made_at, message)


def chunk_event(action: Action, index: int, outcome: ChunkOutcome, at: datetime) -> Event:
    """Return what became of a chunk that was finished, or given up, at a time."""
    first, last, counts = outcome.first_row, outcome.first_row + outcome.row_count - 1, outcome.counts
    dead = next((row for row in outcome.exceptions if row.code == DEAD_LETTER), None)
    if dead is None:
        message = (
            f"Rows {first} to {last} were processed: {counts.success} succeeded, {counts.failure} failed, "
            f"{counts.skipped} skipped."
        )
    else:
        message = f"Rows {first} to {last} failed and can be replayed: {dead.message.removeprefix(DEAD_ROW)}"
    return Event(
        id=chunk_event_id(action.id, index),
        at=at,
        account_id=action.account_id,
        type=EventType.CHUNK_COMPLETED if dead is None else EventType.CHUNK_DEAD,
        level=Level.ERROR if dead is not None else Level.WARNING if counts.failure else Level.INFO,
        message=bounded(message, MAX_MESSAGE) or "",
        action_id=action.id,
        entity_type=action.entity_type,
        action_type=action.action_type,
        code=None if dead is None else dead.code,
        chunk=index,
        first_row=first,
        last_row=last,
        counts=counts,
    )


def row_event(
    action: Action, index: int, entry: RowOutcome, at: datetime, record_id: str | None, email: str | None
) -> Event:
    """Return what became of a row that failed or was skipped, with whom it is about, where that is known."""
    failed = entry.status == "FAILED"
    return Event(
        id=row_event_id(action.id, entry.row),
        at=at,
        account_id=action.account_id,
        type=EventType.ROW_FAILED if failed else EventType.ROW_SKIPPED,
        level=Level.ERROR if failed else Level.WARNING,
        message=bounded(entry.message, MAX_MESSAGE) or "",
        action_id=action.id,
        entity_type=action.entity_type,
        action_type=action.action_type,
        status=entry.status,
        code=entry.code,
        chunk=index,
        row=entry.row,
        column=bounded(entry.column),
        record_id=record_id,
        email=email,
    )
