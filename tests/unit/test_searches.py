"""Which events a search finds: one account's, with every word, and nothing that is a query language."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.events import Event, EventType, Level
from app.domain.searches import MAX_TERMS, MAX_TEXT, Search, counts_of, marks, terms_of
from tests.support.clocks import PAST

EVENT = Event(
    id="a:r3",
    at=PAST,
    account_id="mine",
    type=EventType.ROW_FAILED,
    level=Level.ERROR,
    message='email is not an email address: "Nobody"',
    action_id="6b04d285235ca65e4442eb33",
    entity_type="Contact",
    status="FAILED",
    code="INVALID_EMAIL",
    chunk=0,
    row=3,
    record_id="G-1",
    email="ada@example.com",
)


def finds(text: str | None = None, event: Event = EVENT, **wanted: Any) -> bool:
    return Search(**{"account_id": "mine", "terms": terms_of(text) if text else (), **wanted}).finds(event)


@pytest.mark.parametrize(
    "text",
    [
        *("email", "EMAIL Address", "nobody", '"nobody"', "address: not"),
        *("INVALID_EMAIL", "ada@example.com", "ADA@Example.com", "g-1", "6B04D285235CA65E4442EB33", "row.failed"),
        *("email ada@example.com", "INVALID_EMAIL nobody", "email * - \\"),
    ],
)
def test_words_are_found(text: str) -> None:
    """Words of the message in any case and order; ids, addresses and codes as a whole."""
    assert finds(text)


@pytest.mark.parametrize(
    "text",
    [
        *("mail", "email missing", "ada", "example.com", "ada@example.co", "INVALID_MAIL", "6b04d285235ca65e4442eb34"),
        *("*", "em*", "/.*/", "accountId:mine OR *:*", "_exists_:email", "email~2", "email OR nothing", "NOT missing"),
        *('{"match_all": {}}', "email^9", "' || true", "email -nothing"),
    ],
)
def test_nothing_else_is_found(text: str) -> None:
    """Parts of words, and what would be something in a query language, are words that no message has."""
    try:
        terms_of(text)
    except ValueError as error:
        assert "must have a letter" in str(error)
    else:
        assert not finds(text)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({"level": Level.ERROR}, True),
        ({"level": Level.INFO}, False),
        ({"code": "INVALID_EMAIL"}, True),
        ({"code": "invalid_email"}, False),
        ({"status": "SKIPPED"}, False),
        ({"type": EventType.ROW_FAILED}, True),
        ({"entity_type": "Lead"}, False),
        ({"row": 3}, True),
        ({"row": 4}, False),
        ({"record_id": "G-1"}, True),
        ({"record_id": "g-1"}, False),
        ({"email": "ada@example.com"}, True),
        ({"action_id": "0" * 24}, False),
        ({"since": PAST}, True),
        ({"since": PAST + timedelta(milliseconds=1)}, False),
        ({"until": PAST}, False),
        ({"until": PAST + timedelta(milliseconds=1)}, True),
        ({"account_id": "other"}, False),
    ],
)
def test_fields_are_compared(wanted: dict[str, Any], found: bool) -> None:
    assert finds(**wanted) is found


@pytest.mark.parametrize(("row", "found"), [(4, False), (5, True), (8, True), (9, False)])
def test_rows_of_dead_chunk_are_found(row: int, found: bool) -> None:
    """They have no events of their own; those of a chunk that was completed have."""
    event = replace(EVENT, type=EventType.CHUNK_DEAD, row=None, first_row=5, last_row=8)
    assert finds(event=event, row=row) is found
    assert not finds(event=replace(event, type=EventType.CHUNK_COMPLETED), row=row)


@pytest.mark.parametrize("security", [True, False])
def test_security_is_for_admins(security: bool) -> None:
    """What only admins are shown is found only by a search that says so."""
    event = replace(EVENT, type=EventType.CREDENTIAL_REFUSED)
    assert finds(event=event, security=security) is security


def test_nobodys_events_are_not_found() -> None:
    """What belongs to no known account belongs to no searcher."""
    assert not finds(event=replace(EVENT, account_id=None))


@pytest.mark.parametrize("text", ["", "  ", "*", "x" * (MAX_TEXT + 1), "a " * (MAX_TERMS + 1)])
def test_bad_texts_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must have"):
        terms_of(text)


def test_marks_are_offsets() -> None:
    """The words of the query, where they stand in the message; those that name something mark nothing."""
    spans = marks(EVENT.message, terms_of("EMAIL nobody ada@example.com"))
    assert [EVENT.message[begin:end] for begin, end in spans] == ["email", "email", "Nobody"]
    assert marks(EVENT.message, ()) == []


@given(st.text(max_size=60), st.text(max_size=20))
def test_marks_are_inside(message: str, text: str) -> None:
    """Whatever is asked for: marks are in order, do not overlap, and end in the message."""
    try:
        spans = marks(message, terms_of(text))
    except ValueError:
        return
    edges = [edge for span in spans for edge in span]
    assert edges == sorted(edges)
    assert all(0 <= edge <= len(message) for edge in edges)


@given(st.text(max_size=200))
def test_no_text_finds_other_accounts(text: str) -> None:
    """No text of a query finds the event of another account."""
    with suppress(ValueError):
        assert not finds(text, account_id="other")


def test_counts_are_per_value() -> None:
    counts = counts_of([EVENT, EVENT, replace(EVENT, code=None, at=PAST + timedelta(days=1))])
    assert counts["code"] == {"INVALID_EMAIL": 2}
    assert counts["day"] == {"2020-01-31": 2, "2020-02-01": 1}
    assert counts["entity"] == {"Contact": 3}
