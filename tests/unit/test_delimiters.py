"""The delimiter that a file's header and first rows show."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.csv.delimiters import DELIMITER_NAMES, SAMPLE_BYTES, DelimiterSource, Guess, guess_delimiter

COLUMNS = ("id", "name", "email", "status")
DELIMITERS = st.sampled_from(list(DELIMITER_NAMES))


def rows(delimiter: str, *records: tuple[str, ...]) -> bytes:
    return "".join(delimiter.join(record) + "\n" for record in (COLUMNS, *records)).encode()


@pytest.mark.parametrize("delimiter", DELIMITER_NAMES)
@pytest.mark.parametrize("wanted", [(), COLUMNS, ("ID", "Kunde")])
@pytest.mark.parametrize(
    "records", [(), (("1", "Ada", "a@b.co", "active"),), (("1", '"Lovelace,; Ada"', "a@b.co", "active"),) * 9]
)
def test_delimiter_is_detected(delimiter: str, wanted: tuple[str, ...], records: tuple[tuple[str, ...], ...]) -> None:
    """Header and rows show the delimiter, whether anything is known of the columns or not."""
    assert guess_delimiter(rows(delimiter, *records), wanted) == (delimiter, DelimiterSource.DETECTED)


@pytest.mark.parametrize(
    ("text", "delimiter"),
    [
        ("id;price\n1;3,50\n2;4,20\n", ";"),
        ("name, first;id\nLovelace, Ada;1\nBo;2\n", ";"),
        ("a|b,c|d\n1|2|3\n", "|"),
        ("id,name;s\n1,A\n2,B\n3,C;D\n", ","),
        ("\n\nid\tname\n1\tA, B\n", "\t"),
        ('"id";"name; or, not"\n1;2\n', ";"),
        ("\ufeffid;name\n", ";"),
    ],
)
def test_rows_decide_between_delimiters(text: str, delimiter: str) -> None:
    """Of several that could be, the one is taken that divides the rows as the header."""
    assert guess_delimiter(text.encode()).delimiter == delimiter


def test_wanted_columns_have_precedence() -> None:
    """A delimiter that finds the columns wins over one that divides the rows more evenly."""
    text = b"id,name;x\n1,A\n2,B;y\n3;z\n4;z\n"
    assert guess_delimiter(text).delimiter == ";"
    assert guess_delimiter(text, ["ID"]).delimiter == ","


@pytest.mark.parametrize("text", [b"", b"id\n1\n2\n", b"\xff\xfe", b"\n\n", b",,\n" * 9])
def test_single_column_has_a_comma(text: bytes) -> None:
    """Where nothing shows a delimiter the comma is taken, and said to be a default."""
    assert guess_delimiter(text, COLUMNS) == (",", DelimiterSource.DEFAULT)


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_declared_delimiter_wins(mark: bytes) -> None:
    """A first line that names the delimiter has the last word."""
    assert guess_delimiter(mark + b"sep=|\nid;name\n1;2\n") == Guess("|", DelimiterSource.DECLARED)


def test_cut_sample_is_no_matter() -> None:
    """What lies behind the sample, and the row that its end cuts in two, change nothing."""
    row = ("1", "Ada " * 200, "a@b.co", "active")
    data = rows(";", *[row] * 500)
    assert len(data) > SAMPLE_BYTES
    for cut in range(0, 1000, 7):
        assert guess_delimiter(data[: SAMPLE_BYTES - cut]).delimiter == ";"


@given(st.binary(max_size=300), st.lists(st.text(max_size=5), max_size=4))
def test_any_start_has_a_delimiter(start: bytes, wanted: list[str]) -> None:
    """Whatever a file begins with, one of the possible delimiters is returned."""
    assert guess_delimiter(start, wanted).delimiter in DELIMITER_NAMES


@given(
    st.lists(
        st.tuples(st.integers(), st.text("abcé,;|\t \"'\n\r", max_size=20), st.text('xy,;|\t"', max_size=9)),
        min_size=1,
        max_size=30,
    ),
    DELIMITERS,
)
def test_written_files_are_detected(records: list[tuple[int, str, str]], delimiter: str) -> None:
    """A file that was written with quotes where they are needed is read with its own delimiter."""
    quoted = [[f'"{str(value).replace(chr(34), chr(34) * 2)}"' for value in record] for record in records]
    text = "".join(delimiter.join(record) + "\r\n" for record in [["id", "name", "note"], *quoted])
    assert guess_delimiter(text.encode(), ["id", "name"]).delimiter == delimiter
