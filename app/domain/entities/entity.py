"""A kind of record, as one declaration from which follows what uploads, workers and the API need of it."""

from __future__ import annotations

import copy
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Self, get_type_hints

from app.domain.entities.field import Field


@dataclass(frozen=True)
class Entity:
    """One kind of record.

    Args:
        name: As clients write it in ``entityType``.
        model: A TypedDict of the fields of a row, all of them strings, in column order.
        collection: The MongoDB collection of its documents.
        key: The field that identifies a record within an account.
        unique: A further field that no two records of an account may share, or None.
    """

    name: str
    model: type
    collection: str
    key: str = "id"
    unique: str | None = None

    columns: tuple[str, ...] = field(init=False)
    """The names of the fields, in order."""
    fields: tuple[Field, ...] = field(init=False, repr=False, compare=False)
    """The fields of the model, in order."""

    @property
    def key_fields(self) -> tuple[str, ...]:
        """The fields of which no two records may share a value: each is a kind of key."""
        return tuple(name for name in (self.key, self.unique) if name in self.columns)

    @property
    def others(self) -> tuple[str, ...]:
        """The names of the fields beside the key."""
        return tuple(name for name in self.columns if name != self.key)

    @property
    def required(self) -> tuple[str, ...]:
        """The names of the fields that a record cannot be without."""
        return tuple(each.name for each in self.fields if each.required)

    def __post_init__(self) -> None:
        hints = get_type_hints(self.model, include_extras=True)
        self._set_fields(tuple(Field.of(name, hint) for name, hint in hints.items()))
        if not {self.key, self.unique or self.key} <= set(self.required):
            raise ValueError(f"{self.name}: key and unique field must be required fields of the model")

    def _set_fields(self, fields: tuple[Field, ...]) -> None:
        object.__setattr__(self, "columns", tuple(each.name for each in fields))
        object.__setattr__(self, "fields", fields)

    def only(self, names: Collection[str]) -> Self:
        """Return the entity as it is to somebody who knows only some of its fields; the key must be one of them."""
        if self.key not in names:
            raise ValueError(f"{self.name} is nothing without {self.key}")
        part = copy.copy(self)
        part._set_fields(tuple(each for each in self.fields if each.name in names))
        return part
