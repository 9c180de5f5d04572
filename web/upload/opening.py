"""What opens an action for rows that come over Kafka: a JSON body, in place of the form of an upload."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field

from app.domain.entities import ENTITIES, Entity
from app.domain.failure_limits import FailureLimit
from app.domain.idempotency import request_digest
from app.domain.operations import OPERATIONS, Operation
from app.services.streams import StreamOrder
from web.body import JsonBody
from web.errors.catalogue import FIELDS_REQUIRED, FILE_REQUIRED, INVALID_MAX_FAILURES, INVALID_SOURCE, NO_FORM
from web.errors.problem import ApiError
from web.inputs import reads
from web.upload.fields import MAX_FAILURES, one_of, read_entity, read_max_failures, read_operation

_STREAM = "stream"


def _read_source(sent: object) -> str:
    if sent != _STREAM:
        raise INVALID_SOURCE()
    return _STREAM


class OpenStream(JsonBody):
    """What is to be done with rows that come over Kafka."""

    source: Annotated[
        str,
        reads(_read_source, schema=Literal["stream"]),
        Field(description="Where the rows come from.", examples=[_STREAM]),
    ]
    operation: Annotated[
        Operation,
        reads(read_operation, schema=one_of(*sorted(OPERATIONS))),
        Field(alias="actionType", description="What is to be done with each row.", examples=["BULK_UPDATE"]),
    ]
    entity: Annotated[
        Entity,
        reads(read_entity, schema=one_of(*ENTITIES)),
        Field(alias="entityType", description="What kind of record a row is of.", examples=["Contact"]),
    ]
    max_failures: Annotated[
        FailureLimit | None,
        reads(
            read_max_failures,
            INVALID_MAX_FAILURES,
            Annotated[str, Field(pattern=MAX_FAILURES)] | Annotated[int, Field(ge=0)] | None,
        ),
        Field(description="How many rows may fail before the action is paused, as in the form of an upload."),
    ] = None

    @classmethod
    def check(cls, sent: Mapping[str, Any]) -> tuple[Self | None, list[ApiError]]:
        """Return what was sent, and all that is wrong with it; without a source it is taken for a file."""
        if "source" not in sent:
            return None, [FILE_REQUIRED().explained(NO_FORM)]
        found, faults = super().check(sent)
        missing = [name for name in ("actionType", "entityType") if name not in sent]
        # One sentence says it of both.
        return found, [FIELDS_REQUIRED().at(name) for name in missing[:1]] + faults

    def order(self, key: str | None) -> StreamOrder:
        """Return what is asked for; ``key`` is the idempotency key, as it is stored."""
        asked = {
            "source": self.source,
            "actionType": self.operation.name,
            "entityType": self.entity.name,
            "maxFailures": "" if self.max_failures is None else self.max_failures.text,
        }
        return StreamOrder(
            operation=self.operation,
            entity=self.entity,
            max_failures=self.max_failures,
            idempotency_key=key,
            request_digest=request_digest(asked, "", ""),
        )
