"""The examples of the reference of events, made by the code."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from app.domain.action_events import chunk_event, row_event, transition_events
from app.domain.actions import Action
from app.domain.dead_letters import dead_chunk_outcome
from app.domain.events import Event
from app.domain.outcomes import ChunkOutcome, Counts, RowOutcome
from app.domain.timestamps import iso_utc
from tests.support.factories import make_action

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


def as_json(event: Event) -> dict[str, Any]:
    """The document of an event as JSON has it."""
    return event.to_document() | {"@timestamp": iso_utc(event.at)}
