"""Actions whose rows come over Kafka: what they know of their chunks, and when all of these are there.

A chunk has a number from 0 on, its place among the chunks of its action: the index that its producer gives it, or the
one that it gets when it arrives. Its rows have numbers of their own, whatever chunks are there: those of chunk *n*
begin behind ``n * ROWS_PER_CHUNK``. A number that no chunk has is *vacant* once its action takes no more of them.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Self

from app.domain.csv.spans import Span

#: Most rows of a chunk, and so the numbers of rows that each chunk has.
ROWS_PER_CHUNK: Final = 10_000
#: Most chunks of an action: each is a bit of its progress.
MOST_CHUNKS: Final = 100_000
#: So many rows are expected where nobody has said how many there will be.
EXPECTED_ROWS: Final = 1_000_000

#: Chunks have a place in the file that they would be if they were stored in one: each in so many bytes of its own.
_BYTES_PER_CHUNK: Final = 2**32
#: Most numbers of missing chunks that are told.
_MOST_TOLD: Final = 20


class Numbering(StrEnum):
    """How the chunks of an action are numbered: one way for all of them, which the first one decides."""

    INDEX = "index"
    """By the index that each message has."""
    ARRIVAL = "arrival"
    """In the order in which they arrive: a message is known by its partition and offset."""


def first_row_of(number: int) -> int:
    """Return the number of the first row of a chunk."""
    return number * ROWS_PER_CHUNK + 1


def place_of(row: int) -> tuple[int, int]:
    """Return the chunk of a row, and its place in that, from 1."""
    number, before = divmod(row - 1, ROWS_PER_CHUNK)
    return number, before + 1


def new_token() -> str:
    """Return a token that nobody can guess."""
    return secrets.token_urlsafe(32)


def token_digest(token: str) -> str:
    """Return what is stored of a token. It is random, so that nothing is gained by a slow digest."""
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()


@dataclass(frozen=True, slots=True)
class Declared:
    """What an action is closed with: how many rows, or chunks, it has; None: it is not said."""

    rows: int | None = None
    chunks: int | None = None

    def __str__(self) -> str:
        return " in ".join(
            f"{count:,} {noun}{'' if count == 1 else 's'}"
            for count, noun in ((self.rows, "row"), (self.chunks, "chunk"))
            if count is not None
        )


class NotAStream(Exception):
    """The action has a file."""


class AlreadyClosed(Exception):
    """The action was closed with something else."""

    def __init__(self, declared: Declared) -> None:
        super().__init__(f"The action was closed with {declared}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """What an action knows of the chunks that it is sent.

    Attributes:
        token_digest: Of the token that each of them must have.
        numbering: How they are numbered; None: none has come.
        waiting_since: When the last of them came, or anything else happened that lets it wait for more.
        declared: What it was closed with; None: it is open for any number.
        closed_by: Who has closed it.
        backlog: Where the partitions of the chunk topic ended when it had waited for too long; None: it has not.
        arrived: How many chunks have arrived, about.
        refused: How many with the right token were refused.
        sealed: Whether it takes no more chunks, and knows exactly how many it has.
    """

    token_digest: str
    numbering: Numbering | None = None
    waiting_since: datetime
    declared: Declared | None = None
    closed_by: str | None = None
    backlog: tuple[int, ...] | None = None
    arrived: int = 0
    refused: int = 0
    sealed: bool = False

    def accepts(self, token: str | None) -> bool:
        """Tell whether a token is the right one, in a time that says nothing of it."""
        return hmac.compare_digest(token_digest(token or ""), self.token_digest)

    def to_document(self) -> dict[str, Any]:
        """Return what the action stores."""
        document: dict[str, Any] = {
            "tokenDigest": self.token_digest,
            "waitingSince": self.waiting_since,
            "arrived": self.arrived,
            "refused": self.refused,
            "sealed": self.sealed,
        }
        if self.numbering is not None:
            document["numbering"] = self.numbering
        if self.declared is not None:
            document["declared"] = {"rows": self.declared.rows, "chunks": self.declared.chunks}
        if self.closed_by is not None:
            document["closedBy"] = self.closed_by
        if self.backlog is not None:
            document["backlog"] = list(self.backlog)
        return document

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        """Read what the action stores."""
        numbering, declared, backlog = (document.get(name) for name in ("numbering", "declared", "backlog"))
        return cls(
            token_digest=document["tokenDigest"],
            numbering=None if numbering is None else Numbering(numbering),
            waiting_since=document["waitingSince"],
            declared=None if declared is None else Declared(declared["rows"], declared["chunks"]),
            closed_by=document.get("closedBy"),
            backlog=None if backlog is None else tuple(backlog),
            arrived=document["arrived"],
            refused=document["refused"],
            sealed=document["sealed"],
        )


@dataclass(frozen=True, slots=True)
class StreamChunk:
    """A chunk that has arrived, or a vacant number: that has no rows.

    Attributes:
        number: Its place among the chunks of its action.
        rows: How many it has.
        size: Bytes, as it lies in the storage.
        sha256: The digest of these, hexadecimal.
    """

    number: int
    rows: int = 0
    size: int = 0
    sha256: str = ""

    @property
    def vacant(self) -> bool:
        """Whether there is no such chunk."""
        return not self.rows

    def same_as(self, other: StreamChunk) -> bool:
        """Tell whether another chunk of this number has the same rows."""
        return (self.rows, self.size, self.sha256) == (other.rows, other.size, other.sha256)

    @property
    def span(self) -> Span:
        """Where it would stand in one file of all chunks."""
        start = self.number * _BYTES_PER_CHUNK
        return Span(start, start + self.size, first_row_of(self.number), self.rows)


def stored_range(start: int, end: int) -> tuple[int, int, int]:
    """Return for a part of that one file which chunk it is in, and the bytes of this that it is."""
    number, offset = divmod(start, _BYTES_PER_CHUNK)
    return number, offset, offset + end - start


class StreamIndex:
    """Where the chunks of an action are, as a :class:`~app.domain.csv.spans.SpanIndex` tells it of a file."""

    def __init__(self, chunks: Mapping[int, StreamChunk], count: int) -> None:
        """Describe ``count`` chunks, of which those that are not among ``chunks`` are vacant."""
        self._chunks, self._count = chunks, count

    def __len__(self) -> int:
        return self._count

    @property
    def row_count(self) -> int:
        """The number of rows."""
        return sum(chunk.rows for chunk in self._chunks.values())

    @property
    def last_row(self) -> int:
        """The highest number that a row can have."""
        return self._count * ROWS_PER_CHUNK

    def span(self, i: int) -> Span:
        """Return where a chunk is."""
        return self._chunks.get(i, StreamChunk(i)).span

    def spans(self, first: int, count: int) -> list[Span]:
        """Return where up to ``count`` chunks are, from ``first`` on."""
        return [self.span(number) for number in range(first, min(first + count, self._count))]


@dataclass(frozen=True, slots=True)
class Arrived:
    """What has arrived of an action.

    Attributes:
        numbers: The numbers of its chunks.
        rows: How many these have together.
        size: Their bytes, as they are stored.
        numbering: How they are numbered: by index they are without gaps.
    """

    numbers: frozenset[int]
    rows: int
    size: int
    numbering: Numbering | None

    @classmethod
    def of(cls, chunks: Iterable[StreamChunk], numbering: Numbering | None) -> Self:
        """Count chunks; vacant ones are none."""
        there = [chunk for chunk in chunks if not chunk.vacant]
        return cls(
            frozenset(chunk.number for chunk in there),
            sum(chunk.rows for chunk in there),
            sum(chunk.size for chunk in there),
            numbering,
        )

    def complete(self, declared: Declared) -> bool:
        """Tell whether all that was declared is there, and nothing else."""
        rows, chunks = declared.rows in (None, self.rows), declared.chunks in (None, len(self.numbers))
        return rows and chunks and not self._gaps

    def contradiction(self, declared: Declared) -> str | None:
        """Return why the declaration can never come true; None: it can."""
        chunks, rows = declared.chunks, declared.rows
        surplus = self._highest if chunks is not None and self.numbering == Numbering.INDEX else -1
        if chunks is not None and surplus >= chunks:
            return f"It was closed with {declared}, and has a chunk of index {surplus}."
        too_many = (chunks is not None and len(self.numbers) > chunks) or (rows is not None and self.rows > rows)
        if too_many or (rows is not None and self.rows < rows and chunks == len(self.numbers)):
            return f"It was closed with {declared}, and {self._came(declared)} arrived."
        if rows is not None and self.rows == rows and self._gaps:
            return f"All of its {rows:,} rows are there, but no chunk of index {_listed(self._gaps)}."
        return None

    def lacking(self, declared: Declared | None, seconds: float) -> str:
        """Return what an action has waited for in vain, for so many seconds."""
        if declared is None:
            return f"It was not closed, and no chunk came for {seconds:g} seconds; {self._came(None)} arrived."
        told = (
            f"It was closed with {declared}, and {self._came(declared)} arrived; no more came for {seconds:g} seconds."
        )
        expected = range(max(self._highest + 1, declared.chunks or 0))
        missing = [] if self.numbering == Numbering.ARRIVAL else [n for n in expected if n not in self.numbers]
        return f"{told} Missing chunks: {_listed(missing)}." if missing else told

    @property
    def _highest(self) -> int:
        return max(self.numbers, default=-1)

    @property
    def _gaps(self) -> list[int]:
        """The indexes below the highest that no chunk has."""
        if self.numbering == Numbering.ARRIVAL or self._highest + 1 == len(self.numbers):
            return []
        return [number for number in range(self._highest) if number not in self.numbers]

    def _came(self, declared: Declared | None) -> Declared:
        """What has arrived, in the terms of a declaration, and in both where that says neither alone."""
        if declared is None or (declared.rows is None) == (declared.chunks is None):
            return Declared(self.rows, len(self.numbers))
        return Declared(
            None if declared.rows is None else self.rows, None if declared.chunks is None else len(self.numbers)
        )


def _listed(numbers: list[int]) -> str:
    shown = ", ".join(map(str, numbers[:_MOST_TOLD]))
    return f"{shown} and {len(numbers) - _MOST_TOLD:,} others" if len(numbers) > _MOST_TOLD else shown
