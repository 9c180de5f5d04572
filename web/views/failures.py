"""The failures of an action, grouped by what is wrong."""

from __future__ import annotations

from aiohttp import web

from app.domain.access import Role
from app.domain.rows import RowsUnreadable
from app.services.failures import group_failures
from web.downloads import counted_download
from web.errors.catalogue import (
    ACTION_NOT_FOUND,
    INVALID_LIMIT,
    ROWS_UNREADABLE,
    TOO_MANY_DOWNLOADS,
    TOO_MANY_OPEN_DOWNLOADS,
)
from web.inputs import Query
from web.openapi.models import Failures
from web.openapi.operations import Answer, operation
from web.paging import DEFAULT_LIMIT, Limit
from web.representations import failures_to_response
from web.views.base import ApiView, json_response


class FailuresQuery(Query):
    """How much is told of the failures."""

    limit: Limit = DEFAULT_LIMIT


class ActionFailuresView(ApiView):
    """The failures of one action."""

    @operation(
        "groupBulkActionFailures",
        {200: Answer("The groups, largest first.", Failures)},
        INVALID_LIMIT,
        ACTION_NOT_FOUND,
        ROWS_UNREADABLE,
        TOO_MANY_OPEN_DOWNLOADS,
        TOO_MANY_DOWNLOADS,
        role=Role.VIEWER,
        query=FailuresQuery,
        details="Rows that failed for the same code, column and value are a group, with the numbers of its first rows. "
        "While the action runs, of what is finished. Of very many failures the first 100,000 are looked at, and of "
        "very many values the first 1,000 are told apart: the rows of all others are in groups with `otherValues`.",
    )
    async def get(self, request: web.Request, action_id: str) -> web.Response:
        """Group the failures by what is wrong."""
        action, asked = await self.action(request, action_id), FailuresQuery.read(request.query)
        with counted_download(self.context, action.account_id):
            try:
                groups = await group_failures(self.context, action)
            except RowsUnreadable as error:
                raise ROWS_UNREADABLE(reason=error) from None
        return json_response(failures_to_response(action, groups, asked.limit))
