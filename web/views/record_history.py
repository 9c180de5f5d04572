"""A record, and what rows of which actions have done to it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

from aiohttp import web

from app.domain.access import Role
from app.domain.actions import is_action_id
from app.services.record_history import Place, page_of_history
from web.errors.catalogue import (
    ENTITY_NOT_FOUND,
    INVALID_CURSOR,
    INVALID_LIMIT,
    RECORD_NOT_FOUND,
    TOO_MANY_LOOKUPS,
    TOO_MANY_OPEN_LOOKUPS,
)
from web.inputs import Query, reads
from web.open_requests import counted, while_connected
from web.openapi.models import RecordHistory
from web.openapi.operations import Answer, operation
from web.paging import CURSOR, DEFAULT_LIMIT, NEXT_PAGE, Limit, next_page
from web.representations import record_to_response
from web.views.base import ApiView, json_response
from web.views.entities import entity_of

_EPOCH, _MILLISECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(milliseconds=1)
#: Longest cursor, characters.
_MAX_CURSOR: Final = 60


def _read_place(text: str) -> Place:
    started_at, _, rest = text.partition("-")
    action_id, _, chunk = rest.partition("-")
    numbers = all(part.isascii() and part.isdigit() for part in (started_at, chunk))
    if len(text) > _MAX_CURSOR or not numbers or not is_action_id(action_id):
        raise INVALID_CURSOR()
    try:
        return Place(_EPOCH + int(started_at) * _MILLISECOND, action_id, int(chunk))
    except OverflowError:
        raise INVALID_CURSOR() from None


def _written(place: Place) -> str:
    return f"{(place.started_at - _EPOCH) // _MILLISECOND}-{place.action_id}-{place.chunk}"


class HistoryQuery(Query):
    """Which part of a history is shown."""

    limit: Limit = DEFAULT_LIMIT
    cursor: Annotated[Place | None, reads(_read_place), CURSOR] = None


class RecordView(ApiView):
    """A record."""

    @operation(
        "getRecord",
        {200: Answer("The record, and a page of its history.", RecordHistory, headers=NEXT_PAGE)},
        INVALID_LIMIT,
        INVALID_CURSOR,
        ENTITY_NOT_FOUND,
        RECORD_NOT_FOUND,
        TOO_MANY_OPEN_LOOKUPS,
        TOO_MANY_LOOKUPS,
        role=Role.VIEWER,
        query=HistoryQuery,
        details="A record that was deleted has a history, and `record` is null. Rows that failed, were skipped, or "
        "found the record as it was have done nothing to it. While an action runs, what is finished counts. A page may "
        "have less than `limit` entries, or none, and be followed by others: what a request looks at is bounded, and "
        "`searched` says what that was.",
    )
    async def get(self, request: web.Request, entity_type: str, record_id: str) -> web.Response:
        """Get a record with what rows have done to it."""
        entity, asked = entity_of(entity_type), HistoryQuery.read(request.query)
        account, settings = self.account(request), self.context.settings
        with counted(
            self.context.open_lookups,
            account,
            most=settings.max_open_lookups,
            most_of_account=settings.max_open_lookups_per_account,
            of_worker=TOO_MANY_LOOKUPS,
            of_account=TOO_MANY_OPEN_LOOKUPS,
        ):
            record = await self.context.store.records.get(entity.collection, f"{account}:{record_id}")
            history = page_of_history(self.context, account, entity, record_id, begin=asked.cursor, limit=asked.limit)
            page = await while_connected(request, history)
        known = record or page.entries or page.unreadable or page.following or asked.cursor
        if not known:
            raise RECORD_NOT_FOUND()
        headers = next_page(request, _written(page.following)) if page.following else None
        return json_response(record_to_response(entity, record_id, record, page), headers=headers)
