"""A kind of record, as one declaration from which follows what uploads, workers and the API need of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar, get_type_hints

from pydantic import TypeAdapter
from pydantic_core import SchemaValidator, core_schema

from app.domain.entities.rules import Damaged, Mismatch

T = TypeVar("T")


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
    """The required columns, in order: the fields of the model."""
    column_validators: tuple[SchemaValidator, ...] = field(init=False, repr=False, compare=False)
    """For each column: ``list[str]`` in, the normalised values out, with None in the place of each invalid
    one."""
    value_validators: tuple[SchemaValidator, ...] = field(init=False, repr=False, compare=False)
    """For each column: one value; raises ``pydantic_core.ValidationError``."""
    mismatches: tuple[Mismatch | None, ...] = field(init=False, repr=False, compare=False)
    """For each column: what a value is told that the pattern refuses."""
    damages: tuple[Damaged | None, ...] = field(init=False, repr=False, compare=False)
    """For each column: what valid values may be that were not meant."""

    @property
    def key_fields(self) -> tuple[str, ...]:
        """The fields of which no two records may share a value: each is a kind of key."""
        return (self.key,) if self.unique is None else (self.key, self.unique)

    def __post_init__(self) -> None:
        types: Mapping[str, Any] = get_type_hints(self.model, include_extras=True)
        schemas = [TypeAdapter(hint).core_schema for hint in types.values()]
        set_once = object.__setattr__
        set_once(self, "columns", tuple(types))
        set_once(self, "value_validators", tuple(map(_compile, schemas)))
        # Measured: column by column is twice as fast as a list of TypedDict, because no dict is looked into.
        set_once(self, "column_validators", tuple(_compile(_column_schema(schema)) for schema in schemas))
        set_once(self, "mismatches", tuple(_annotation(hint, Mismatch) for hint in types.values()))
        set_once(self, "damages", tuple(_annotation(hint, Damaged) for hint in types.values()))
        if not {self.key, self.unique or self.key} <= set(types):
            raise ValueError(f"{self.name}: key and unique field must be fields of the model")


def _column_schema(schema: core_schema.CoreSchema) -> core_schema.CoreSchema:
    """A list of values, in which None takes the place of an invalid one."""
    return core_schema.list_schema(
        core_schema.with_default_schema(schema, default=None, on_error="default"),
    )


def _compile(schema: core_schema.CoreSchema) -> SchemaValidator:
    # Rows of outside producers are JSON: an id that is a number there is a string here.
    return SchemaValidator(schema, core_schema.CoreConfig(coerce_numbers_to_str=True))


def _annotation(hint: Any, kind: type[T]) -> T | None:
    return next((part for part in getattr(hint, "__metadata__", ()) if isinstance(part, kind)), None)
