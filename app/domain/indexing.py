"""What of an action is in the index of events, and what is not yet: a fold over what the index has taken."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from typing import Any, Self

from app.domain.events import Event


@dataclass(frozen=True, slots=True)
class IndexedEvent:
    """An event on its way into the index.

    Attributes:
        event: The event.
        period: The time whose index it belongs into; it is the same whenever the event is written.
        expires: When all events of its action are to go; None: with their index.
    """

    event: Event
    period: datetime
    expires: datetime | None = None


@dataclass(frozen=True, slots=True)
class Rejected:
    """An event that the index has refused for what is in it.

    Attributes:
        event_id: Which.
        reason: Why, as the index says it.
    """

    event_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Indexed:
    """What of an action the index has.

    Attributes:
        final: Bit *i* is set when what is known of chunk *i* cannot change any more, and the index has it.
        dead: Bit *i* is set when the index has that chunk *i* was given up: a replay may still change that.
        told: The events of the action itself that it has, by their ids without the action's.
    """

    final: int = 0
    dead: int = 0
    told: frozenset[str] = frozenset()

    def open_chunks(self, chunk_count: int, limit: int) -> list[int]:
        """Return the first chunks, in order, of which the index has nothing, at most ``limit``."""
        return list(islice(_bits(~(self.final | self.dead) & (1 << chunk_count) - 1), limit))

    def dead_chunks(self) -> list[int]:
        """Return the chunks that the index knows as given up."""
        return list(_bits(self.dead))

    def with_chunk(self, index: int, *, dead: bool) -> Self:
        """Return the state after the index has taken the outcome of a chunk."""
        bit = 1 << index
        if dead:
            return replace(self, dead=self.dead | bit)
        return replace(self, final=self.final | bit, dead=self.dead & ~bit)

    def without_chunk(self, index: int) -> Self:
        """Return the state in which a chunk is to be indexed again."""
        bit = ~(1 << index)
        return replace(self, final=self.final & bit, dead=self.dead & bit)

    def untold(self, action_id: str, events: Iterable[Event]) -> list[Event]:
        """Return those of an action's own events that the index does not have."""
        return [event for event in events if _short(action_id, event) not in self.told]

    def with_told(self, action_id: str, events: Iterable[Event]) -> Self:
        """Return the state in which the index has exactly these events of the action itself."""
        return replace(self, told=frozenset(_short(action_id, event) for event in events))

    def to_document(self) -> dict[str, Any]:
        """Return what the document of the action has of it: two rows of bits, and the ids."""
        return {"final": _packed(self.final), "dead": _packed(self.dead), "told": sorted(self.told)}

    @classmethod
    def from_document(cls, document: Mapping[str, Any] | None) -> Self:
        """Read it; where there is nothing, the index has nothing."""
        get = (document or {}).get
        return cls(_unpacked(get("final")), _unpacked(get("dead")), frozenset(get("told", ())))


def _short(action_id: str, event: Event) -> str:
    return event.id.removeprefix(f"{action_id}:")


def _bits(bits: int) -> Iterator[int]:
    while bits:
        lowest = bits & -bits
        yield lowest.bit_length() - 1
        bits ^= lowest


def _packed(bits: int) -> bytes:
    return bits.to_bytes((bits.bit_length() + 7) // 8, "little")


def _unpacked(data: bytes | None) -> int:
    return int.from_bytes(bytes(data or b""), "little")
