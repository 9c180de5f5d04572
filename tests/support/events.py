"""The examples of the reference of events, made by the code."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from app.domain.access import Role
from app.domain.account_events import (
    credential_refused,
    dead_letter_replayed,
    dead_letter_stored,
    dispatch_failed,
    key_made,
    key_revoked,
    limit_hit,
)
from app.domain.action_events import chunk_event, row_event, transition_events
from app.domain.actions import Action
from app.domain.api_keys import ApiKey, InactiveKey, KeyState
from app.domain.dead_letters import dead_chunk_outcome
from app.domain.events import Event
from app.domain.outcomes import ChunkOutcome, Counts, RowOutcome
from app.domain.timestamps import iso_utc
from tests.support.factories import make_action, make_dead_letter

ACTION, RETRY = "6b04d285235ca65e4442eb33", "6b04d290235ca65e4442eb36"


def at(second: int) -> datetime:
    """A time of the example."""
    return datetime(2026, 11, 23, 23, 55, second, 367_000, tzinfo=UTC)


def example_action() -> Action:
    """An action that has had every status."""
    statuses = ("OPEN", "SCHEDULED", "QUEUED", "PROCESSING", "PAUSED", "COMPLETED", "FAILED", "CANCELLED")
    history = [{"status": status, "at": at(second), "by": "platform"} for second, status in enumerate(statuses, 49)]
    history[1] |= {"by": "key 1f0c8a2e", "reason": "moved to 2026-11-24T06:00:00.000Z"}
    history[2]["reason"] = "its time has come"
    history[4] |= {"by": "key 1f0c8a2e", "reason": "wrong file?"}
    history[7] |= {"by": "key 1f0c8a2e", "reason": "wrong file"}
    return make_action(
        _id=ACTION,
        createdAt=at(49),
        createdBy="key 1f0c8a2e",
        fileName="contacts.csv",
        history=history,
        error="its file is not stored any more",
        retriedBy=RETRY,
        reissues=[{"index": 1, "openings": 1, "times": 2, "at": at(55)}],
    )


def example_events() -> list[Event]:
    """One event of each type that follows from an action."""
    action = example_action()
    wrong = RowOutcome(3, "FAILED", "INVALID_EMAIL", 'email is not an email address: "nobody"', "email")
    twice = RowOutcome(4, "SKIPPED", "DUPLICATE", "Row 1 of this file has the same record.", owner=1)
    done = ChunkOutcome(1, 4, Counts.of([wrong, twice], created=2, updated=0), [wrong, twice], created=0b11)
    return [
        *transition_events(action),
        chunk_event(action, 0, done, at(50)),
        chunk_event(action, 1, dead_chunk_outcome(5, 4, "Redis is away"), at(51)),
        row_event(action, 0, wrong, at(50), "3", "nobody"),
        row_event(action, 0, twice, at(50), "1", "ada2@example.com"),
    ]


def account_events() -> list[Event]:
    """One event of each type that is a document of its own."""
    key = ApiKey("1f0c8a2e4b6d8f00" + "0" * 48, "default", Role.OPERATOR, "", at(0))
    revoked = InactiveKey("no", key, KeyState.REVOKED)
    address = "203.0.113.7"
    rows = make_dead_letter(kind="ROWS", actionId=ACTION, error="The chunk is not the one that came before.")
    happenings = {
        dispatch_failed("default", ACTION, "the broker is away"): 2,
        dead_letter_stored(rows): 1,
        dead_letter_replayed(make_dead_letter(actionId=ACTION), key.principal.name): 1,
        credential_refused(revoked, token=False, source=address): 17,
        key_made("default", key.id, key.role, "operator"): 1,
        key_revoked("default", key.id, "operator"): 1,
        limit_hit("default", "RATE_LIMITED", source=address, actor=key.principal.name): 120,
    }
    return [happening.event(at(49), count) for happening, count in happenings.items()]


def as_json(event: Event) -> dict[str, Any]:
    """The document of an event as JSON has it."""
    return event.to_document() | {"@timestamp": iso_utc(event.at)}
