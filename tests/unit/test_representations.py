"""What clients see of an action: the documented fields, timestamps in UTC, and figures that are finite."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.actions import ENDED, Action, Status
from app.domain.timestamps import iso_utc
from tests.support.factories import make_action
from web.representations import action_to_list_item, action_to_response, statistics_to_response

ACTION_ID = "0123456789abcdef01234567"
CREATED = datetime(2030, 1, 31, 9, 0, 0, 123_456, tzinfo=UTC)

#: DESIGN.md: what the list shows first, in this order.
DOCUMENTED = [
    "actionId",
    "actionType",
    "entityType",
    "status",
    "totalCount",
    "processedCount",
    "successCount",
    "failureCount",
    "skippedCount",
    "createdAt",
]
SHOWN_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def action(**fields: Any) -> Action:
    return make_action(**{"_id": ACTION_ID, "status": "PROCESSING", "createdAt": CREATED, "updatedAt": None, **fields})


def statistics(counted: Action, now: datetime) -> dict[str, Any]:
    return statistics_to_response(counted, None, now)


# Moments


@pytest.mark.parametrize(
    ("moment", "shown"),
    [
        (None, None),
        (CREATED, "2030-01-31T09:00:00.123Z"),
        (datetime(2030, 1, 31, 9), "2030-01-31T09:00:00.000Z"),
        (datetime(2030, 1, 31, 9, tzinfo=timezone(timedelta(hours=2))), "2030-01-31T07:00:00.000Z"),
        (datetime(1, 1, 1, tzinfo=UTC), "0001-01-01T00:00:00.000Z"),
        (datetime(2030, 1, 31, 9, microsecond=999_999), "2030-01-31T09:00:00.999Z"),
    ],
)
def test_moment_format(moment: datetime | None, shown: str | None) -> None:
    """A moment is shown in UTC, with milliseconds and Z."""
    assert iso_utc(moment) == shown


@given(st.datetimes(timezones=st.just(UTC)))
def test_moment_round_trip(moment: datetime) -> None:
    """A shown moment reads back to the millisecond."""
    shown = iso_utc(moment)
    assert shown is not None
    assert SHOWN_MOMENT.fullmatch(shown)
    assert datetime.fromisoformat(shown) == moment.replace(microsecond=moment.microsecond // 1000 * 1000)


# What a client sees


def test_documented_fields_come_first() -> None:
    """The documented fields come first and in their order."""
    shown = action_to_response(action(totalCount=10, successCount=7, failureCount=1, skippedCount=1))
    assert list(shown)[: len(DOCUMENTED)] == DOCUMENTED
    assert [shown[name] for name in DOCUMENTED] == [
        ACTION_ID,
        "BULK_UPDATE",
        "Contact",
        "PROCESSING",
        10,
        9,
        7,
        1,
        1,
        "2030-01-31T09:00:00.123Z",
    ]


def test_missing_parts_are_zero_or_null() -> None:
    """What a document lacks is shown as zero or null, and nothing internal is shown."""
    shown = action_to_response(action(accountId="default", storageKey="k", spansKey="s", columns=["id"], delimiter=","))
    assert all(value == 0 for name, value in shown.items() if name.endswith("Count"))
    assert all(shown[name] is None for name in ("scheduledAt", "startedAt", "completedAt", "updatedAt", "error"))
    assert not {"accountId", "storageKey", "spansKey", "_id", "columns"} & set(shown)


def test_action_moments_have_the_format() -> None:
    """Every moment of an action has milliseconds and Z."""
    moments = dict.fromkeys(("scheduledAt", "startedAt", "completedAt", "updatedAt"), CREATED)
    shown = action_to_response(action(**moments))
    assert all(SHOWN_MOMENT.fullmatch(shown[name]) for name in ("createdAt", *moments))


# Statistics


@given(st.integers(0, 10**9), st.integers(0, 10**9), st.sampled_from(list(Status)), st.floats(0, 1e6))
def test_processed_and_pending_add_up(processed: int, pending: int, status: Status, seconds: float) -> None:
    """Processed and pending make the total."""
    shown = statistics(
        action(status=status, totalCount=processed + pending, successCount=processed, startedAt=CREATED),
        CREATED + timedelta(seconds=seconds),
    )
    rows = shown["processedCount"] + shown["pendingCount"] + shown["unprocessedCount"]
    assert rows == shown["totalCount"] == processed + pending
    assert shown["unprocessedCount"] == (pending if status in ENDED else 0)
    assert shown["rowsPerSecond"] >= 0
    assert shown["etaSeconds"] is None or shown["etaSeconds"] >= 0


def test_rate_and_rest() -> None:
    """The rate is the mean since the start, and the rest takes as long per row."""
    counted = action(totalCount=1000, successCount=250, startedAt=CREATED)
    shown = statistics(counted, CREATED + timedelta(seconds=10))
    assert (shown["rowsPerSecond"], shown["pendingCount"], shown["etaSeconds"]) == (25.0, 750, 30.0)


@pytest.mark.parametrize(
    "fields", [{"status": Status.SCHEDULED}, {"status": Status.QUEUED}, {"startedAt": CREATED, "successCount": 0}]
)
def test_unknown_rest_is_null(fields: dict[str, Any]) -> None:
    """The time left is null while it cannot be told."""
    shown = statistics(action(totalCount=10, **fields), CREATED + timedelta(seconds=5))
    assert (shown["rowsPerSecond"], shown["etaSeconds"], shown["pendingCount"]) == (0.0, None, 10)


@pytest.mark.parametrize("status", sorted(ENDED))
def test_ended_action_keeps_its_rate(status: Status) -> None:
    """An ended action needs no more time, and its rate stays."""
    ended = action(
        status=status,
        totalCount=100,
        successCount=50,
        startedAt=CREATED,
        completedAt=CREATED + timedelta(seconds=5),
    )
    soon, late = (statistics(ended, CREATED + timedelta(seconds=after)) for after in (5, 5000))
    assert soon == late
    assert (soon["etaSeconds"], soon["rowsPerSecond"]) == (0.0, 10.0)


@pytest.mark.parametrize("after_seconds", [0, -60])
def test_odd_clock_gives_finite_figures(after_seconds: int) -> None:
    """A clock that stands still or runs back gives finite figures."""
    counted = action(totalCount=10, successCount=5, startedAt=CREATED)
    shown = statistics(counted, CREATED + timedelta(seconds=after_seconds))
    assert shown["rowsPerSecond"] == 5000.0
    assert shown["etaSeconds"] == 0.0


def test_statistics_have_every_counter() -> None:
    """Statistics name every counter of the design."""
    shown = statistics(action(), CREATED)
    names = {
        "pendingCount",
        "duplicateCount",
        "createdCount",
        "updatedCount",
        "unchangedCount",
        "rowsPerSecond",
        "etaSeconds",
    }
    assert names | {name for name in DOCUMENTED if name.endswith("Count")} | {"actionId"} <= set(shown)


def test_list_leaves_out_columns() -> None:
    """A list leaves the columns to the single action. They may be hundreds, with names of any length."""
    shown = action(columns=["id"], fields=["id"])
    left = action_to_response(shown).keys() - action_to_list_item(shown).keys()
    understood = {"delimiter", "delimiterSource", "encoding", "encodingSource", "encodingConfidence"}
    assert left == {"mapping", "ignoredColumns", "commonFailures", "stream", "history"} | understood
