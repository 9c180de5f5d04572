"""What a search may ask for is read, and everything else is refused in words that name the mistake."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.events import EventType, Level
from web.errors.problem import ApiError
from web.views.search import LogsQuery, SearchQuery, _read_cursor, _written

ANY_TEXT = st.text(st.characters())


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        ({"q": "x" * 201}, "q must have at most 200 characters."),
        ({"q": "a\x00b"}, "q must have no control characters."),
        ({"q": "***"}, "q must have a letter or a digit."),
        ({"level": "fatal"}, "level must be one of info, warning, error."),
        ({"type": "row.fail"}, "did you mean row.failed?"),
        ({"status": "DONE"}, "status must be one of OPEN"),
        ({"code": "a b"}, "code must be a code"),
        ({"row": "0"}, "row must be the number of a row, from 1."),
        ({"row": "1.5"}, "row must be"),
        ({"row": "9" * 40}, "row must be"),
        ({"from": "yesterday"}, "from must be a date"),
        ({"to": "0000-01-01"}, "to must be a date"),
        ({"from": "2026-02-01", "to": "2026-01-01"}, "from must be before to."),
        ({"actionId": "x"}, "actionId must be the id of an action"),
        ({"recordId": "x" * 300}, "recordId must have at most 256 characters."),
        ({"cursor": "x"}, "cursor must be"),
        ({"level ": "info"}, "no query parameter"),
        ({"limit": "501"}, "limit must be"),
    ],
)
def test_mistakes_are_named(sent: dict[str, str], words: str) -> None:
    with pytest.raises(ApiError) as error:
        SearchQuery.read(sent).search("mine", security=False)
    assert error.value.status == 400
    assert words in error.value.message


def test_values_are_read() -> None:
    """In the form in which events have them."""
    asked = SearchQuery.read(
        {
            "q": " Email ",
            "level": "ERROR",
            "type": "Row.Failed",
            "status": "failed",
            "email": " Ada@Example.com",
            "entityType": "contact",
            "from": "2026-01-31T10:00:00 01:00",
            "to": "2026-02-01",
            "row": "",
        }
    )
    search = asked.search("mine", security=True, entity_type=asked.entity_type)
    assert [term.words for term in search.terms] == [("email",)]
    assert (search.level, search.type, search.status) == (Level.ERROR, EventType.ROW_FAILED, "FAILED")
    assert (search.email, search.entity_type, search.row) == ("ada@example.com", "Contact", None)
    assert search.since == datetime(2026, 1, 31, 9, tzinfo=UTC)
    assert search.until == datetime(2026, 2, 1, tzinfo=UTC)


@pytest.mark.parametrize("name", ["entityType", "actionId"])
def test_logs_are_of_one_action(name: str) -> None:
    """What the path says cannot be said again."""
    with pytest.raises(ApiError, match="no query parameter"):
        LogsQuery.read({name: "Contact"})


@given(st.dictionaries(st.sampled_from(SearchQuery.names()), ANY_TEXT))
def test_any_text_is_read_or_refused(sent: dict[str, str]) -> None:
    """Nothing that is sent is more than a bad request."""
    try:
        SearchQuery.read(sent).search("mine", security=False)
    except ApiError as error:
        assert error.status == 400


@given(st.lists(st.integers(-(2**60), 2**60) | st.text(max_size=20), min_size=1, max_size=5))
def test_cursors_come_back(place: list[Any]) -> None:
    try:
        assert _read_cursor(_written(tuple(place))) == tuple(place)
    except ApiError as error:
        assert len(_written(tuple(place))) > 600 or error.status == 400
