"""The mapping of columns that an upload may bring: which column of the file is which field of the entity."""

from __future__ import annotations

import json
from collections.abc import Mapping

from app.domain.printable import shortened

#: Column of the file → field of the entity, or None for a column that is to be left out.
ColumnMapping = Mapping[str, str | None]

_FORM = 'mapping must be a JSON object such as {"Kunde": "id", "Notiz": null}'


class MappingError(ValueError):
    """The mapping cannot be used; the message is for the person who sent it."""


def parse_mapping(text: str) -> ColumnMapping:
    """Read the mapping as it was sent: a JSON object of column names to field names or null.

    Whether the file has these columns, and the entity these fields, is for ``read_header``.

    Raises:
        MappingError: it is something else, or names a column twice.
    """
    try:
        pairs = json.loads(text, object_pairs_hook=_Pairs)
    except (ValueError, RecursionError):
        raise MappingError(f"{_FORM}; it is not JSON.") from None
    if not isinstance(pairs, _Pairs):
        raise MappingError(f"{_FORM}.")
    mapping: dict[str, str | None] = {}
    seen: set[str] = set()
    for column, field in pairs:
        if field is not None and not isinstance(field, str):
            raise MappingError(f'{_FORM}: "{shortened(column, 40)}" must go to the name of a field or to null.')
        if (key := column.strip().casefold()) in seen:
            raise MappingError(f'mapping names the column "{shortened(column, 40)}" twice.')
        seen.add(key)
        mapping[column] = field
    return mapping


class _Pairs(list[tuple[str, object]]):
    """A JSON object with all that it says, also what it says twice."""
