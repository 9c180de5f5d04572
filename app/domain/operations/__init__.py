"""What is done with the rows of an action: one declaration per action type, and the plan of a chunk."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from app.domain.operations.operation import Decision, Operation

__all__ = ["OPERATIONS", "Decision", "Operation", "find_operation"]

#: Insert what is not there, update what differs.
BULK_UPDATE = Operation("BULK_UPDATE", absent=Decision.INSERT, same=Decision.UNCHANGED, different=Decision.UPDATE)

OPERATIONS: Mapping[str, Operation] = MappingProxyType({operation.name: operation for operation in (BULK_UPDATE,)})


def find_operation(action_type: str) -> Operation | None:
    """Return the operation of an action type, or None."""
    return OPERATIONS.get(action_type)
