"""The life of an action: its state machine, what is read from clients and what is shown to them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.domain.actions import (
    ACTION_TYPES,
    ENDED,
    TRANSITIONS,
    Status,
    check_schedule,
    is_action_id,
    iso,
    listed,
    parse_schedule,
    presented,
    sources_of,
    statistics,
)
from tests.support.factories import ACTION_ID, action_document

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


def action(**fields: Any) -> dict[str, Any]:
    return action_document(**{"_id": ACTION_ID, "status": Status.PROCESSING, "createdAt": CREATED, **fields})


# Statuses


def test_the_statuses_are_the_documented_ones() -> None:
    assert set(Status) == {"SCHEDULED", "QUEUED", "PROCESSING", "PAUSED", "COMPLETED", "FAILED", "CANCELLED"}
    assert set(TRANSITIONS) == set(Status)


def test_nothing_follows_an_end() -> None:
    assert {"COMPLETED", "FAILED", "CANCELLED"} == ENDED
    assert all(not TRANSITIONS[status] for status in ENDED)
    assert all(TRANSITIONS[status] for status in set(Status) - ENDED)


def after(status: Status) -> set[Status]:
    """Every status that an action may come to from ``status``, in any number of steps."""
    found: set[Status] = set()
    waiting = [status]
    while waiting:
        for following in TRANSITIONS[waiting.pop()] - found:
            found.add(following)
            waiting.append(following)
    return found


def test_every_status_is_reached_from_the_two_in_which_actions_are_made() -> None:
    assert {Status.SCHEDULED} | after(Status.SCHEDULED) == set(Status)
    assert {Status.QUEUED} | after(Status.QUEUED) == set(Status) - {Status.SCHEDULED}


@pytest.mark.parametrize("status", sorted(set(Status) - ENDED))
def test_every_action_can_come_to_an_end_and_be_cancelled(status: Status) -> None:
    assert Status.COMPLETED in after(status)
    assert Status.CANCELLED in TRANSITIONS[status]


def test_nothing_becomes_scheduled_or_queued_again_and_no_step_leads_nowhere() -> None:
    assert sources_of(Status.SCHEDULED) == []
    assert sources_of(Status.QUEUED) == [Status.SCHEDULED]
    assert all(status not in following for status, following in TRANSITIONS.items())


@pytest.mark.parametrize("target", list(Status))
def test_sources_are_the_transitions_read_backwards(target: Status) -> None:
    assert sources_of(target) == [status for status in Status if target in TRANSITIONS[status]]


def test_bulk_update_can_be_asked_for() -> None:
    assert "BULK_UPDATE" in ACTION_TYPES


@pytest.mark.parametrize(
    ("text", "good"),
    [
        (ACTION_ID, True),
        (ACTION_ID.upper(), False),
        (ACTION_ID[:-1], False),
        (ACTION_ID + "0", False),
        (ACTION_ID + "\n", False),
        (ACTION_ID[:-1] + "g", False),
        ("٠" * 24, False),
        ("", False),
    ],
)
def test_an_action_id_is_24_lower_case_hexadecimal_digits(text: str, good: bool) -> None:
    assert is_action_id(text) is good


# scheduledAt

NINE = datetime(2030, 1, 31, 9, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2030-01-31T09:00:00Z", NINE),
        ("2030-01-31T09:00:00.000Z", NINE),
        ("2030-01-31T09:00:00+00:00", NINE),
        ("2030-01-31T14:30:00+05:30", NINE),
        ("2030-01-31T01:00:00-0800", NINE),
        ("2030-01-31T10:00:00+01", NINE),
        ("2030-01-31T09:00:00", NINE),
        ("2030-01-31T09:00", NINE),
        ("2030-01-31 09:00:00", NINE),
        ("  2030-01-31T09:00:00Z\n", NINE),
        ("20300131T090000Z", NINE),
        ("2030-W05-4T09:00Z", NINE),
        ("2030-01-31T09:00:00.5Z", NINE + timedelta(milliseconds=500)),
        ("2030-01-30T24:00:00Z", NINE - timedelta(hours=9)),
    ],
)
def test_a_schedule_is_any_iso_8601_date_and_time_and_utc_when_it_names_no_offset(text: str, moment: datetime) -> None:
    parsed = parse_schedule(text)
    assert parsed == moment
    assert parsed.tzinfo is UTC


NO_SCHEDULES = [
    "",
    "tomorrow",
    "2030",
    "2030-01-31",
    "2030-02-30T09:00:00Z",
    "2030-01-31T25:00:00Z",
    "2030-01-31T09:00:61Z",
    "2030-01-31T09:00:00 Z Z",
    "31.01.2030 09:00:00",
    "01/31/2030 09:00:00",
    "1901520000000000000",
    "2030-01-31T09:00:00+25:00",
    "0001-01-01T00:00:00+23:59",
    "9999-12-31T23:59:59-23:59",
    "٢٠٣٠-01-31T09:00:00Z",
    "2030-01-31T09:00:00\ud800",
]


@pytest.mark.parametrize("text", NO_SCHEDULES)
def test_what_is_no_date_and_time_is_refused_in_the_words_of_the_person_who_sent_it(text: str) -> None:
    with pytest.raises(ValueError, match=r"^scheduledAt must be an ISO 8601 date and time such as ") as refused:
        parse_schedule(text)
    assert str(refused.value).endswith(f"not {text!r}.")
    str(refused.value).encode()


def test_an_endless_schedule_is_quoted_shortly() -> None:
    with pytest.raises(ValueError) as refused:
        parse_schedule("9" * 100_000)
    assert len(str(refused.value)) < 200


ALMOST = st.from_regex(r"\A[0-9]{1,5}-?[0-9W]{1,3}-?[0-9]{0,2}.[0-9:]{0,9}([.,][0-9]{0,9})?([Zz]|[+-][0-9:]{0,6})?\Z")


@given(st.one_of(st.text(), st.text("0123456789-:TZW+. ", min_size=14, max_size=32), ALMOST))
@example("0000-01-01T00:00:00Z")
@example("2030-000T00:00:00Z")
@example("2030-W00-0T00:00")
def test_any_text_is_a_moment_in_utc_or_a_value_error(text: str) -> None:
    try:
        moment = parse_schedule(text)
    except ValueError as refused:
        assert str(refused).startswith("scheduledAt must be ")
    else:
        assert moment.utcoffset() == timedelta(0)


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
def test_a_moment_is_shown_in_utc_with_milliseconds_and_z(moment: datetime | None, shown: str | None) -> None:
    assert iso(moment) == shown


@given(st.datetimes(timezones=st.just(UTC)))
def test_a_shown_moment_reads_back_to_the_millisecond(moment: datetime) -> None:
    shown = iso(moment)
    assert shown is not None
    assert SHOWN_MOMENT.fullmatch(shown)
    assert datetime.fromisoformat(shown) == moment.replace(microsecond=moment.microsecond // 1000 * 1000)


# What a client sees


def test_the_documented_fields_come_first_and_in_their_order() -> None:
    shown = presented(action(totalCount=10, processedCount=9, successCount=7, failureCount=1, skippedCount=1))
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


def test_what_a_document_lacks_is_shown_as_zero_or_null_and_nothing_internal_is_shown() -> None:
    document = action(storageKey="k", spansKey="s", columns=["id"], delimiter=",")
    del document["updatedAt"]
    shown = presented(document)
    assert all(value == 0 for name, value in shown.items() if name.endswith("Count"))
    assert all(shown[name] is None for name in ("scheduledAt", "startedAt", "completedAt", "updatedAt", "error"))
    assert not {"accountId", "storageKey", "spansKey", "_id", "columns"} & set(shown)


def test_every_moment_of_an_action_has_milliseconds_and_z() -> None:
    moments = dict.fromkeys(("scheduledAt", "startedAt", "completedAt", "updatedAt"), CREATED)
    shown = presented(action(**moments))
    assert all(SHOWN_MOMENT.fullmatch(shown[name]) for name in ("createdAt", *moments))


# Statistics


@given(st.integers(0, 10**9), st.integers(0, 10**9), st.sampled_from(list(Status)), st.floats(0, 1e6))
def test_processed_and_pending_make_the_total(processed: int, pending: int, status: Status, seconds: float) -> None:
    shown = statistics(
        action(status=status, totalCount=processed + pending, processedCount=processed, startedAt=CREATED),
        CREATED + timedelta(seconds=seconds),
    )
    assert shown["processedCount"] + shown["pendingCount"] == shown["totalCount"] == processed + pending
    assert shown["rowsPerSecond"] >= 0
    assert shown["etaSeconds"] is None or shown["etaSeconds"] >= 0


def test_the_rate_is_the_mean_since_the_start_and_the_rest_takes_as_long_per_row() -> None:
    counted = action(totalCount=1000, processedCount=250, startedAt=CREATED)
    shown = statistics(counted, CREATED + timedelta(seconds=10))
    assert (shown["rowsPerSecond"], shown["pendingCount"], shown["etaSeconds"]) == (25.0, 750, 30.0)


@pytest.mark.parametrize(
    "fields", [{"status": Status.SCHEDULED}, {"status": Status.QUEUED}, {"startedAt": CREATED, "processedCount": 0}]
)
def test_the_time_left_is_null_while_it_cannot_be_told(fields: dict[str, Any]) -> None:
    shown = statistics(action(totalCount=10, **fields), CREATED + timedelta(seconds=5))
    assert (shown["rowsPerSecond"], shown["etaSeconds"], shown["pendingCount"]) == (0.0, None, 10)


@pytest.mark.parametrize("status", sorted(ENDED))
def test_an_ended_action_needs_no_more_time_and_its_rate_stays(status: Status) -> None:
    ended = action(
        status=status,
        totalCount=100,
        processedCount=50,
        startedAt=CREATED,
        completedAt=CREATED + timedelta(seconds=5),
    )
    soon, late = (statistics(ended, CREATED + timedelta(seconds=after)) for after in (5, 5000))
    assert soon == late
    assert (soon["etaSeconds"], soon["rowsPerSecond"]) == (0.0, 10.0)


@pytest.mark.parametrize("after_seconds", [0, -60])
def test_a_clock_that_stands_still_or_runs_back_gives_finite_figures(after_seconds: int) -> None:
    counted = action(totalCount=10, processedCount=5, startedAt=CREATED)
    shown = statistics(counted, CREATED + timedelta(seconds=after_seconds))
    assert shown["rowsPerSecond"] == 5000.0
    assert shown["etaSeconds"] == 0.0


def test_statistics_name_every_counter_of_the_design() -> None:
    shown = statistics(action(), CREATED)
    names = {"pendingCount", "duplicateCount", "createdCount", "updatedCount", "rowsPerSecond", "etaSeconds"}
    assert names | {name for name in DOCUMENTED if name.endswith("Count")} | {"actionId"} <= set(shown)


def test_a_schedule_may_be_so_far_ahead() -> None:
    now = datetime(2030, 1, 1, tzinfo=UTC)
    check_schedule(None, now, 1)
    check_schedule(now + timedelta(days=366), now, 366)
    with pytest.raises(ValueError, match="at most 366 days ahead, and is 2031-01-02T00:00:01"):
        check_schedule(now + timedelta(days=366, seconds=1), now, 366)


def test_a_list_leaves_the_columns_to_the_single_action() -> None:
    """They may be hundreds, with names of any length."""
    assert presented(action()).keys() - listed(action()).keys() == {"mapping", "ignoredColumns"}
