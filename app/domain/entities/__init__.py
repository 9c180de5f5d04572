"""The entities that can be imported: one declaration each, in a module of its own.

A new entity is a TypedDict of its fields and one line in ``ENTITIES``; the rules of the fields stand in their types.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from app.domain.entities.company import COMPANY
from app.domain.entities.contact import CONTACT
from app.domain.entities.entity import Entity
from app.domain.entities.lead import LEAD
from app.domain.entities.opportunity import OPPORTUNITY
from app.domain.entities.task import TASK

__all__ = ["ENTITIES", "Entity", "find_entity"]

ENTITIES: Mapping[str, Entity] = MappingProxyType(
    {entity.name: entity for entity in (CONTACT, COMPANY, LEAD, OPPORTUNITY, TASK)}
)


def find_entity(name: str) -> Entity | None:
    """Return the entity of that name, whatever its case, or None."""
    wanted = name.strip().casefold()
    return next((entity for entity in ENTITIES.values() if entity.name.casefold() == wanted), None)
