"""Contacts."""

from __future__ import annotations

from typing import TypedDict

from app.domain.entities.entity import Entity
from app.domain.entities.types import Email, Identifier, Name, Status


class Contact(TypedDict):
    """A person one can write to."""

    id: Identifier
    name: Name
    email: Email
    status: Status


CONTACT = Entity(name="Contact", model=Contact, collection="contacts", unique="email")
