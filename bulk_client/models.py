"""What the API answers, typed. Fields that a newer server adds are kept in ``raw``."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    PrivateAttr,
    ValidationError,
    model_validator,
)
from pydantic.alias_generators import to_camel

from bulk_client.errors import UnexpectedAnswer

#: The statuses of an action that will not change any more.
ENDED: Final = frozenset({"COMPLETED", "FAILED", "CANCELLED"})


class Model(BaseModel):
    """An answer, or a part of one."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore", frozen=True)

    _raw: Mapping[str, Any] = PrivateAttr(default_factory=dict)

    @classmethod
    def read(cls, answer: Any) -> Self:
        """Return the answer as this type.

        Raises:
            UnexpectedAnswer: it is none.
        """
        try:
            return cls.model_validate(answer)
        except ValidationError as error:
            fault = error.errors(include_url=False)[0]
            where = ".".join(map(str, fault["loc"]))
            raise UnexpectedAnswer(f"The answer is no {cls.__name__}: {where}: {fault['msg']}") from None

    @model_validator(mode="wrap")
    @classmethod
    def _keep(cls, answer: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        model = handler(answer)
        if isinstance(answer, Mapping):
            model._raw = answer
        return model

    @property
    def raw(self) -> Mapping[str, Any]:
        """The JSON object as it was received."""
        return self._raw


class Counters(Model):
    """How many rows have come to what; a total of None is not known yet (rows over Kafka)."""

    action_id: str
    status: str
    total_count: int | None
    processed_count: int
    success_count: int
    failure_count: int
    skipped_count: int
    duplicate_count: int = 0
    created_count: int = 0
    updated_count: int = 0
    unchanged_count: int = 0
    deleted_count: int = 0
    unprocessed_count: int = 0
    updated_at: datetime | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing changes any more."""
        return self.status in ENDED


class Statistics(Counters):
    """Counters with speed and time left: ``eta_seconds`` is None where it cannot be told."""

    pending_count: int | None = None
    rows_per_second: float = 0.0
    eta_seconds: float | None = None


class Transition(Model):
    """A change of an action's status."""

    status: str
    at: datetime
    by: str
    reason: str | None = None


class Action(Counters):
    """A bulk action; ``history`` and what its file was taken for are those of a single action, not of a list."""

    action_type: str
    entity_type: str
    created_at: datetime
    scheduled_at: datetime | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    expires_at: datetime | None = None
    file_name: str | None = None
    file_size: int | None = None
    sha256: str | None = None
    max_failures: str | None = None
    created_by: str | None = None
    cancelled_by: str | None = None
    retry_of: str | None = None
    retried_by: str | None = None
    error: str | None = None
    delimiter: str | None = None
    encoding: str | None = None
    mapping: dict[str, str | None] | None = None
    ignored_columns: list[str] | None = None
    history: list[Transition] = Field(default_factory=list)


class Accepted(Model):
    """An upload, or a retry, that was taken.

    Attributes:
        repeated: Whether the same request with the same key had made this action before.
    """

    action_id: str
    status: str
    total_count: int
    scheduled_at: datetime | None = None
    delimiter: str | None = None
    encoding: str | None = None
    ignored_columns: list[str] = Field(default_factory=list)
    repeated: bool = False


class FailureGroup(Model):
    """Rows that failed for the same reason; ``rows`` has the numbers of the first ten."""

    code: str
    count: int
    message: str
    rows: list[int]
    column: str | None = None
    value: str | None = None
    other_values: bool = False


class Failures(Model):
    """The failures of an action by what is wrong, the largest groups first."""

    action_id: str
    status: str
    failure_count: int
    examined_count: int
    group_count: int
    groups: list[FailureGroup]


class Row(Model):
    """What became of a row."""

    row: int
    status: str
    code: str
    message: str | None = None
    column: str | None = None
    owner_row: int | None = None
    original_row: int | None = None


class Entity(Model):
    """Something that can be imported."""

    entity_type: str
    description: str
    fields: list[str]
    required: list[str]
    key: str
    unique: list[str]


class DeadLetter(Model):
    """A message that could not be carried out."""

    id: str
    kind: str
    status: str
    action_id: str | None = None
    first_row: int | None = None
    row_count: int | None = None
    error: str
    retry_count: int
    at: datetime


class RecordChange(Model):
    """What a row has done to a record."""

    action_id: str
    action_type: str
    action_status: str
    row: int
    code: str
    at: datetime
    started_at: datetime
    file_name: str | None = None
    by: str | None = None
    reason: str | None = None


class Record(Model):
    """A record and a page of its history, the latest change first; ``record`` is None when it was deleted.

    Attributes:
        following: The cursor of the next page; None: this is the last.
    """

    entity_type: str
    id: str
    record: dict[str, Any] | None
    audit: dict[str, Any] | None = None
    history: list[RecordChange]
    following: str | None = None


class Event(Model):
    """Something that happened; what does not apply is None."""

    id: str
    at: datetime
    type: str
    level: str
    message: str
    action_id: str | None = None
    entity_type: str | None = None
    action_type: str | None = None
    status: str | None = None
    code: str | None = None
    row: int | None = None
    column: str | None = None
    record_id: str | None = None
    email: str | None = None
    actor: str | None = None
    count: int | None = None


class Found(Model):
    """A page of the events that a search has found.

    Attributes:
        engine: Who has searched: ``ledger`` or ``elasticsearch``.
        counts: How many events have which ``code``, ``status``, ``entity`` and ``day``.
        following: The cursor of the next page; None: this is the last.
    """

    engine: str
    events: list[Event]
    counts: dict[str, dict[str, int]] = Field(default_factory=dict)
    following: str | None = None
