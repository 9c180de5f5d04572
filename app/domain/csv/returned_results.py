"""Results files that are uploaded: their columns, and their rows as those of the file that they were made of.

A results file has the rows of an upload, made safe for spreadsheets, and columns of ours behind them
(``app/domain/result_files.py``). It may be corrected and uploaded as it is.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from app.domain.csv.defusing import restore_all

ROW: Final = "_row"
CODE: Final = "_code"
RESULT_COLUMNS: Final = (ROW, "_status", CODE, "_column", "_message", "_recordId")

#: Stands in a results file for what could not be read (U+FFFD), and for us in a text for a byte that is no character.
REPLACEMENT, _UNREADABLE = "\ufffd", "\udcff"
#: Codes of rows that may have had fewer cells than the header; empty ones were put in their place.
_FILLED_UP: Final = frozenset({"WRONG_FIELD_COUNT", "UNTERMINATED_QUOTE"})


def is_of_results(names: Collection[str]) -> bool:
    """Tell by its columns whether a file is a results file: one that has lost its other columns still has ``_row``."""
    return ROW in names


def is_result_column(name: str) -> bool:
    """Tell whether a column of a results file was not in the file that it is made of."""
    return name in RESULT_COLUMNS


def as_uploaded(records: Sequence[Sequence[str]], names: Sequence[str]) -> list[list[str]]:
    """Return records of a results file as those of the file that it was made of.

    Apostrophes in front of formulas are taken off. A character that could not be read, and was not corrected, is none
    now either; and a row that was too short is so again as long as the last of its cells is empty.
    """
    restored = [[cell.replace(REPLACEMENT, _UNREADABLE) for cell in restore_all(record)] for record in records]
    sent = [place for place, name in enumerate(names) if not is_result_column(name)]
    if CODE in names and sent:
        code, last = names.index(CODE), sent[-1]
        for record in restored:
            if len(record) == len(names) and record[code] in _FILLED_UP and not record[last]:
                del record[last]
    return restored
