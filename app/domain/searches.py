"""Searches over events: what is asked for, what is found, and when an event has the words that are asked for.

Who searches is always one account. The words of a query are data: no engine makes them part of a query language.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Literal, NamedTuple, Protocol

from dateutil.parser import isoparse

from app.domain.events import SECURITY_TYPES, Event, EventType, Level

EngineName = Literal["ledger", "elasticsearch"]

#: Most characters, and most words, of a query.
MAX_TEXT, MAX_TERMS = 200, 20
#: What is counted of the events that are found, each by the value of this field of the event.
FACETS: Final = ("code", "status", "entity", "day")

_WORD = re.compile(r"\w+")
# What is one of these is no prose: it names something, and whoever asks for it means exactly that.
_EMAIL = re.compile(r"[^\s@]+@[^\s@]+")
_ACTION_ID = re.compile(r"[0-9a-fA-F]{24}")
_CODE = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)+")


class Term(NamedTuple):
    """One word of a query, as it stands between blanks.

    Attributes:
        text: As it was written.
        words: The words of a message that it consists of, lower case; at least one.
        exact: Whether it is an e-mail address, the id of an action or a code: then fields are compared, no message.
    """

    text: str
    words: tuple[str, ...]
    exact: bool


def parse_moment(text: str) -> datetime:
    """Read a time of a query: ISO 8601, UTC when it names no offset; of a date, its first moment.

    Raises:
        ValueError: it is none.
    """
    try:
        # In an address, a plus that is not encoded is a blank.
        moment = isoparse(text.strip().replace(" ", "+"))
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError("must be a date or a date and time in ISO 8601, such as 2030-01-31T09:00:00Z") from None


def terms_of(text: str) -> tuple[Term, ...]:
    """Return the words of a query, each of which an event must have; what is nothing but punctuation is no word.

    Raises:
        ValueError: it is longer than a query may be, or has no word; the message says so.
    """
    if len(text) > MAX_TEXT:
        raise ValueError(f"must have at most {MAX_TEXT} characters")
    parts = text.split()
    if len(parts) > MAX_TERMS:
        raise ValueError(f"must have at most {MAX_TERMS} words")
    terms = tuple(Term(part, words, _is_exact(part)) for part in parts if (words := words_of(part)))
    if not terms:
        raise ValueError("must have a letter or a digit")
    return terms


def words_of(text: str) -> tuple[str, ...]:
    """Return the words of a message or a query: letters, digits and underscores that stand together, lower case."""
    return tuple(found.casefold() for found in _WORD.findall(text))


def _is_exact(part: str) -> bool:
    return any(form.fullmatch(part) for form in (_EMAIL, _ACTION_ID, _CODE))


def exact_values(event: Event) -> tuple[str | None, ...]:
    """Return the fields of an event that a term may be equal to, whatever its case."""
    return event.record_id, event.email, event.code, event.action_id, event.type, event.source


#: The names of these fields in the document of an event.
EXACT_FIELDS: Final = ("recordId", "email", "code", "actionId", "type", "source")


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """What is asked for: events that have all of this. None: it does not matter.

    Attributes:
        account_id: Whose events are searched; there is no search without.
        security: Whether events are found, too, that only admins are shown.
        action_id: Of this action.
        terms: With all of these words: each in the message, or equal to one of ``EXACT_FIELDS``.
        level: Of this level.
        code: With this code, exactly.
        status: With this status, exactly.
        type: Of this type.
        entity_type: About rows of this entity, exactly.
        row: About this row, or about the end of a chunk that was given up with it.
        record_id: Of a row with this id, exactly.
        email: Of a row with this e-mail address, lower case, exactly.
        since: From then on.
        until: Before then.
        limit: Most events of a page.
        after: Where the page begins: what the ``following`` of the one before has.
    """

    account_id: str
    security: bool = False
    action_id: str | None = None
    terms: tuple[Term, ...] = ()
    level: Level | None = None
    code: str | None = None
    status: str | None = None
    type: EventType | None = None
    entity_type: str | None = None
    row: int | None = None
    record_id: str | None = None
    email: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    limit: int = 50
    after: tuple[str | int, ...] | None = None

    @property
    def hidden_types(self) -> frozenset[EventType]:
        """The types of events that are not found."""
        return frozenset() if self.security else SECURITY_TYPES

    @property
    def filters(self) -> dict[str, Any]:
        """The fields of an event's document that must equal a value, without account, times, row and words."""
        wanted = {
            "actionId": self.action_id,
            "level": self.level,
            "code": self.code,
            "status": self.status,
            "type": self.type,
            "entityType": self.entity_type,
            "recordId": self.record_id,
            "email": self.email,
        }
        return {name: value for name, value in wanted.items() if value is not None}

    def finds(self, event: Event) -> bool:
        """Tell whether an event is what is asked for."""
        if event.account_id != self.account_id or event.type in self.hidden_types:
            return False
        if (self.since is not None and event.at < self.since) or (self.until is not None and event.at >= self.until):
            return False
        if self.filters:
            document = event.to_document()
            if any(document.get(name) != value for name, value in self.filters.items()):
                return False
        return self._has_row(event) and (not self.terms or self._has_terms(event))

    def _has_row(self, event: Event) -> bool:
        if self.row is None or event.row == self.row:
            return True
        # Its rows have no events of their own.
        if event.type != EventType.CHUNK_DEAD or event.first_row is None or event.last_row is None:
            return False
        return event.first_row <= self.row <= event.last_row

    def _has_terms(self, event: Event) -> bool:
        values = {value.casefold() for value in exact_values(event) if value is not None}
        words = set(words_of(event.message))
        return all(
            term.text.casefold() in values or (not term.exact and words.issuperset(term.words)) for term in self.terms
        )


def marks(message: str, terms: Sequence[Term]) -> list[tuple[int, int]]:
    """Return where the words of a query stand in a message: first and behind last character, in order."""
    wanted = {word for term in terms if not term.exact for word in term.words}
    return [found.span() for found in _WORD.finditer(message) if found[0].casefold() in wanted] if wanted else []


@dataclass(frozen=True, slots=True, kw_only=True)
class Searched:
    """How far a page has looked that could not look at everything: the ledger's.

    Attributes:
        actions: How many actions were looked at.
        chunks: How many chunks of these were read.
        since: When the last of these actions was made; None: there was none.
    """

    actions: int = 0
    chunks: int = 0
    since: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundEvents:
    """A page of what was found.

    Attributes:
        engine: Who has searched.
        events: In the order of the engine, the newest first.
        counts: For each of ``FACETS`` how many events have which value: of everything that is found, or, from the
            ledger, of this page.
        following: What the next page has as ``after``; None: this is the last.
        searched: How far was looked, where that was not everything.
    """

    engine: EngineName
    events: tuple[Event, ...]
    counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    following: tuple[str | int, ...] | None = None
    searched: Searched | None = None


def counts_of(events: Sequence[Event]) -> dict[str, dict[str, int]]:
    """Return for each of ``FACETS`` how many of these events have which value, the most frequent first."""
    found: dict[str, Counter[str]] = {name: Counter() for name in FACETS}
    for event in events:
        values = (event.code, event.status, event.entity_type, event.at.date().isoformat())
        for name, value in zip(FACETS, values, strict=True):
            if value is not None:
                found[name][value] += 1
    return {name: dict(counter.most_common()) for name, counter in found.items()}


class SearchEngine(Protocol):
    """Whoever can search events."""

    async def search(self, search: Search) -> FoundEvents:
        """Return a page of the events that are asked for.

        Raises:
            BadCursor: ``after`` is not from a page of this engine.
            app.domain.faults.DependencyFault: what it searches in is away.
        """


class BadCursor(ValueError):
    """The place where a page is to begin is none that the engine has given out."""
