"""Failures grouped by what is wrong: exact counts, the first rows, and a bounded number of groups."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from app.domain.failure_groups import FailureGroups
from app.domain.outcomes import RowOutcome

CODES, COLUMNS = st.sampled_from("AB"), st.sampled_from(["x", "y", None])


def failed(row: int, code: str = "INVALID_STATUS", column: str | None = "status", message: str = "no") -> RowOutcome:
    return RowOutcome(row, "FAILED", code, message, column)


def test_same_mistake_is_one_group() -> None:
    """Code, column and value make a group, which has the message and the numbers of its first rows."""
    groups = FailureGroups()
    for row in range(1, 31):
        groups.add(failed(row, message=f"row {row}"), "aktiv" if row % 3 else "x")
    groups.add(failed(31, column="name"), "aktiv")
    groups.add(failed(32, code="REQUIRED"), "aktiv")
    first, second = groups.largest(2)
    assert (first.value, first.count, first.message) == ("aktiv", 20, "row 1")
    assert (second.value, second.count, second.message) == ("x", 10, "row 3")
    assert first.rows == [1, 2, 4, 5, 7, 8, 10, 11, 13, 14]
    assert (groups.count, len(groups)) == (32, 4)
    assert [group.count for group in groups.largest(99)[2:]] == [1, 1]


def test_rows_as_a_whole_are_one_group() -> None:
    """Where no column is wrong the code makes the group; texts that the ledger keeps are told apart."""
    groups = FailureGroups()
    for row in (1, 2):
        groups.add(failed(row, "WRONG_FIELD_COUNT", None, f"The row has {row} fields."), None)
    for row, why in ((3, "a"), (4, "b"), (5, "b")):
        groups.add(failed(row, "DEAD_LETTER", None, why), None)
    shown = [(group.code, group.message, group.rows) for group in groups.largest(9)]
    assert shown == [
        ("WRONG_FIELD_COUNT", "The row has 1 fields.", [1, 2]),
        ("DEAD_LETTER", "b", [4, 5]),
        ("DEAD_LETTER", "a", [3]),
    ]


def test_long_values_are_shortened() -> None:
    """Of a large cell its beginning is kept, and still cells that differ at their end are told apart."""
    groups = FailureGroups()
    for row, end in ((1, "a"), (2, "b"), (3, "a")):
        groups.add(failed(row), "x" * 100_000 + end)
    groups.add(failed(4), "\x00\udcff" * 60)
    shown = [(group.rows, len(group.value or "")) for group in groups.largest(9)]
    assert shown == [([1, 3], 100), ([2], 100), ([4], 100)]


def test_too_many_values_are_one_group() -> None:
    """What comes when there are as many groups as there may be is counted together, for each code and column."""
    groups = FailureGroups(most=3)
    for row in range(1, 11):
        groups.add(failed(row), str(row))
    groups.add(failed(11, column="name"), "11")
    groups.add(failed(12), "1")
    assert (groups.count, len(groups)) == (12, 5)
    shown = [(group.column, group.value, group.various, group.count) for group in groups.largest(9)]
    assert shown == [
        ("status", None, True, 7),
        ("status", "1", False, 2),
        ("status", "2", False, 1),
        ("status", "3", False, 1),
        ("name", None, True, 1),
    ]


@given(st.lists(st.tuples(CODES, COLUMNS, st.text("ab", max_size=2)), max_size=60))
def test_counts_are_exact(failures: list[tuple[str, str | None, str]]) -> None:
    """Every failure is counted once, in one group, whatever the bound; below it each group is exact."""
    for most in (1, 1000):
        groups = FailureGroups(most)
        for row, (code, column, value) in enumerate(failures, 1):
            groups.add(failed(row, code, column), value)
        found = groups.largest(1000)
        assert sum(group.count for group in found) == groups.count == len(failures)
        assert all(len(group.rows) == min(group.count, 10) for group in found)
    assert {(g.code, g.column, g.value): g.count for g in found} == Counter(failures)
