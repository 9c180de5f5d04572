"""Search over the events of an account: in the index, if there is one, else in the ledger."""

from __future__ import annotations

import logging
from dataclasses import replace
from operator import attrgetter
from typing import Final, NamedTuple

from app.context import AppContext
from app.domain.entities import ENTITIES, Entity, find_entity
from app.domain.faults import DependencyFault
from app.domain.searches import BadCursor, FoundEvents, Search, SearchEngine
from app.observability.logs import event
from app.services.ledger_search import LedgerSearch
from app.services.record_history import HistoryEntry, page_of_history

log = logging.getLogger(__name__)

_LEDGER: Final = "ledger"
_INDEX: Final = "elasticsearch"


class Change(NamedTuple):
    """What a row has done to the record that is asked for."""

    entity: Entity
    entry: HistoryEntry


class Changes(NamedTuple):
    """What was done to the records with an id, the last first, and whether that is all of it."""

    changes: list[Change]
    complete: bool


async def search_events(context: AppContext, search: Search) -> FoundEvents:
    """Return a page of the events that are asked for.

    A search begins in the index, if there is one; while that is away, in the ledger. Its further pages come from where
    the first one did: ``after`` and ``following`` say which that is, before what the engine itself says.

    Raises:
        BadCursor: ``after`` is no place where a page can begin.
        OSError: the storage is away.
        DependencyFault: the database is away, or the index from which the page before came.
    """
    ledger, index = LedgerSearch(context), context.index_search
    if search.after is not None:
        name, *place = search.after or ("",)
        search = replace(search, after=tuple(place))
        if name == _LEDGER:
            return _named(await ledger.search(search))
        if name != _INDEX or index is None:
            raise BadCursor("there is no such engine")
        return _named(await _of_index(context, index, search))
    if index is not None:
        try:
            return _named(await _of_index(context, index, search))
        except DependencyFault as error:
            log.warning(event("the index of events is away, the ledger is searched", error=str(error)))
    return _named(await ledger.search(search))


async def _of_index(context: AppContext, index: SearchEngine, search: Search) -> FoundEvents:
    """Return what the index has found, without actions that were deleted: they may be in it for some seconds more."""
    found = await index.search(search)
    ids = {event.action_id for event in found.events if event.action_id is not None}
    there = {action.id for action in await context.store.actions.some(sorted(ids))} if ids else set()
    shown = (event for event in found.events if event.action_id is None or event.action_id in there)
    return replace(found, events=tuple(shown))


def _named(found: FoundEvents) -> FoundEvents:
    return found if found.following is None else replace(found, following=(found.engine, *found.following))


async def changes_of_record(context: AppContext, search: Search) -> Changes | None:
    """Return what rows have done to the records with the id that is asked for; None: something else is asked for.

    A record has an id within its entity: without an entity all are looked through, those first that come first in the
    list of entities, and of each at most a page (:func:`app.services.record_history.page_of_history`).

    Raises:
        OSError: the storage is away.
        DependencyFault: the database is away.
    """
    others = (search.terms or None, search.level, search.code, search.status, search.type, search.row, search.email)
    if search.record_id is None or search.after is not None or any(other is not None for other in others):
        return None
    if search.entity_type is None:
        entities = list(ENTITIES.values())
    else:
        entities = [entity] if (entity := find_entity(search.entity_type)) is not None else []
    found, complete = [], True
    for entity in entities:
        page = await page_of_history(
            context, search.account_id, entity, search.record_id, begin=None, limit=search.limit
        )
        complete = complete and page.following is None
        found += [Change(entity, entry) for entry in page.entries if _wanted(search, entry)]
    found.sort(key=attrgetter("entry.at"), reverse=True)
    return Changes(found[: search.limit], complete and len(found) <= search.limit)


def _wanted(search: Search, entry: HistoryEntry) -> bool:
    return (
        search.action_id in (None, entry.action.id)
        and (search.since is None or entry.at >= search.since)
        and (search.until is None or entry.at < search.until)
    )
