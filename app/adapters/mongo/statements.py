"""The records of a chunk, as BSON, and the statements that write them.

A new record, a change and a deletion are, as dicts::

    {"_id": "account:key", **constants, **fields, "_bulk": {**tag, "row": 7}, **on_insert}
    {"q": {"_id": "account:key"}, "u": {"$set": {**constants, **fields, "_bulk": {**tag, "row": 7}}}}
    {"q": {"_id": "account:key"}, "limit": 1}

A field of which the record is to have no value is left out of the first, and is in a ``$unset`` of the second. Where a
change does not say something of all fields of a record, its tag names those of which it does: ``"fields": ["id"]``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from app.adapters.mongo.elements import Elements, elements_of, head
from app.adapters.mongo.values import ENCODINGS
from app.domain.cells import KEEP, Keep
from app.domain.entities.kinds import Kind


@dataclass(frozen=True, slots=True)
class RecordLayout:
    """What the records of a chunk have in common.

    Attributes:
        account_id: Their ``_id`` begins with it.
        fields: The names of the columns.
        key: Which of them, by position, completes the ``_id``; a text.
        always: Fields that every write sets.
        tag: Fields of ``_bulk``, beside the number of the row.
        on_insert: Fields that only the write that makes the record sets.
        whole: Whether the columns are all fields of a record.
        kinds: For each column what its values are; none: all are texts.
    """

    account_id: str
    fields: Sequence[str]
    key: int
    always: Mapping[str, Any] = field(default_factory=dict)
    tag: Mapping[str, Any] = field(default_factory=dict)
    on_insert: Mapping[str, Any] = field(default_factory=dict)
    whole: bool = True
    kinds: Sequence[Kind] = ()

    def encode(self, rows: Sequence[int], columns: Sequence[Sequence[Any]]) -> EncodedRecords:
        """Take the values of some rows; ``columns`` has for each field those of all rows."""
        kinds = self.kinds or [Kind.TEXT] * len(self.fields)
        return EncodedRecords(self, list(rows), list(map(_Column.of, self.fields, kinds, columns)))


@dataclass(frozen=True, slots=True)
class _Column:
    """The encoded values of a field; None for none, ``KEEP`` where the record keeps its own.

    Without ``gaps`` there are values only.
    """

    name: str
    kind: Kind
    cells: list[Any]
    gaps: bool

    @classmethod
    def of(cls, name: str, kind: Kind, values: Sequence[Any]) -> _Column:
        if kind == Kind.TEXT:
            try:
                # The common case, in which nobody looks at a single value.
                return cls(name, kind, list(map(str.encode, values)), gaps=False)
            except TypeError:
                pass
        encode: Callable[[Any], bytes] = str.encode if kind == Kind.TEXT else ENCODINGS[kind].encode
        cells = [value if value is None or value is KEEP else encode(value) for value in values]
        return cls(name, kind, cells, gaps=not all(cells))

    def at(self, positions: Sequence[int]) -> _Column:
        return replace(self, cells=[self.cells[position] for position in positions])

    def has(self, gap: Keep | None) -> bool:
        return self.gaps and gap in self.cells

    def add_to(self, elements: Elements) -> None:
        """Add the values as elements; where there is none, none."""
        if self.kind == Kind.TEXT:
            if not self.gaps:
                elements.texts(self.name, self.cells)
                return
            begin = head(0x02, self.name)
            pieces = [
                b"".join((begin, (len(cell) + 1).to_bytes(4, "little"), cell, b"\0")) if type(cell) is bytes else b""
                for cell in self.cells
            ]
        else:
            encoding = ENCODINGS[self.kind]
            begin = head(encoding.octet, self.name)
            if not self.gaps:
                elements.values(begin, self.cells, encoding.width)
                return
            pieces = [begin + cell if type(cell) is bytes else b"" for cell in self.cells]
        elements.pieces(pieces)


@dataclass(frozen=True, slots=True)
class EncodedRecords:
    """Rows on their way into the database.

    Attributes:
        layout: What they have in common.
        rows: Their numbers.
        columns: For each field the values of these rows.
    """

    layout: RecordLayout
    rows: list[int]
    columns: list[_Column]

    @property
    def keys(self) -> list[bytes]:
        """The key of each row, UTF-8."""
        return self.columns[self.layout.key].cells

    @property
    def ids(self) -> list[str]:
        """The ``_id`` of each record."""
        prefix = f"{self.layout.account_id}:"
        return [prefix + key.decode() for key in self.keys]

    def at(self, positions: Sequence[int]) -> EncodedRecords:
        """Return some of the rows, in the order of ``positions``."""
        if list(positions) == list(range(len(self.rows))):
            return self
        columns = [column.at(positions) for column in self.columns]
        return replace(self, rows=[self.rows[position] for position in positions], columns=columns)

    def keeping(self, kept: Mapping[int, frozenset[str]]) -> EncodedRecords:
        """Return the rows, some of which, given by their positions, leave fields of their records as they are.

        The key is never one of these: it says which record that is.
        """
        columns = list(self.columns)
        for index, column in enumerate(columns):
            if index != self.layout.key:
                cells = list(column.cells)
                for position, names in kept.items():
                    if column.name in names:
                        cells[position] = KEEP
                columns[index] = replace(column, cells=cells, gaps=True)
        return replace(self, columns=columns)

    def names(self) -> Sequence[Sequence[str]]:
        """Return for each row the names of the fields of which it says something."""
        fields = tuple(self.layout.fields)
        if not self.keeps:
            return [fields] * len(self.rows)
        return [
            tuple(name for name, cell in zip(fields, row, strict=True) if cell is not KEEP)
            for row in zip(*(column.cells for column in self.columns), strict=True)
        ]

    @property
    def keeps(self) -> bool:
        """Whether some rows leave fields of their records as they are."""
        return any(column.has(KEEP) for column in self.columns)

    def stored(self) -> list[bytes]:
        """Return what a query for their fields alone answers for records that have these values, and no others."""
        return list(self._fields(self._id()).joined())

    def inserts(self) -> list[bytes]:
        """Return the records as new documents."""
        record = self._fields(self._id().constants(self.layout.always)).document("_bulk", self._tag())
        return list(record.constants(self.layout.on_insert).joined())

    def changes(self) -> list[bytes]:
        """Return the update statements that give existing records these values.

        They set every field of a row, not only those that differ: two actions that change different fields of a record
        at the same time leave the values of one of them, and not a mixture. What is equal costs a server nothing.
        """
        count, tag = len(self.rows), self._tag()
        if not self.layout.whole or self.keeps:
            tag.pieces(list(map(_naming, self.names())))
        update = Elements(count).document(
            "$set", self._fields(Elements(count, self.layout.always)).document("_bulk", tag)
        )
        removed = [column for column in self.columns if column.has(None)]
        if removed:
            rows = zip(*(column.cells for column in removed), strict=True)
            update.pieces(
                [
                    _removing(tuple(column.name for column, cell in zip(removed, row, strict=True) if cell is None))
                    for row in rows
                ]
            )
        return list(Elements(count).document("q", self._id()).document("u", update).joined())

    def deletions(self) -> list[bytes]:
        """Return the statements that delete the records."""
        return list(Elements(len(self.rows)).document("q", self._id()).constants({"limit": 1}).joined())

    def _id(self) -> Elements:
        prefix = f"{self.layout.account_id}:".encode()
        return Elements(len(self.rows)).texts("_id", self.keys, prefix)

    def _tag(self) -> Elements:
        return Elements(len(self.rows), self.layout.tag).integers("row", self.rows)

    def _fields(self, elements: Elements) -> Elements:
        for column in self.columns:
            column.add_to(elements)
        return elements


@lru_cache(1024)
def _naming(names: tuple[str, ...]) -> bytes:
    """Return the element of a tag that says which fields were written."""
    return elements_of({"fields": list(names)})


@lru_cache(1024)
def _removing(names: tuple[str, ...]) -> bytes:
    """Return the element of an update that removes fields; no fields, no element."""
    return elements_of({"$unset": dict.fromkeys(names, "")}) if names else b""
