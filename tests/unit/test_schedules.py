"""scheduledAt: any ISO 8601 date and time, and not too far ahead."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.domain.schedules import check_schedule, dispatch_pause, longest_pause, parse_schedule

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
def test_schedule_is_iso_8601(text: str, moment: datetime) -> None:
    """A schedule is any ISO 8601 date and time, and UTC when it names no offset."""
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
def test_bad_schedule_is_refused(text: str) -> None:
    """What is not a date and time is refused in the words of the person who sent it."""
    with pytest.raises(ValueError, match=r"^scheduledAt must be an ISO 8601 date and time such as ") as refused:
        parse_schedule(text)
    assert str(refused.value).endswith(f"not {text!r}.")
    str(refused.value).encode()


@pytest.mark.parametrize("value", [7, True, [], {}, 2030.5])
def test_a_schedule_is_text(value: object) -> None:
    """A JSON body may have anything as the time."""
    with pytest.raises(ValueError, match=r"^scheduledAt must be "):
        parse_schedule(value)


def test_long_schedule_is_quoted_shortly() -> None:
    """An endless schedule is quoted shortly."""
    with pytest.raises(ValueError) as refused:
        parse_schedule("9" * 100_000)
    assert len(str(refused.value)) < 200


ALMOST = st.from_regex(r"\A[0-9]{1,5}-?[0-9W]{1,3}-?[0-9]{0,2}.[0-9:]{0,9}([.,][0-9]{0,9})?([Zz]|[+-][0-9:]{0,6})?\Z")


@given(st.one_of(st.text(), st.text("0123456789-:TZW+. ", min_size=14, max_size=32), ALMOST))
@example("0000-01-01T00:00:00Z")
@example("2030-000T00:00:00Z")
@example("2030-W00-0T00:00")
def test_any_text_is_moment_or_refused(text: str) -> None:
    """Any text is a moment in UTC or a ValueError."""
    try:
        moment = parse_schedule(text)
    except ValueError as refused:
        assert str(refused).startswith("scheduledAt must be ")
    else:
        assert moment.utcoffset() == timedelta(0)


def test_a_schedule_may_be_so_far_ahead() -> None:
    now = datetime(2030, 1, 1, tzinfo=UTC)
    check_schedule(None, now, 1)
    check_schedule(now + timedelta(days=366), now, 366)
    with pytest.raises(ValueError, match="at most 366 days ahead, and is 2031-01-02T00:00:01"):
        check_schedule(now + timedelta(days=366, seconds=1), now, 366)


def test_pauses_of_a_start_double() -> None:
    """Up to a minute, so that a start is not late for long when the broker is back."""
    first = timedelta(seconds=5)
    pauses = [dispatch_pause(first, attempts).total_seconds() for attempts in range(7)]
    assert pauses == [5, 10, 20, 40, 60, 60, 60]
    assert dispatch_pause(first, 10**9) == longest_pause(first) == timedelta(seconds=60)
    assert dispatch_pause(timedelta(seconds=90), 3) == timedelta(seconds=90)
