"""Events that no other document has: counted by the minute, bounded, and written in the background."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from app.adapters.event_log import MOST_ALONE, EventLog
from app.domain.access import InvalidToken, Unauthenticated
from app.domain.account_events import OTHERS, TOKEN_INVALID, Happening, credential_refused, limit_hit
from app.domain.events import Event, EventType, Level
from app.domain.faults import Dependency, PassingFault

NOW = datetime.now(UTC).replace(second=7, microsecond=0)


class MemoryEvents:
    """Keeps what it is given; away as often as it is told to be."""

    def __init__(self, away: int = 0) -> None:
        self.away = away
        self.added: list[Event] = []
        self.expiries: list[datetime | None] = []

    async def add(self, event: Event, expire_at: datetime | None) -> None:
        if self.away:
            self.away -= 1
            raise PassingFault("away", Dependency.DATABASE, away=True)
        self.added.append(event)
        self.expiries.append(expire_at)

    @property
    def counts(self) -> dict[str | None, int]:
        return {event.code: event.count or 0 for event in self.added}


def log_into(events: MemoryEvents, retention: timedelta | None = None) -> EventLog:
    return EventLog(cast(Any, events), retention, clock=lambda: NOW)


def hit(code: str = "RATE_LIMITED", account: str = "mine") -> Happening:
    return limit_hit(account, code, source="203.0.113.7", actor="key 1")


async def test_the_same_is_counted() -> None:
    """What happens again in a minute is one event, with the time of the first."""
    events = MemoryEvents()
    log = log_into(events, timedelta(days=1))
    for second in (0, 1, 2):
        log.note(hit(), NOW + timedelta(seconds=second))
    await log.flush()
    await log.flush()
    [event] = events.added
    assert (event.count, event.at, event.level) == (3, NOW, Level.WARNING)
    assert events.expiries == [NOW + timedelta(days=1)]


async def test_minutes_are_told_apart() -> None:
    events = MemoryEvents()
    log = log_into(events)
    for minute in (0, 1):
        log.note(hit(), NOW + timedelta(minutes=minute))
    await log.flush()
    assert len({event.id for event in events.added}) == 2


async def test_a_flood_is_bounded() -> None:
    """Of each type a number is told alone in a minute, whatever was written by then, and the rest together."""
    events = MemoryEvents()
    log = log_into(events)
    for number in range(MOST_ALONE * 3):
        log.note(hit(account=f"a{number}"), NOW)
        if number == MOST_ALONE * 2:
            await log.flush()
    log.note(Happening(type=EventType.KEY_MADE, account_id="mine", code="k", message="m"), NOW)
    await log.flush()
    others = [event for event in events.added if event.code == OTHERS]
    assert {event.id for event in others} == {others[0].id}
    assert sum(event.count or 0 for event in others) == MOST_ALONE * 2
    assert all(event.account_id is None for event in others)
    assert len(events.added) == MOST_ALONE + len(others) + 1
    assert "k" in events.counts


async def test_messages_make_no_more_events() -> None:
    """Of what is counted together the first message is told: what somebody else writes makes nothing grow."""
    events = MemoryEvents()
    log = log_into(events)
    for number in range(1000):
        log.note(Happening(type=EventType.DEAD_LETTER_STORED, account_id="mine", message=f"m{number}"), NOW)
    await log.flush()
    [event] = events.added
    assert (event.message, event.count) == ("m0", 1000)


async def test_a_database_that_is_away_loses_nothing() -> None:
    """What could not be written is written later, with what has come meanwhile."""
    events = MemoryEvents(away=1)
    log = log_into(events)
    log.note(hit("A"), NOW)
    log.note(hit("B"), NOW)
    with pytest.raises(PassingFault):
        await log.flush()
    log.note(hit("A"), NOW)
    await log.flush()
    assert events.counts == {"A": 2, "B": 1}


async def test_old_events_are_dropped() -> None:
    """A database that is away for long does not make a worker grow."""
    events = MemoryEvents()
    log = log_into(events)
    log.note(hit(), NOW - timedelta(minutes=11))
    await log.flush()
    assert events.added == []


async def test_the_last_are_written_at_the_end() -> None:
    """A worker that stops writes what it has; an error then stops nothing."""
    events = MemoryEvents()
    log = log_into(events)
    log.note(hit(), NOW)
    await log.close()
    assert len(events.added) == 1
    away = log_into(MemoryEvents(away=9))
    away.note(hit(), NOW)
    await away.close()


def test_refused_credentials_are_told_apart() -> None:
    """A credential that is nobody's is told of nobody, without anything of it."""
    unknown = credential_refused(Unauthenticated("no"), token=False, source="203.0.113.7")
    bad_token = credential_refused(InvalidToken("bad"), token=True, source=None)
    assert (unknown.account_id, bad_token.account_id) == (None, None)
    assert bad_token.code == TOKEN_INVALID != unknown.code
