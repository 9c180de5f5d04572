"""Leads."""

from __future__ import annotations

from typing import Annotated, NotRequired, TypedDict

from app.domain.entities.entity import Entity
from app.domain.entities.types import Boolean, DateTime, Email, Identifier, Name, OneOf, Percent, Phone

Source = Annotated[str, OneOf("source", "web", "referral", "event", "campaign", "other")]
LeadStatus = Annotated[str, OneOf("status", "new", "contacted", "qualified", "unqualified", "converted")]


class Lead(TypedDict):
    """A person who may become a customer."""

    id: Identifier
    name: Name
    email: Email
    status: LeadStatus
    company: NotRequired[Name]
    phone: NotRequired[Phone]
    source: NotRequired[Source]
    score: NotRequired[Percent]
    newsletter: NotRequired[Boolean]
    contactedAt: NotRequired[DateTime]


LEAD = Entity(name="Lead", model=Lead, collection="leads", unique="email")
