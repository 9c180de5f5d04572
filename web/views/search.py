"""Search over the events of an account, and over those of one action."""

from __future__ import annotations

import base64
import binascii
import json
import re
import unicodedata
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, Final, Literal

from aiohttp import web
from pydantic import Field, PlainValidator

from app.domain.access import Role
from app.domain.actions import Status, is_action_id
from app.domain.entities import find_entity
from app.domain.events import MAX_VALUE, EventType, Level, email_of
from app.domain.nearest import suggestion
from app.domain.outcomes import RowStatus
from app.domain.printable import printable
from app.domain.searches import MAX_TEXT, BadCursor, FoundEvents, Search, Term, parse_moment, terms_of
from app.services.search import changes_of_record, search_events
from web.errors.catalogue import (
    ACTION_NOT_FOUND,
    INVALID_CURSOR,
    INVALID_LIMIT,
    INVALID_SEARCH,
    TOO_MANY_LOOKUPS,
    TOO_MANY_OPEN_LOOKUPS,
)
from web.inputs import Query, reads
from web.open_requests import counted, while_connected
from web.openapi.models import ActionId, ActionLogs, SearchResults
from web.openapi.operations import Answer, operation
from web.paging import CURSOR, DEFAULT_LIMIT, NEXT_PAGE, Limit, next_page
from web.representations import found_to_response
from web.views.base import ApiView, json_response

#: Longest cursor and code, characters; most digits of a row.
_MAX_CURSOR, _MAX_CODE, _MAX_DIGITS = 600, 64, 15
_CODE: Final = re.compile(r"[A-Za-z0-9_]+")

#: What an event may have as its status.
_STATUSES: Final = (*Status, "SKIPPED")


def _asked(name: str, read: Callable[[str], Any], schema: Any = str) -> PlainValidator:
    """Annotate a parameter that is read by a function, whose ``ValueError`` follows the name; empty, it is not sent."""

    def read_text(text: str) -> Any:
        if any(unicodedata.category(char) in ("Cc", "Cs") for char in text):
            raise INVALID_SEARCH(reason=f"{name} must have no control characters")
        try:
            return read(text.strip()) if text.strip() else None
        except ValueError as error:
            raise INVALID_SEARCH(reason=f"{name} {error}") from None

    return reads(read_text, schema=schema)


def _bounded(text: str) -> str:
    if len(text) > MAX_VALUE:
        raise ValueError(f"must have at most {MAX_VALUE} characters")
    return text


def _one_of(known: dict[str, Any], text: str) -> Any:
    if text not in known:
        raise ValueError(f"must be one of {', '.join(known)}{_meant(text, known)}")
    return known[text]


def _meant(text: str, known: dict[str, Any]) -> str:
    meant = suggestion(printable(text, 40), known)
    return meant.replace(": d", "; d") if meant.startswith(": did") else ""


def _read_level(text: str) -> Level:
    level: Level = _one_of({level.value: level for level in Level}, text.lower())
    return level


def _read_type(text: str) -> EventType:
    kind: EventType = _one_of({kind.value: kind for kind in EventType}, text.lower())
    return kind


def _read_status(text: str) -> str:
    return str(_one_of({str(status): str(status) for status in _STATUSES}, text.upper()))


def _read_code(text: str) -> str:
    if len(text) > _MAX_CODE or not _CODE.fullmatch(text):
        raise ValueError(f"must be a code of at most {_MAX_CODE} letters, digits and _")
    return text


def _read_row(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS and int(text) > 0):
        raise ValueError("must be the number of a row, from 1")
    return int(text)


def _read_action(text: str) -> str:
    if not is_action_id(text):
        raise ValueError("must be the id of an action: 24 digits and letters from a to f")
    return text


def _read_entity(text: str) -> str:
    entity = find_entity(_bounded(text))
    return text if entity is None else entity.name


def _read_cursor(text: str) -> tuple[str | int, ...]:
    try:
        values = json.loads(base64.b64decode(text.encode(), altchars=b"-_", validate=True))
    except (ValueError, RecursionError, binascii.Error):
        raise INVALID_CURSOR() from None
    known = isinstance(values, list) and len(text) <= _MAX_CURSOR and values
    if not known or not all(isinstance(value, str | int) and not isinstance(value, bool) for value in values):
        raise INVALID_CURSOR()
    return tuple(values)


def _written(place: tuple[str | int, ...]) -> str:
    return base64.urlsafe_b64encode(json.dumps(place, separators=(",", ":")).encode()).decode()


class LogsQuery(Query):
    """Which events of an action are found: those that have all that is asked for."""

    q: Annotated[
        tuple[Term, ...] | None,
        _asked("q", terms_of, Annotated[str, Field(max_length=MAX_TEXT)]),
        Field(
            description="Words, in any case and order, all of which the message must have. An e-mail address, the id "
            "of an action and a code such as `INVALID_EMAIL` are compared with those of the event instead, as a whole; "
            "so is every word, beside the message. There are no operators and no wildcards."
        ),
    ] = None
    level: Annotated[
        Level | None, _asked("level", _read_level, Level | Literal[""]), Field(description="Only this level.")
    ] = None
    code: Annotated[str | None, _asked("code", _read_code), Field(description="Only this code.")] = None
    status: Annotated[
        str | None,
        _asked("status", _read_status, Status | RowStatus | Literal[""]),
        Field(description="Only this status: of an action, or of a row."),
    ] = None
    type: Annotated[
        EventType | None, _asked("type", _read_type, EventType | Literal[""]), Field(description="Only this type.")
    ] = None
    row: Annotated[
        int | None,
        _asked("row", _read_row, Annotated[int, Field(ge=1)] | Literal[""]),
        Field(description="Only this row, and a chunk that was given up with it."),
    ] = None
    record_id: Annotated[
        str | None, _asked("recordId", _bounded), Field(description="Only rows of this id, exactly.")
    ] = None
    email: Annotated[
        str | None,
        _asked("email", lambda text: email_of(_bounded(text))),
        Field(description="Only rows with this e-mail address, in any case."),
    ] = None
    since: Annotated[
        datetime | None,
        _asked("from", parse_moment),
        Field(
            alias="from",
            description="Only what happened then or later: ISO 8601, UTC without an offset; a date is its begin.",
        ),
    ] = None
    until: Annotated[
        datetime | None,
        _asked("to", parse_moment),
        Field(alias="to", description="Only what happened before, written the same way."),
    ] = None
    limit: Limit = DEFAULT_LIMIT
    cursor: Annotated[tuple[str | int, ...] | None, reads(_read_cursor), CURSOR] = None

    def search(self, account_id: str, *, security: bool, **more: Any) -> Search:
        """Return what is asked for, on behalf of an account.

        Raises:
            ApiError: 400, it is a time that ends before it begins.
        """
        if self.since is not None and self.until is not None and self.since >= self.until:
            raise INVALID_SEARCH(reason="from must be before to").at("from")
        return Search(
            account_id=account_id,
            security=security,
            terms=self.q or (),
            level=self.level,
            code=self.code,
            status=self.status,
            type=self.type,
            row=self.row,
            record_id=self.record_id,
            email=self.email,
            since=self.since,
            until=self.until,
            limit=self.limit,
            after=self.cursor,
            **more,
        )


class SearchQuery(LogsQuery):
    """Which events of an account are found: those that have all that is asked for."""

    entity_type: Annotated[
        str | None, _asked("entityType", _read_entity), Field(description="Only rows and actions of this entity.")
    ] = None
    action_id: Annotated[
        str | None, _asked("actionId", _read_action, ActionId | Literal[""]), Field(description="Only this action.")
    ] = None


_PROBLEMS = (INVALID_SEARCH, INVALID_LIMIT, INVALID_CURSOR, TOO_MANY_OPEN_LOOKUPS, TOO_MANY_LOOKUPS)

_DETAILS = (
    "Where there is an index (Elasticsearch), it finds everything, the newest first, and `counts` are of all that is "
    "found. Else, and while it is away, the ledger is searched: action by action, the newest first, with counts of "
    "the page. What a request looks at is bounded then: a page may have less than `limit` events, or none, and be "
    "followed by others; `searched` says what it was. Events about credentials are found by admins only."
)


class _SearchView(ApiView):
    """What both searches share."""

    async def _found(self, request: web.Request, search: Search) -> FoundEvents:
        try:
            return await while_connected(request, search_events(self.context, search))
        except BadCursor:
            raise INVALID_CURSOR() from None

    def _counted(self, account_id: str) -> Any:
        settings = self.context.settings
        return counted(
            self.context.open_lookups,
            account_id,
            most=settings.max_open_lookups,
            most_of_account=settings.max_open_lookups_per_account,
            of_worker=TOO_MANY_LOOKUPS,
            of_account=TOO_MANY_OPEN_LOOKUPS,
        )

    def _sees_security(self, request: web.Request) -> bool:
        return self.principal(request).role.covers(Role.ADMIN)


def _headers(request: web.Request, found: FoundEvents) -> dict[str, str] | None:
    return None if found.following is None else next_page(request, _written(found.following))


class SearchView(_SearchView):
    """The events of an account."""

    @operation(
        "searchEvents",
        {200: Answer("A page of events.", SearchResults, headers=NEXT_PAGE)},
        *_PROBLEMS,
        role=Role.VIEWER,
        query=SearchQuery,
        details=_DETAILS
        + " With `recordId` alone, or with `entityType`, `actionId`, `from` and `to` beside it, the first "
        "page has in `changes` what rows have done to the records of that id, too.",
    )
    async def get(self, request: web.Request) -> web.Response:
        """Find what happened in an account."""
        asked, account = SearchQuery.read(request.query), self.account(request)
        search = asked.search(
            account, security=self._sees_security(request), entity_type=asked.entity_type, action_id=asked.action_id
        )
        with self._counted(account):
            found = await self._found(request, search)
            changes = await while_connected(request, changes_of_record(self.context, search))
        return json_response(found_to_response(found, search, changes), headers=_headers(request, found))


class ActionLogsView(_SearchView):
    """The events of one action."""

    @operation(
        "searchBulkActionLogs",
        {200: Answer("A page of events.", ActionLogs, headers=NEXT_PAGE)},
        ACTION_NOT_FOUND,
        *_PROBLEMS,
        role=Role.VIEWER,
        query=LogsQuery,
        details=_DETAILS,
    )
    async def get(self, request: web.Request, action_id: str) -> web.Response:
        """Find what happened to an action, its chunks and its rows."""
        action, asked = await self.action(request, action_id), LogsQuery.read(request.query)
        search = asked.search(action.account_id, security=self._sees_security(request), action_id=action.id)
        with self._counted(action.account_id):
            found = await self._found(request, search)
        # What was missing of one that was deleted meanwhile is not to look as if it had not happened.
        await self.action(request, action_id)
        return json_response(found_to_response(found, search), headers=_headers(request, found))
