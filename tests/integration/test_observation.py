"""What is looked at for the metrics, on real services."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.domain.actions import Status
from app.observability.metrics import DEAD_LETTERS
from app.services.observation import observe, oldest_waiting
from tests.support.bench import Bench
from tests.support.factories import make_action, make_dead_letter

#: To the millisecond, which is what the database keeps.
NOW = datetime.now(UTC).replace(microsecond=0)


def ago(minutes: int) -> datetime:
    return NOW - timedelta(minutes=minutes)


@pytest.mark.parametrize(
    ("fields", "minutes"),
    [
        ({"status": Status.QUEUED, "createdAt": ago(3)}, 3),
        ({"status": Status.SCHEDULED, "createdAt": ago(9), "scheduledAt": ago(4)}, 4),
        ({"status": Status.PROCESSING, "createdAt": ago(9), "startedAt": ago(8)}, 8),
        ({"status": Status.PROCESSING, "createdAt": ago(9), "startedAt": ago(8), "progressAt": ago(2)}, 2),
        ({"status": Status.SCHEDULED, "createdAt": ago(9), "scheduledAt": ago(-4)}, 0),
        ({"status": Status.PAUSED, "createdAt": ago(9), "startedAt": ago(8)}, 0),
        ({"status": Status.COMPLETED, "createdAt": ago(9), "startedAt": ago(8)}, 0),
    ],
    ids=["queued", "overdue", "without a result", "since a result", "not due", "paused", "ended"],
)
async def test_waiting_action_is_found(bench: Bench, fields: dict[str, Any], minutes: int) -> None:
    """An action waits while something is to happen to it without anybody asking for it."""
    await bench.store.actions.add(make_action(**fields))
    found = await oldest_waiting(bench.context, NOW)
    assert max(found.values()) == minutes * 60
    assert not minutes or found[fields["status"]] == minutes * 60


async def test_observation_looks_at_all(bench: Bench) -> None:
    """One look is possible on the services as they are."""
    await observe(bench.context)


async def test_dead_letters_count_once(bench: Bench) -> None:
    """A letter that is delivered again is not counted again."""
    counter = DEAD_LETTERS.labels("CHUNK")._value
    before = counter.get()
    for message in ("first", "first", "second"):
        await bench.store.dead_letters.put(make_dead_letter(message=message))
    assert counter.get() == before + 2
