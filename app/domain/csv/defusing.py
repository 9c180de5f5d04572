"""Cells that a spreadsheet would run as a formula, made harmless and restored exactly.

A cell of an uploaded file may begin with a sign that makes a spreadsheet run it (OWASP, "CSV Injection"). What is made
to be opened in one has an apostrophe in front of such a cell, and in front of one that looks so already: an apostrophe
less is then what the cell was, whatever it was.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

#: Signs with which a formula or a command may begin, also in their wide form; and what hides them.
_SIGNS = "=+\\-@\t\r\n＝＋－＠"
_RUNS = re.compile(f"'*[{_SIGNS}]")
_DEFUSED = re.compile(f"'+[{_SIGNS}]")
#: What a cell begins with that is worth a closer look.
_SUSPECT = frozenset("'=+-@\t\r\n＝＋－＠")


def defuse(cell: str) -> str:
    """Return a cell as a spreadsheet may open it."""
    return f"'{cell}" if cell[:1] in _SUSPECT and _RUNS.match(cell) else cell


def restore(cell: str) -> str:
    """Return a cell as it was before :func:`defuse`."""
    return cell[1:] if cell[:1] == "'" and _DEFUSED.match(cell) else cell


def defuse_all(cells: Sequence[str]) -> Sequence[str]:
    """Return the cells of a row as a spreadsheet may open them."""
    return [defuse(cell) if cell[:1] in _SUSPECT else cell for cell in cells]


def restore_all(cells: Sequence[str]) -> list[str]:
    """Return the cells of a row as they were before :func:`defuse_all`."""
    return [restore(cell) for cell in cells]


class LineDefuser:
    """Does it for rows without quotes as they are written, of which each is a line."""

    def __init__(self, delimiter: str) -> None:
        signs = "".join(sign for sign in _SUSPECT if sign not in f"'\r\n{delimiter}")
        self._cell = re.compile(f"(^|{re.escape(delimiter)})(?='*[{re.escape(signs)}])")
        self._first_bytes = sorted({sign.encode()[0] for sign in f"'{signs}"})
        self._before = np.zeros(256, np.bool_)
        self._before[[*b"\r\n", ord(delimiter)]] = True

    def defuse(self, line: str) -> str:
        """Return a row as a spreadsheet may open it."""
        return self._cell.sub(r"\1'", line)

    def finds(self, data: bytes) -> bool:
        """Tell whether any of many rows may have such a cell; most of the signs are nowhere, which is seen quickly."""
        view = np.frombuffer(data, np.uint8)
        return any(
            data[0] == byte or bool(self._before[view[np.flatnonzero(view == byte) - 1]].any())
            for byte in self._first_bytes
            if byte in data
        )
