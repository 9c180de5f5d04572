"""The entities that can be imported: one declaration each, in a module of its own.

A new entity is a TypedDict of its fields, whose rules stand in their types, and one line in ``ENTITIES``; or an entry
point of another package (``app/domain/entities/registry.py``).
"""

from __future__ import annotations

from app.domain.entities.company import COMPANY
from app.domain.entities.contact import CONTACT
from app.domain.entities.entity import Entity
from app.domain.entities.lead import LEAD
from app.domain.entities.opportunity import OPPORTUNITY
from app.domain.entities.registry import DeclarationError, Registry
from app.domain.entities.task import TASK

__all__ = ["ENTITIES", "DeclarationError", "Entity", "find_entity"]

ENTITIES = Registry((CONTACT, COMPANY, LEAD, OPPORTUNITY, TASK))


def find_entity(name: str) -> Entity | None:
    """Return the entity of that name, whatever its case, or None."""
    return ENTITIES.find(name)
