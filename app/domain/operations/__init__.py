"""What is done with the rows of an action: one declaration per action type, and the plan of a chunk."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from app.domain.operations.operation import Decision, Needs, Operation

__all__ = ["BULK_DELETE", "BULK_PATCH", "BULK_UPDATE", "OPERATIONS", "Decision", "Needs", "Operation", "find_operation"]

BULK_UPDATE = Operation(
    "BULK_UPDATE",
    "inserts or updates, by `id`",
    absent=Decision.INSERT,
    same=Decision.UNCHANGED,
    different=Decision.UPDATE,
)
BULK_CREATE = Operation(
    "BULK_CREATE",
    "inserts, and fails a row whose record is there",
    absent=Decision.INSERT,
    same=Decision.ALREADY_EXISTS,
    different=Decision.ALREADY_EXISTS,
    needs=Needs.REQUIRED_FIELDS,
)
BULK_PATCH = Operation(
    "BULK_PATCH",
    "updates those fields alone that the file has columns for, and fails a row whose record is not there",
    absent=Decision.NOT_FOUND,
    same=Decision.UNCHANGED,
    different=Decision.UPDATE,
    needs=Needs.KEY,
    partial=True,
)
BULK_DELETE = Operation(
    "BULK_DELETE",
    "deletes, by `id` alone, and fails a row whose record is not there",
    absent=Decision.NOT_FOUND,
    same=Decision.DELETE,
    different=Decision.DELETE,
    needs=Needs.KEY,
    key_only=True,
)

OPERATIONS: Mapping[str, Operation] = MappingProxyType(
    {operation.name: operation for operation in (BULK_UPDATE, BULK_CREATE, BULK_PATCH, BULK_DELETE)}
)


def find_operation(action_type: str) -> Operation | None:
    """Return the operation of an action type, or None."""
    return OPERATIONS.get(action_type)
