"""What travels through Kafka: ids and byte ranges, never the file (the claim check pattern).

Every message is JSON in camelCase. Reading one that does not fit raises :class:`Undecodable`.
"""

from __future__ import annotations

import hmac
from typing import Any, Self
from uuid import uuid4

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from app.domain.cells import EmptyCells
from app.domain.outcomes import Counts


class Undecodable(ValueError):
    """The bytes of a message are not the message its topic carries."""


class Message(BaseModel):
    """Base of all messages."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True)

    action_id: str = Field(pattern=r"^[0-9a-f]{24}$")

    @property
    def key(self) -> str:
        """The Kafka key: what must stay in order, or be spread evenly."""
        return self.action_id

    def encode(self) -> bytes:
        """Return the message as JSON."""
        return self.model_dump_json(by_alias=True, exclude_none=True).encode()

    @classmethod
    def read(cls, event: Any) -> Self:
        """Read the message of an event; raises as :meth:`decode`."""
        return cls.decode(event.value)

    @classmethod
    def decode(cls, value: bytes | None) -> Self:
        """Read a message.

        Raises:
            Undecodable: the bytes are not JSON or not this message.
        """
        if value is None:
            raise Undecodable("an empty message")
        try:
            return cls.model_validate_json(value)
        except ValidationError as error:
            raise Undecodable(first_fault(error)) from None


def first_fault(error: ValidationError) -> str:
    """Return what is wrong with a message, first."""
    first = error.errors(include_input=False, include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    return f"{where or 'message'}: {first['msg']}"


#: What no chunk of ours exceeds, whatever the settings: a forged one must not fill the memory of its reader.
_MOST_CHUNK_BYTES, _MOST_CHUNK_ROWS = 64 * 1024**2, 10_000
#: Rows and chunks of an action are numbers of 32 bits, as MAX_ROWS is.
_LARGEST = 2**32 - 1


class ByteRange(BaseModel):
    """Part of an uploaded file: bytes ``start`` to ``end``, beginning with data row ``firstRow``."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True)

    start: int = Field(ge=0)
    end: int = Field(ge=0)
    first_row: int = Field(ge=1, le=_LARGEST)
    rows: int = Field(ge=0, le=_MOST_CHUNK_ROWS)

    @model_validator(mode="after")
    def _forward(self) -> Self:
        if self.end < self.start:
            raise ValueError("a span cannot end before it starts")
        if self.end - self.start > _MOST_CHUNK_BYTES:
            raise ValueError(f"a span has at most {_MOST_CHUNK_BYTES} bytes")
        if self.first_row + self.rows - 1 > _LARGEST:
            raise ValueError(f"the last row of a span is at most number {_LARGEST}")
        return self


class Source(BaseModel):
    """What a processor must know of an action to run any of its chunks."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True)

    account_id: str
    entity_type: str
    action_type: str
    storage_key: str
    columns: tuple[str, ...]
    fields: tuple[str, ...] | None = None
    delimiter: str = Field(",", min_length=1, max_length=1)
    empty_cells: EmptyCells | None = None
    row_count: int = Field(ge=0, le=_LARGEST)
    chunk_count: int = Field(ge=1, le=_LARGEST)
    started_at: AwareDatetime

    @model_validator(mode="after")
    def _a_field_for_each_column(self) -> Self:
        if self.fields is not None and len(self.fields) != len(self.columns):
            raise ValueError("fields must name one for each column")
        return self


class Chunk(Message):
    """One chunk of an action: a span of its file. ``replay`` runs it again although it was given up.

    ``attempt`` says how often it has failed while everything it depends on answered. ``seal`` shows that we have made
    it, whoever else may write to the topic: the rest of it changes on its way.
    """

    index: int = Field(ge=0)
    span: ByteRange
    source: Source
    replay: bool = False
    attempt: int = Field(0, ge=0)
    seal: str | None = Field(None, max_length=64)

    def sealed(self, key: str | None) -> Self:
        """Return the chunk with the seal of a key; without a key as it is."""
        return self if key is None else self.model_copy(update={"seal": self._seal(key)})

    def is_sealed(self, key: str) -> bool:
        """Tell whether it has the seal of a key."""
        return hmac.compare_digest((self.seal or "").encode(), self._seal(key).encode())

    def _seal(self, key: str) -> str:
        told = f"{self.id} {self.span.model_dump_json()} {self.source.model_dump_json()}"
        return hmac.new(key.encode(), told.encode(errors="surrogatepass"), "sha256").hexdigest()

    @property
    def id(self) -> str:
        """The chunk's name in the ledger."""
        return chunk_id(self.action_id, self.index)

    @property
    def key(self) -> str:
        """Chunks of one action spread over all partitions."""
        return self.id


class Feed(Message):
    """Ask the feeder for the window that starts at ``first``, or for exactly the chunks ``indexes``.

    ``announcement`` names the message that says that an action is queued: several may say so, and one starts it.
    ``begun``: they are chunks of an action that was cancelled, which somebody had begun, and are to be finished.
    """

    first: int = Field(0, ge=0)
    indexes: tuple[int, ...] | None = None
    announcement: str | None = None
    begun: bool = False

    @classmethod
    def announce(cls, action_id: str) -> Self:
        """Make a message that says that an action is queued."""
        return cls(action_id=action_id, announcement=uuid4().hex)


class ChunkResult(Message):
    """The counts of a finished chunk; without an index: forget what was counted and fold the ledger anew.

    ``refeed``: what was asked of the feeder and has no result is to be asked for again.
    """

    index: int | None = Field(None, ge=0)
    chunk_count: int = Field(ge=0)
    counts: dict[str, int] = {}
    refeed: bool = False

    @classmethod
    def of(cls, action_id: str, index: int, chunk_count: int, counts: Counts) -> ChunkResult:
        """Make the result of a chunk from its counts."""
        return cls(action_id=action_id, index=index, chunk_count=chunk_count, counts=counts.to_document())

    def read_counts(self) -> Counts:
        """Return the counts as the domain knows them."""
        return Counts.from_document(self.counts)


def chunk_id(action_id: str, index: int) -> str:
    """Name a chunk: ``actionId:index``, in the ledger and as a Kafka key."""
    return f"{action_id}:{index}"
