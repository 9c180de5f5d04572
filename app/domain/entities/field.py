"""A field of an entity, compiled from its declaration: what checks its values, and what refused ones are told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NotRequired, Self, TypeVar, get_args, get_origin

from pydantic import TypeAdapter
from pydantic_core import SchemaValidator, core_schema

from app.domain.entities.rules import Damaged, Mismatch

T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class Field:
    """One field.

    Attributes:
        name: The name of its column.
        required: Whether a record must have a value.
        column_validator: ``list[str]`` in, the normalised values out, with None in the place of each invalid one.
        value_validator: One value; raises ``pydantic_core.ValidationError``.
        mismatch: What a value is told that the pattern refuses.
        damage: What valid values may be that were not meant.
    """

    name: str
    required: bool
    column_validator: SchemaValidator
    value_validator: SchemaValidator
    mismatch: Mismatch | None
    damage: Damaged | None

    @classmethod
    def of(cls, name: str, hint: Any) -> Self:
        """Compile the field of a type, which is wrapped in ``NotRequired`` where a record need not have a value."""
        required = get_origin(hint) is not NotRequired
        if not required:
            [hint] = get_args(hint)
        schema = TypeAdapter(hint).core_schema
        # Measured: column by column is twice as fast as a list of TypedDict, because no dict is looked into.
        return cls(
            name,
            required,
            column_validator=_compile(_column_schema(schema)),
            value_validator=_compile(schema),
            mismatch=_annotation(hint, Mismatch),
            damage=_annotation(hint, Damaged),
        )


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
