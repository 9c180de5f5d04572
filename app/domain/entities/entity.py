"""A kind of record, as one declaration from which follows what uploads, workers and the API need of it."""

from __future__ import annotations

import copy
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from inspect import getdoc
from typing import Any, Final, Self, get_type_hints

from app.domain.entities.field import Field
from app.domain.entities.kinds import Kind

#: What a record has beside its fields.
_RESERVED: Final = frozenset({"accountId", "createdBy", "_bulk", "_id"})
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")


@dataclass(frozen=True)
class Entity:
    """One kind of record.

    Args:
        name: As clients write it in ``entityType``.
        model: A TypedDict of the fields of a row, in column order; its docstring describes it. A field that a record
            can be without is ``NotRequired``.
        collection: The MongoDB collection of its documents.
        key: The field that identifies a record within an account.
        unique: A further field that no two records of an action may share, or None.

    Raises:
        ValueError: the declaration cannot be used.
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

    def __post_init__(self) -> None:
        hints = get_type_hints(self.model, include_extras=True)
        self._set_fields(tuple(Field.of(name, hint) for name, hint in hints.items()))
        for fault in self._faults():
            raise ValueError(f"{self.name}: {fault}")

    @property
    def key_fields(self) -> tuple[str, ...]:
        """The fields of which no two records may share a value: each is a kind of key."""
        return tuple(name for name in (self.key, self.unique) if name in self.columns)

    @property
    def unique_fields(self) -> tuple[str, ...]:
        """The fields beside the key of which no two rows of a file may have the same value."""
        return () if self.unique is None else (self.unique,)

    @property
    def others(self) -> tuple[str, ...]:
        """The names of the fields beside the key."""
        return tuple(name for name in self.columns if name != self.key)

    @property
    def required(self) -> tuple[str, ...]:
        """The names of the fields that a record cannot be without."""
        return tuple(each.name for each in self.fields if each.required)

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """What the values of each field are."""
        return tuple(each.kind for each in self.fields)

    @property
    def description(self) -> str:
        """What it is, in a sentence."""
        return (getdoc(self.model) or self.name).split("\n\n")[0].replace("\n", " ")

    def only(self, names: Collection[str]) -> Self:
        """Return the entity as it is to somebody who knows only some of its fields; the key must be one of them."""
        if self.key not in names:
            raise ValueError(f"{self.name} is nothing without {self.key}")
        part = copy.copy(self)
        part._set_fields(tuple(each for each in self.fields if each.name in names))
        return part

    def json_schema(self) -> dict[str, Any]:
        """Return the JSON Schema of a row, draft 2020-12, with the key and the unique fields."""
        properties: Mapping[str, Any] = {each.name: dict(each.schema) for each in self.fields}
        return {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": self.name,
            "description": self.description,
            "type": "object",
            "properties": properties,
            "required": list(self.required),
            "key": self.key,
            "unique": list(self.unique_fields),
        }

    def _set_fields(self, fields: tuple[Field, ...]) -> None:
        object.__setattr__(self, "columns", tuple(each.name for each in fields))
        object.__setattr__(self, "fields", fields)

    def _faults(self) -> list[str]:
        texts = {each.name for each in self.fields if each.kind == Kind.TEXT and each.required}
        lowered = [name.casefold() for name in self.columns]
        faults = [f"{name} cannot be the name of a field" for name in self.columns if not _NAME.fullmatch(name)]
        faults += [f"{name} is what every record has" for name in self.columns if name in _RESERVED]
        if not {self.key, self.unique or self.key} <= texts:
            faults.append("key and unique field must be required fields of the model, and texts")
        if len(set(lowered)) < len(lowered):
            faults.append("two fields have the same name, in another case")
        faults += [
            f"{each.name} needs {each.needs}, which is no field"
            for each in self.fields
            if each.needs is not None and each.needs not in self.columns
        ]
        return faults
