"""How many rows may fail: how that is read, and when it is exceeded."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.failure_limits import MIN_ROWS, CommonFailure, FailureLimit, stop_reason
from app.domain.outcomes import Counts
from app.domain.progress import Progress


@pytest.mark.parametrize("text", ["0", "100", "4294967295", "0%", "5%", "0.5%", "12.3456%", "100%", " 5% ", "5 %"])
def test_limits_are_read(text: str) -> None:
    """A number of rows, or a share; read again from its own text, it is the same."""
    limit = FailureLimit.parse(text)
    assert (limit.rows is None) != (limit.share is None)
    assert FailureLimit.parse(limit.text) == limit


@pytest.mark.parametrize(
    "text",
    ["", "some", "-1", "1.5", "1e3", "4294967296", "101%", "5%%", "%", "5.%", ".5%", "1.23456%", "٣", "5\n6", "9" * 99],
)
def test_no_limit_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^maxFailures must be a number of rows such as 100, or a share") as refused:
        FailureLimit.parse(text)
    assert len(str(refused.value)) < 150


@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_a_number_may_be_reached(limit: int, failed: int) -> None:
    """One more is too many; so 0 stops at the first."""
    assert FailureLimit.parse(str(limit)).exceeded(Counts(failure=failed)) == (failed > limit)


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10_000))
def test_a_share_is_of_the_rows_that_have_run(failed: int, succeeded: int, hundredths: int) -> None:
    """Exactly, and not before the first thousand."""
    limit = FailureLimit.parse(f"{hundredths / 100:.2f}%")
    run = failed + succeeded
    exceeded = run >= MIN_ROWS and failed * 10_000 > hundredths * run
    assert limit.exceeded(Counts(success=succeeded, failure=failed)) == exceeded


def test_duplicates_are_no_failures() -> None:
    assert not FailureLimit.parse("0%").exceeded(Counts(success=1, skipped=5000, duplicate=5000))


def test_the_reason_says_what_is_wrong() -> None:
    limit = FailureLimit.parse("5%")
    common = (CommonFailure("INVALID_EMAIL", "email", 90, 3), CommonFailure("WRONG_FIELD_COUNT", None, 7, 4))
    assert stop_reason(limit, Counts(success=1900, failure=126), common) == (
        "126 of 2,026 rows have failed, and maxFailures is 5%. Most often: INVALID_EMAIL in email, WRONG_FIELD_COUNT."
    )
    assert stop_reason(limit, Counts(failure=9), ()) == "9 of 9 rows have failed, and maxFailures is 5%."


def test_progress_carries_the_limit() -> None:
    """Its table keeps it, and a state of an older version has none."""
    limited = Progress(3).limited(FailureLimit.parse("1"))
    assert Progress.from_value(limited.to_value()) == limited
    assert Progress.from_value(Progress(3).to_value()).failure_limit is None
    assert limited.exceeded is None
    assert limited.count(0, Counts(failure=2)).exceeded == limited.failure_limit
    assert Progress(3).count(0, Counts(failure=2)).exceeded is None


def test_progress_knows_what_is_in_flight() -> None:
    progress = Progress(9).advanced(5).count(1, Counts()).count(3, Counts())
    assert progress.in_flight() == [0, 2, 4]
