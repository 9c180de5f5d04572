"""Companies."""

from __future__ import annotations

from typing import NotRequired, TypedDict

from app.domain.entities.entity import Entity
from app.domain.entities.types import Amount, Boolean, Count, Country, Currency, Date, Identifier, Name, Phone, Url


class Company(TypedDict):
    """An organisation that one does business with."""

    id: Identifier
    name: Name
    website: NotRequired[Url]
    phone: NotRequired[Phone]
    industry: NotRequired[Name]
    country: NotRequired[Country]
    employees: NotRequired[Count]
    revenue: NotRequired[Amount]
    currency: NotRequired[Currency]
    foundedOn: NotRequired[Date]
    customer: NotRequired[Boolean]


COMPANY = Entity(name="Company", model=Company, collection="companies")
