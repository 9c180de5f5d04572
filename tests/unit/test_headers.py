"""The history of a message: it travels unchanged, grows by one with each failure, and is never a reason to fail."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.dead_letters import Origin
from app.kafka.retry_headers import RetryHeaders
from tests.support.fakes import event

TEXT = st.text(st.characters(codec="utf-8"))
HANDOVERS = st.builds(
    RetryHeaders,
    origin=st.builds(Origin, TEXT, st.integers(0, 10**6), st.integers(0, 2**63 - 1)),
    retry_count=st.integers(0, 1000),
    first_failure=st.datetimes().map(datetime.isoformat),
    error=st.text(st.characters(codec="utf-8"), max_size=1000),
    due=st.integers(0, 4 * 10**12).map(lambda milliseconds: milliseconds / 1000),
)
GOOD = RetryHeaders(Origin("bulk", 3, 14), 2, "2026-01-31T09:00:00.000+00:00", "it failed", 1700000000.5).to_headers()


@given(HANDOVERS)
def test_history_round_trip(retry_headers: RetryHeaders) -> None:
    """A history comes back as it was sent."""
    headers = retry_headers.to_headers()
    assert RetryHeaders.read(headers) == RetryHeaders.read(list(headers.items())) == retry_headers


@given(HANDOVERS)
def test_headers_have_documented_names(retry_headers: RetryHeaders) -> None:
    """Headers are bytes under the documented names."""
    headers = retry_headers.to_headers()
    assert all(isinstance(value, bytes) for value in headers.values())
    documented = {"origin-topic", "origin-partition", "origin-offset", "retry-count", "attempt"}
    assert set(headers) - {"due"} == documented | {"first-failure", "error-message"}
    assert ("due" in headers) == bool(retry_headers.due)


def test_long_error_is_shortened() -> None:
    """A long error is shortened so that the message stays small."""
    retry_headers = RetryHeaders(Origin("bulk", 3, 14), 0, "", "ä" * 100_000)
    assert retry_headers.to_headers()["error-message"].decode() == "ä" * 1000


def test_first_failure_names_origin() -> None:
    """The first failure names the place that the event came from."""
    first = RetryHeaders.first(event(topic="bulk.feed", partition=7, offset=0), "it failed")
    assert (first.origin, first.retry_count, first.error, first.due) == (Origin("bulk.feed", 7, 0), 0, "it failed", 0)
    assert datetime.fromisoformat(first.first_failure).tzinfo is not None


def test_further_failures_keep_origin() -> None:
    """Each further failure counts one, and keeps the origin and the time of the first."""
    first = RetryHeaders.after(event(), "one")
    assert (first.retry_count, first.error) == (1, "one")
    second = RetryHeaders.after(event(topic="bulk.retry.1", offset=99, headers=first.to_headers()), "two")
    assert (second.retry_count, second.error) == (2, "two")
    assert (second.origin, second.first_failure) == (Origin("bulk", 3, 14), first.first_failure)


def test_due_time_changes_nothing_else() -> None:
    """The time when it is due changes nothing else."""
    retry_headers = RetryHeaders.read(GOOD)
    assert retry_headers is not None
    later = retry_headers.due_at(1800000000.25)
    assert later.due == 1800000000.25
    assert later.due_at(retry_headers.due) == retry_headers


@pytest.mark.parametrize("headers", [None, {}, [], (), {"other": b"1"}, [("traceparent", b"\xff")]])
def test_no_history_without_headers(headers: Any) -> None:
    """A message without a history has none."""
    assert RetryHeaders.read(headers) is None
    assert RetryHeaders.after(event(headers=headers), "failed").retry_count == 1


@pytest.mark.parametrize("name", [name for name in GOOD if name not in {"due", "attempt"}])
def test_partial_history_is_none(name: str) -> None:
    """A history with a part missing is none."""
    assert RetryHeaders.read({key: value for key, value in GOOD.items() if key != name}) is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("origin-topic", b"\xff"),
        ("origin-partition", b""),
        ("origin-partition", b"three"),
        ("origin-offset", b"1.5"),
        ("origin-offset", b"\xff\xfe"),
        ("retry-count", b"many"),
        ("first-failure", b"\xff"),
        ("error-message", b"\xff"),
        ("error-message", b"x" * 1_000_000),
        ("origin-topic", b"x" * 1_000_000),
        ("origin-partition", b"9" * 15),
        ("origin-offset", b"9" * 4000),
        ("retry-count", b"9" * 15),
        ("attempt", b"9" * 15),
        ("attempt", b"-1e3"),
        ("full-length", b"9" * 4000),
        ("due", b"nan"),
        ("due", b"inf"),
        ("due", b"soon"),
        ("due", b""),
    ],
)
def test_unreadable_history_is_none(name: str, value: bytes) -> None:
    """A history that cannot be read is none."""
    assert RetryHeaders.read({**GOOD, name: value}) is None
    assert RetryHeaders.after(event(headers={**GOOD, name: value}), "failed").retry_count == 1


@pytest.mark.parametrize("name", list(GOOD))
def test_header_without_value(name: str) -> None:
    """A header without a value, which Kafka allows, makes the history unreadable."""
    assert RetryHeaders.read([*GOOD.items(), (name, None)]) is None


@given(st.dictionaries(st.sampled_from([*GOOD, "other"]), st.none() | st.binary(max_size=20)))
def test_any_headers_are_history_or_none(headers: dict[str, Any]) -> None:
    """Headers of any kind are a history or none."""
    RetryHeaders.read(headers)


def test_undecodable_error_is_kept() -> None:
    """An error with what cannot be UTF-8 is passed on all the same."""
    headers = RetryHeaders.after(event(), "a file name: M\udcfcller.csv").to_headers()
    read = RetryHeaders.read(headers)
    assert read is not None
    assert read.error.startswith("a file name: M")
