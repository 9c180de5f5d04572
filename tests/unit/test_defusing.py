"""Cells that a spreadsheet would run: made harmless, and restored exactly."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.csv.defusing import LineDefuser, defuse, defuse_all, restore, restore_all

CELLS = st.text("'=+-@\t\r\n ＝＋－＠aé1", max_size=8)


@pytest.mark.parametrize(
    ("cell", "shown"),
    [
        ("=1+1", "'=1+1"),
        ("+49 30 1", "'+49 30 1"),
        ("-5", "'-5"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        ("\r=1", "'\r=1"),
        ("\n=1", "'\n=1"),
        ("＝1", "'＝1"),
        ("'=1", "''=1"),
        ("'", "'"),
        ("'Tis", "'Tis"),
        ("O'Neil", "O'Neil"),
        ("a=1", "a=1"),
        (" =1", " =1"),
        ("", ""),
    ],
)
def test_formulas_get_an_apostrophe(cell: str, shown: str) -> None:
    """What would run, and what looks as if that had been done to it, gets an apostrophe, and nothing else does."""
    assert defuse(cell) == shown
    assert restore(shown) == cell


@given(st.one_of(CELLS, st.text(max_size=20)))
def test_every_cell_comes_back(cell: str) -> None:
    """Every cell is what it was when the apostrophe is taken off again, and nothing that is shown would run."""
    shown = defuse(cell)
    assert restore(shown) == cell
    assert not shown.startswith(tuple("=+-@\t\r\n＝＋－＠"))


@given(st.lists(CELLS, max_size=5))
def test_rows_are_their_cells(cells: list[str]) -> None:
    assert list(defuse_all(cells)) == [defuse(cell) for cell in cells]
    assert restore_all(cells) == [restore(cell) for cell in cells]


@given(
    st.lists(st.lists(st.text("'=+-@\t ＝aé1", max_size=5), min_size=3, max_size=3), min_size=1, max_size=9),
    st.sampled_from(",;|\t"),
)
def test_lines_are_their_cells(rows: list[list[str]], delimiter: str) -> None:
    """A row as it is written becomes what its cells become one by one, and none is missed in a look at all rows."""
    rows = [[cell.replace(delimiter, "") for cell in row] for row in rows]
    lines = [delimiter.join(row) for row in rows]
    expected = [delimiter.join(map(defuse, row)) for row in rows]
    defuser = LineDefuser(delimiter)
    assert [defuser.defuse(line) for line in lines] == expected
    assert defuser.finds("\n".join(["", *lines]).encode()) or lines == expected
