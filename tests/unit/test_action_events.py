"""Events of an action: what follows from its document and its ledger, under ids that are always the same."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.action_events import chunk_event, row_event, transition_events
from app.domain.actions import Status
from app.domain.dead_letters import dead_chunk_outcome
from app.domain.events import MAX_MESSAGE, MAX_VALUE, Event, EventType, Level, bounded, email_of, transition_type
from app.domain.outcomes import ChunkOutcome, Counts, RowOutcome
from tests.support.clocks import PAST
from tests.support.events import as_json, example_events
from tests.support.factories import make_action

TEXT = st.text(max_size=20)


@pytest.mark.parametrize("status", Status)
def test_status_has_a_type(status: Status) -> None:
    """Each status is told by a type of its own."""
    assert transition_type(status).value == f"action.{status.value.lower()}"


def test_new_action_was_created() -> None:
    """An action of which nothing more is known was created."""
    [event] = transition_events(make_action(createdBy="key 1"))
    assert (event.type, event.at, event.actor) == (EventType.ACTION_CREATED, PAST, "key 1")


def test_retry_names_its_original() -> None:
    [event] = transition_events(make_action(retryOf="0" * 24))
    assert f"retry of action {'0' * 24}" in event.message


@pytest.mark.parametrize(
    ("by", "level"), [("platform", Level.WARNING), ("key 1", Level.INFO)], ids=["by the platform", "by a person"]
)
def test_pause_of_the_platform_warns(by: str, level: Level) -> None:
    """A pause that nobody has asked for needs attention."""
    action = make_action(history=[{"status": "PAUSED", "at": PAST, "by": by}])
    assert transition_events(action)[-1].level == level


def test_repeated_pauses_are_told_apart() -> None:
    """The same status at another time is another event."""
    history = [{"status": "PAUSED", "at": PAST + timedelta(milliseconds=i), "by": "x"} for i in range(3)]
    assert len({event.id for event in transition_events(make_action(history=history))}) == 4


def test_replay_has_the_id_of_the_dead_chunk() -> None:
    """So that what is told of the chunk is replaced."""
    action = make_action()
    dead = chunk_event(action, 3, dead_chunk_outcome(1, 2, "no"), PAST)
    done = chunk_event(action, 3, ChunkOutcome(1, 2, Counts(success=2), [], 0b11), PAST)
    assert dead.id == done.id
    assert (dead.type, done.type) == (EventType.CHUNK_DEAD, EventType.CHUNK_COMPLETED)


def test_texts_of_a_file_are_bounded() -> None:
    """Whatever a file has in a cell: an event stays small, and can be written as UTF-8."""
    entry = RowOutcome(1, "FAILED", "REQUIRED", "m" * 5000, "c" * 5000)
    event = row_event(make_action(), 0, entry, PAST, bounded("i" * 5000), email_of(" \udc80" + "E" * 5000))
    assert len(event.message) == MAX_MESSAGE
    assert {len(text or "") for text in (event.column, event.record_id, event.email)} == {MAX_VALUE}
    assert event.email is not None and event.email.startswith("?eee")


@given(st.integers(0, 10**9), st.integers(1, 10**12), TEXT, TEXT, st.none() | TEXT)
def test_events_survive_storage(chunk: int, row: int, code: str, message: str, column: str | None) -> None:
    """An event is the same after it was written as JSON and read back."""
    entry = RowOutcome(row, "FAILED", code, message, column)
    event = row_event(make_action(), chunk, entry, PAST, bounded("1"), email_of("A@example.com"))
    assert Event.from_document(json.loads(json.dumps(as_json(event)))) == event


def test_ids_are_unique_and_repeatable() -> None:
    """All events of an action have ids of their own, and the same ones when they are made again."""
    events = example_events()
    assert len({event.id for event in events}) == len(events)
    assert example_events() == events
