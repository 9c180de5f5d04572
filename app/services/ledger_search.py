"""Search without an index: the events of an account, made from its actions and their ledger, and looked through.

The newest action comes first; of an action first what happened to it as a whole, then its chunks in order. What a page
looks at is bounded; it says how far it has looked, and where the next one begins.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from app.adapters.mongo.ledger import Finished
from app.adapters.storage import ObjectMissing
from app.context import AppContext
from app.domain.action_events import chunk_event, transition_events
from app.domain.actions import Action, is_action_id
from app.domain.events import Event, EventType, Level
from app.domain.outcomes import RowStatus
from app.domain.searches import BadCursor, FoundEvents, Search, Searched, counts_of
from app.domain.streams import place_of
from app.kafka.messages import chunk_id
from app.services.action_events import chunk_events
from app.services.ledger_walk import chunks_with
from app.services.stored_rows import StoredRows

#: Most actions, finished chunks, and chunks whose rows are read, that one page looks at.
_MOST_ACTIONS, _MOST_CHUNKS, _MOST_READ = 500, 1_000, 32
#: Most events that are documents of their own, and those of them that are read in one query.
_MOST_STORED, _STORED_PER_READ = 1_000, 100
#: Actions, and ledger entries, read in one query.
_ACTIONS_PER_READ, _CHUNKS_PER_READ = 100, 16
#: Where the events of an action begin: before its chunks.
_BEFORE_CHUNKS: Final = -1

_EPOCH, _MILLISECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(milliseconds=1)

#: Timestamps end with the year 9999.
_LAST_MILLISECOND: Final = 253_402_300_799_000

_OF_ROWS: dict[EventType, RowStatus] = {EventType.ROW_FAILED: "FAILED", EventType.ROW_SKIPPED: "SKIPPED"}
_LEVEL_OF: dict[RowStatus, Level] = {"FAILED": Level.ERROR, "SKIPPED": Level.WARNING}
_OF_CHUNKS = (EventType.CHUNK_COMPLETED, EventType.CHUNK_DEAD)


class Place(NamedTuple):
    """Where a page begins: at an event of an action.

    Attributes:
        made: When the action was made, milliseconds of Unix time.
        action_id: The action.
        chunk: The chunk; ``_BEFORE_CHUNKS``: the events of the action itself.
        passed: How many events of these were looked at already.
    """

    made: int
    action_id: str
    chunk: int = _BEFORE_CHUNKS
    passed: int = 0

    @classmethod
    def of(cls, action: Action, chunk: int = _BEFORE_CHUNKS, passed: int = 0) -> Place:
        """Return a place in an action."""
        return cls((action.created_at - _EPOCH) // _MILLISECOND, action.id, chunk, passed)

    @classmethod
    def read(cls, values: Sequence[str | int]) -> Place:
        """Read a place from where a page ends.

        Raises:
            BadCursor: it is none.
        """
        match list(values):
            case [int(made), str(action_id), int(chunk), int(passed)] if (
                0 <= made < _LAST_MILLISECOND
                and is_action_id(action_id)
                and _BEFORE_CHUNKS <= chunk < 1 << 40
                and passed >= 0
            ):
                return cls(made, action_id, chunk, passed)
        raise BadCursor("there is no such place in the ledger")

    @property
    def made_at(self) -> datetime:
        """When the action was made."""
        return _EPOCH + self.made * _MILLISECOND


class StoredPlace(NamedTuple):
    """Where a page begins: behind an event that is a document of its own; those come before all actions.

    Attributes:
        at: When that happened, milliseconds of Unix time.
        event_id: Which it is; "": any of that time.
    """

    at: int
    event_id: str

    @classmethod
    def of(cls, at: datetime, event_id: str) -> StoredPlace:
        """Return the place behind an event."""
        return cls((at - _EPOCH) // _MILLISECOND, event_id)

    @property
    def before(self) -> tuple[datetime, str]:
        """What is to be older."""
        return _EPOCH + self.at * _MILLISECOND, self.event_id


def _read_place(values: Sequence[str | int]) -> Place | StoredPlace:
    match list(values):
        case [int(at), str(event_id)] if 0 <= at < _LAST_MILLISECOND:
            return StoredPlace(at, event_id)
    return Place.read(values)


class LedgerSearch:
    """Searches in what is stored of actions."""

    def __init__(self, context: AppContext) -> None:
        self._context = context

    async def search(self, search: Search) -> FoundEvents:
        """Return a page of the events that are asked for; its counts are of this page alone.

        Raises:
            BadCursor: ``after`` is not from a page of this engine.
            OSError: the storage is away.
            app.domain.faults.DependencyFault: the database is away.
        """
        begin = None if search.after is None else _read_place(search.after)
        return await _Look(self._context, search).run(begin)


class _Look:
    """One look through the events of an account."""

    def __init__(self, context: AppContext, search: Search) -> None:
        self._context, self._search = context, search
        self._events: list[Event] = []
        self._actions = self._chunks = self._chunks_read = 0
        self._since: datetime | None = None
        self._following: Place | StoredPlace | None = None
        #: The statuses that rows may have which are asked for; without any, no row is.
        self._statuses = _row_statuses(search)
        self._wants_chunks = _wants_chunks(search)

    async def run(self, begin: Place | StoredPlace | None) -> FoundEvents:
        """Look from a place on until everything, or enough, was looked at."""
        if not isinstance(begin, Place):
            await self._look_at_stored(begin)
            begin = None
        if self._following is None:
            await self._look_at_actions(begin)
        return FoundEvents(
            engine="ledger",
            events=tuple(self._events),
            counts=counts_of(self._events),
            following=self._following,
            searched=Searched(actions=self._actions, chunks=self._chunks, since=self._since),
        )

    async def _look_at_stored(self, begin: StoredPlace | None) -> None:
        """Look at the events that are documents of their own, the newest first."""
        search, looked = self._search, 0
        if search.row is not None or search.record_id is not None or search.email is not None:
            return
        if begin is None and search.until is not None:
            # The next millisecond: what is to be found is compared again.
            begin = StoredPlace.of(search.until + _MILLISECOND, "")
        while True:
            found = await self._context.store.events.page(
                search.account_id,
                _STORED_PER_READ,
                action_id=search.action_id,
                before=None if begin is None else begin.before,
            )
            there = await self._there(found)
            for event in found:
                if search.since is not None and event.at < search.since:
                    return
                if search.finds(event) and event.action_id in there:
                    if len(self._events) == search.limit:
                        self._following = begin
                        return
                    self._events.append(event)
                begin = StoredPlace.of(event.at, event.id)
            looked += len(found)
            if len(found) < _STORED_PER_READ:
                return
            if looked >= _MOST_STORED:
                self._following = begin
                return

    async def _there(self, events: Sequence[Event]) -> set[str | None]:
        """Return which of the actions of events are not deleted, and None for those of no action."""
        ids = sorted({event.action_id for event in events if event.action_id is not None})
        return {None, *(action.id for action in (await self._context.store.actions.some(ids) if ids else ()))}

    async def _look_at_actions(self, begin: Place | None) -> None:
        """Look at what follows from actions, from a place on."""
        async with aclosing(self._candidates(begin)) as actions:
            async for action in actions:
                place = Place.of(action)
                begins_here = begin is not None and begin.action_id == action.id
                if begins_here and begin is not None:
                    place = begin
                if self._actions == _MOST_ACTIONS or (self._actions and self._chunks_read >= _MOST_READ):
                    self._following = place
                else:
                    self._actions, self._since = self._actions + 1, action.created_at
                    await self._look(action, place)
                if self._following is not None:
                    break

    async def _candidates(self, begin: Place | None) -> AsyncGenerator[Action, None]:
        """Yield the actions that may have events that are asked for, as a list has them, from a place on."""
        actions, search = self._context.store.actions, self._search
        if search.action_id is not None:
            action = await actions.get(search.action_id, search.account_id)
            if action is not None and (begin is None or begin.action_id == action.id):
                yield action
            return
        if begin is not None:
            # It need not be the one of this account that the page before has ended with: nothing else is yielded.
            action = await actions.get(begin.action_id, search.account_id)
            if action is not None:
                yield action
        before = None if begin is None else (begin.made_at, begin.action_id)
        if before is None and search.until is not None:
            before = search.until, ""
        while found := await actions.page(
            search.account_id, _ACTIONS_PER_READ, entity_type=search.entity_type, before=before, history=True
        ):
            for action in found:
                # Nothing has happened to it since.
                if search.since is None or action.last_change >= search.since:
                    yield action
            before = found[-1].created_at, found[-1].id

    async def _look(self, action: Action, begin: Place) -> None:
        """Look at the events of an action from a place on, until that is enough."""
        if begin.chunk == _BEFORE_CHUNKS:
            events = _own_events(action)
            if self._take(action, _BEFORE_CHUNKS, begin.passed, events[begin.passed :]):
                return
        if not self._wants_chunks and not self._statuses:
            return
        # As a list has it, an action says nothing of its columns.
        whole = await self._context.store.actions.get(action.id, self._search.account_id)
        if whole is None:
            return
        first, passed = max(begin.chunk, 0), begin.passed if begin.chunk >= 0 else 0
        async with aclosing(self._finished(whole, first)) as entries:
            async for index, entry in entries:
                if await self._look_at_chunk(whole, index, entry, passed if index == first else 0):
                    return

    async def _finished(self, action: Action, first: int) -> AsyncGenerator[tuple[int, Finished], None]:
        """Yield the finished chunks that may have events that are asked for, from one on, in order."""
        ledger = self._context.store.ledger
        async for indexes in self._indexes(action, first):
            for start in range(0, len(indexes), _CHUNKS_PER_READ):
                batch = indexes[start : start + _CHUNKS_PER_READ]
                found = await ledger.finished([chunk_id(action.id, index) for index in batch])
                for index in batch:
                    if (entry := found.get(chunk_id(action.id, index))) is not None:
                        yield index, entry

    async def _indexes(self, action: Action, first: int) -> AsyncIterator[Sequence[int]]:
        if self._search.row is not None and (index := await self._chunk_of(action, self._search.row)) is not None:
            yield [index] if index >= first else []
            return
        search = self._search
        every = self._wants_chunks and search.code is None and search.level is not Level.ERROR
        async for indexes in chunks_with(self._context, action, None if every else self._statuses or {"FAILED"}, first):
            yield indexes

    async def _chunk_of(self, action: Action, row: int) -> int | None:
        """Return which chunk has a row, where it is; None: that cannot be told any more."""
        if action.stream is not None:
            return place_of(row)[0]
        self._chunks_read += 1
        try:
            spans = await StoredRows(self._context.store, self._context.storage, action).index()
        except (ObjectMissing, ValueError):
            return None
        return max(bisect_right(range(len(spans)), row, key=lambda index: spans.span(index).first_row) - 1, 0)

    async def _look_at_chunk(self, action: Action, index: int, entry: Finished, passed: int) -> bool:
        """Look at the events of a chunk behind the first ``passed``; tell whether that is enough."""
        # Of each page one chunk at least: else the next would begin where this one did.
        if self._chunks and (self._chunks == _MOST_CHUNKS or self._chunks_read >= _MOST_READ):
            self._following = Place.of(action, index, passed)
            return True
        self._chunks += 1
        events = [chunk_event(action, index, entry.outcome, entry.at)]
        if self._may_have_rows(entry):
            self._chunks_read += 1
            # None, if the action was deleted meanwhile.
            made = [events async for _, events in chunk_events(self._context, action, [index])]
            events = made[0] if made else []
        return await self._take_many(action, index, passed, events[passed:])

    def _may_have_rows(self, entry: Finished) -> bool:
        if not self._statuses or entry.outcome.given_up:
            return False
        search = self._search
        return any(
            row.status in self._statuses and search.code in (None, row.code) and search.row in (None, row.row)
            for row in entry.outcome.exceptions
        )

    async def _take_many(self, action: Action, chunk: int, passed: int, events: Sequence[Event]) -> bool:
        # In a thread: a chunk may have thousands of rows that failed.
        return await asyncio.to_thread(self._take, action, chunk, passed, events)

    def _take(self, action: Action, chunk: int, passed: int, events: Sequence[Event]) -> bool:
        """Take those events that are asked for, as far as there is room; tell whether there is not."""
        for place, event in enumerate(events, passed):
            if not self._search.finds(event):
                continue
            if len(self._events) == self._search.limit:
                self._following = Place.of(action, chunk, place)
                return True
            self._events.append(event)
        return False


def _own_events(action: Action) -> list[Event]:
    """Return the events of an action itself, those last that may be gone at the next page."""
    return sorted(transition_events(action), key=lambda event: event.type == EventType.CHUNK_REISSUED)


def _row_statuses(search: Search) -> frozenset[RowStatus]:
    """Return which statuses rows may have that are asked for."""
    return frozenset(
        status
        for kind, status in _OF_ROWS.items()
        if search.type in (None, kind) and search.status in (None, status) and search.level in (None, _LEVEL_OF[status])
    )


def _wants_chunks(search: Search) -> bool:
    """Tell whether events of whole chunks may be asked for, which say nothing of a single row."""
    of_rows = (search.status, search.record_id, search.email)
    return search.type in (None, *_OF_CHUNKS) and all(value is None for value in of_rows)
