"""Which rows of another file the rows of a file are."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from app.domain.row_map import byte_range, pack, runs, unpack

NUMBERS = st.lists(st.integers(1, 2**32), unique=True).map(sorted)


@given(NUMBERS)
def test_any_part_is_read(numbers: list[int]) -> None:
    data = pack(numbers)
    assert unpack(data) == numbers
    for row in range(1, len(numbers) + 1):
        begin, end = byte_range(row, row)
        assert unpack(data[begin:end]) == [numbers[row - 1]]


@given(NUMBERS)
def test_runs_have_all_rows_once(rows: list[int]) -> None:
    """And never much that is not wanted."""
    found = list(runs(rows))
    assert all(first <= last for first, last in found)
    assert all(before[1] < after[0] for before, after in pairwise(found))
    assert [row for row in rows if any(first <= row <= last for first, last in found)] == rows
    assert sum(last - first + 1 for first, last in found) <= len(rows) * 4097
