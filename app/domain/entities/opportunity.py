"""Opportunities."""

from __future__ import annotations

from typing import Annotated, NotRequired, TypedDict

from app.domain.entities.entity import Entity
from app.domain.entities.types import Amount, Currency, Date, Identifier, Name, OneOf, Percent

Stage = Annotated[str, OneOf("stage", "prospecting", "qualification", "proposal", "negotiation", "won", "lost")]


class Opportunity(TypedDict):
    """A sale that may come about."""

    id: Identifier
    name: Name
    stage: Stage
    companyId: NotRequired[Identifier]
    amount: NotRequired[Amount]
    currency: NotRequired[Currency]
    probability: NotRequired[Percent]
    closesOn: NotRequired[Date]


OPPORTUNITY = Entity(name="Opportunity", model=Opportunity, collection="opportunities")
