"""What an answer is written in follows from what the client accepts."""

from __future__ import annotations

import pytest
from aiohttp.test_utils import make_mocked_request

from web.errors.problem import ApiError
from web.negotiation import preferred

CSV, NDJSON = "text/csv", "application/x-ndjson"


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, CSV),
        ("", CSV),
        ("*/*", CSV),
        ("text/*", CSV),
        ("application/x-ndjson", NDJSON),
        ("Application/X-NDJSON; charset=utf-8", NDJSON),
        ("application/*", NDJSON),
        ("text/csv, application/x-ndjson", CSV),
        ("text/csv;q=0.5, application/x-ndjson", NDJSON),
        ("text/csv;q=0, */*", NDJSON),
        ("*/*;q=0.1, application/x-ndjson;q=0.2", NDJSON),
        ("text/html, application/xhtml+xml, */*;q=0.8", CSV),
        ("application/x-ndjson;q=nonsense, text/csv;q=0.1", CSV),
        (",;,", None),
        ("application/json", None),
        ("*/*;q=0", None),
        ("application/x-ndjson;q=-1", None),
    ],
)
def test_preferred_type_is_taken(accept: str | None, expected: str | None) -> None:
    """The type that is wanted most is taken, the first where none is preferred; where none is wanted, 406 says so."""
    request = make_mocked_request("GET", "/", headers={} if accept is None else {"Accept": accept})
    if expected is not None:
        assert preferred(request, (CSV, NDJSON)) == expected
        return
    with pytest.raises(ApiError) as caught:
        preferred(request, (CSV, NDJSON))
    assert (caught.value.status, caught.value.code) == (406, "NOT_ACCEPTABLE")
