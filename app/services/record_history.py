"""Which rows of which actions have created, changed and deleted a record.

No write of a row leaves a note for it. Looked through are the ledger entries of the actions that have changed records
of the entity, the last action to start first: each has a filter of the ids whose records its chunk has changed, so
that hardly any chunk is read but those that have a row of the record.

What a request looks at is bounded; a page says how far it has looked, and where the next one begins.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple

from app.adapters.mongo.ledger import Changes
from app.adapters.storage import ObjectMissing
from app.context import AppContext
from app.domain.actions import Action
from app.domain.entities import Entity
from app.domain.outcomes import CHANGES
from app.kafka.messages import chunk_id
from app.services.retries import original_rows
from app.services.stored_rows import StoredRows

#: Ledger entries whose filters are read in one query: 300 KB with chunks of 2,000 rows.
_PER_READ: Final = 100
#: Most of them, and most chunks whose rows are read, for one page.
_MOST_CHUNKS, _MOST_READ = 2_000, 32


class Place(NamedTuple):
    """A chunk in the order in which chunks are looked at: when its action started, the action, and its index."""

    started_at: datetime
    action_id: str
    chunk: int


class HistoryEntry(NamedTuple):
    """What a row has done to the record.

    Attributes:
        action: Its action.
        row: Its number.
        change: One of ``CHANGES``.
        at: When its chunk was finished.
        original: Of a row of a retry, its number in the file of the action that is retried, where that is known.
    """

    action: Action
    row: int
    change: str
    at: datetime
    original: int | None = None


@dataclass(slots=True)
class HistoryPage:
    """A part of a history, the last action to start first.

    Attributes:
        entries: What was found.
        actions: How many actions were looked at.
        chunks: How many chunks of these.
        since: When the last of these actions had started; None: there was none.
        unreadable: Actions that may have changed the record, and whose file cannot be read any more.
        following: Where to go on; None: everything was looked at.
    """

    entries: list[HistoryEntry] = field(default_factory=list)
    actions: int = 0
    chunks: int = 0
    since: datetime | None = None
    unreadable: list[str] = field(default_factory=list)
    following: Place | None = None


async def page_of_history(
    context: AppContext, account_id: str, entity: Entity, key: str, *, begin: Place | None, limit: int
) -> HistoryPage:
    """Return which rows have changed a record.

    Args:
        context: The stores.
        account_id: Whose record it is.
        entity: What it is.
        key: Its id.
        begin: Where to begin; None: with the action that was last to start.
        limit: Most entries.

    Raises:
        OSError: the storage is away.
        app.domain.faults.DependencyFault: the database is away.
    """
    return await _Search(context, account_id, entity, key, limit).run(begin)


class _Search:
    """One look through the ledger."""

    def __init__(self, context: AppContext, account_id: str, entity: Entity, key: str, limit: int) -> None:
        self._context, self._account_id, self._entity, self._limit = context, account_id, entity, limit
        self._key, self._wanted = key, key.encode()
        self._page = HistoryPage()
        self._chunks_read = 0
        #: The action that was counted last, and the last of which nothing more is to be known: of its rows one at most
        #: owns the record.
        self._counted = self._done = ""

    async def run(self, begin: Place | None) -> HistoryPage:
        """Look from a place on until everything, or enough, was looked at."""
        page = self._page
        async with aclosing(self._batches(begin)) as batches:
            async for batch in batches:
                if page.chunks >= _MOST_CHUNKS:
                    page.following = _place(*batch[0])
                    break
                if await self._look(batch):
                    break
        return page

    async def _batches(self, begin: Place | None) -> AsyncGenerator[list[tuple[Action, int]], None]:
        """Return the chunks from a place on, some at a time, as actions with indexes."""
        batch: list[tuple[Action, int]] = []
        found = self._context.store.actions.changing(
            self._account_id, self._entity.name, upto=None if begin is None else begin.started_at
        )
        async with aclosing(found) as actions:
            async for action in actions:
                place = _place(action, 0)
                if begin is not None and place[:2] > begin[:2]:
                    continue
                first = begin.chunk if begin is not None and place[:2] == begin[:2] else 0
                for index in range(first, action.chunk_count):
                    if action.id == self._done:
                        break
                    batch.append((action, index))
                    if len(batch) == _PER_READ:
                        yield batch
                        batch = []
        if batch:
            yield batch

    async def _look(self, batch: list[tuple[Action, int]]) -> bool:
        """Look at some chunks; tell whether that is enough, although there are more."""
        page, names = self._page, [chunk_id(action.id, index) for action, index in batch]
        found = await self._context.store.ledger.changes(names)
        for (action, index), name in zip(batch, names, strict=True):
            if action.id == self._done:
                continue
            if len(page.entries) == self._limit or self._chunks_read == _MOST_READ:
                page.following = _place(action, index)
                return True
            self._count(action)
            changes = found.get(name)
            if changes is not None and changes.may_have(self._wanted):
                await self._read(action, index, changes)
        return False

    def _count(self, action: Action) -> None:
        page = self._page
        page.chunks += 1
        if action.id != self._counted:
            page.actions, page.since, self._counted = page.actions + 1, action.started_at, action.id

    async def _read(self, action: Action, index: int, changes: Changes) -> None:
        """Read the rows of a chunk that may have one of the record."""
        self._chunks_read += 1
        ledger, name = self._context.store.ledger, chunk_id(action.id, index)
        # As a list has it, an action says nothing of its columns.
        whole = await self._context.store.actions.get(action.id, self._account_id)
        outcome = (await ledger.outcomes([name])).get(name)
        if whole is None or outcome is None:
            return
        try:
            rows = await StoredRows(self._context.store, self._context.storage, whole).about(index, self._key)
        except (ObjectMissing, ValueError):
            self._page.unreadable.append(action.id)
            self._done = action.id
            return
        for row in rows:
            change = outcome.code(row)
            if change in CHANGES and not any(entry.row == row for entry in outcome.exceptions):
                originals = await original_rows(self._context, whole, [row])
                self._page.entries.append(HistoryEntry(whole, row, change, changes.at, originals.get(row)))
                self._done = action.id


def _place(action: Action, index: int) -> Place:
    return Place(action.started_at or action.created_at, action.id, index)
