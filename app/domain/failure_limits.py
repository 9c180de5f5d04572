"""How many rows of an action may fail before it is paused, and what is told of those that did."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Self

from app.domain.outcomes import Counts

#: A share means something only when so many rows have run.
MIN_ROWS = 1000
#: The most rows that an action has, so that a larger number is a mistake.
_MOST_ROWS = 2**32 - 1

_LIMIT = re.compile(r"(?P<number>[0-9]{1,10})|(?P<percent>[0-9]{1,3}(\.[0-9]{1,4})?) ?%")


@dataclass(frozen=True, slots=True)
class FailureLimit:
    """The rows that may fail: a number of them, or a share of those that have run.

    Attributes:
        text: The limit as it was asked for.
        rows: The number; None: it is a share.
        share: The share, from 0 to 1; None: it is a number.
    """

    text: str
    rows: int | None = None
    share: Fraction | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a limit: ``100``, or ``5%``.

        Raises:
            ValueError: it is none, in the words of the person who sent it.
        """
        match = _LIMIT.fullmatch(text.strip())
        if match is not None and match["number"] is not None and int(match["number"]) <= _MOST_ROWS:
            return cls(match["number"], rows=int(match["number"]))
        if match is not None and match["percent"] is not None and (share := Fraction(match["percent"]) / 100) <= 1:
            return cls(f"{match['percent']}%", share=share)
        raise ValueError(
            f"maxFailures must be a number of rows such as 100, or a share such as 5%, not {text.strip()[:40]!r}."
        )

    def exceeded(self, counts: Counts) -> bool:
        """Tell whether more rows have failed than may; a share says so from ``MIN_ROWS`` rows on."""
        if self.rows is not None:
            return counts.failure > self.rows
        return counts.processed >= MIN_ROWS and counts.failure > (self.share or 0) * counts.processed


@dataclass(frozen=True, slots=True)
class CommonFailure:
    """A kind of failure: its code, the column that is wrong, how many rows have it, and the first of them."""

    code: str
    column: str | None
    count: int
    first_row: int

    def to_document(self) -> dict[str, Any]:
        """Return what the action stores."""
        return {"code": self.code, "column": self.column, "count": self.count, "firstRow": self.first_row}

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        """Read what the action stores."""
        return cls(document["code"], document["column"], document["count"], document["firstRow"])

    def __str__(self) -> str:
        return self.code if self.column is None else f"{self.code} in {self.column}"


def stop_reason(limit: FailureLimit, counts: Counts, common: tuple[CommonFailure, ...]) -> str:
    """Return why an action is paused that has exceeded its limit, for a person."""
    told = f"{counts.failure:,} of {counts.processed:,} rows have failed, and maxFailures is {limit.text}."
    return f"{told} Most often: {', '.join(map(str, common))}." if common else told
