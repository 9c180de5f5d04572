"""The outcome of each row of an action, in the order of the file."""

from __future__ import annotations

from typing import Annotated

from aiohttp import web
from pydantic import Field

from app.domain.access import Role
from app.domain.outcomes import STATUSES, RowStatus
from app.services.retries import original_rows
from app.services.row_pages import page_of_rows
from web.errors.catalogue import ACTION_NOT_FOUND, INVALID_CURSOR, INVALID_LIMIT, INVALID_STATUS
from web.inputs import Query, reads
from web.openapi.models import Row
from web.openapi.operations import Answer, operation
from web.paging import CURSOR, DEFAULT_LIMIT, NEXT_PAGE, Limit, next_page, reads_status
from web.representations import row_to_response
from web.views.base import ApiView, json_response


def _read_cursor(text: str) -> tuple[int, int]:
    chunk, _, row = text.partition("-")
    if len(text) > 40 or not all(part.isascii() and part.isdigit() for part in (chunk, row)):
        raise INVALID_CURSOR()
    return int(chunk), int(row)


class RecordsQuery(Query):
    """Which row outcomes are listed."""

    limit: Limit = DEFAULT_LIMIT
    status: Annotated[
        RowStatus | None,
        reads_status(STATUSES, RowStatus),
        Field(description="Only rows with this status, in upper or lower case; empty: all."),
    ] = None
    #: The chunk to start in and the row to start behind; None for the first page.
    cursor: Annotated[
        tuple[int, int] | None,
        reads(_read_cursor),
        CURSOR,
    ] = None


class ActionRecordsView(ApiView):
    """The rows of one action."""

    @operation(
        "listBulkActionRecords",
        {200: Answer("A page of rows.", list[Row], headers=NEXT_PAGE)},
        INVALID_LIMIT,
        INVALID_STATUS.with_example(known=", ".join(STATUSES)),
        INVALID_CURSOR,
        ACTION_NOT_FOUND,
        role=Role.VIEWER,
        query=RecordsQuery,
        details="While the action runs, the rows of what is finished.",
    )
    async def get(self, request: web.Request, action_id: str) -> web.Response:
        """List the outcome of each row, in the order of the file."""
        action = await self.action(request, action_id)
        asked = RecordsQuery.read(request.query)
        chunk, after = asked.cursor or (0, 0)
        rows, following = await page_of_rows(
            self.context, action, status=asked.status, chunk=chunk, after=after, limit=asked.limit
        )
        headers = next_page(request, following) if following else None
        originals = await original_rows(self.context, action, (row.row for row in rows))
        # What was missing of one that was deleted meanwhile is not to look as if it had not run.
        await self.action(request, action_id)
        of_stream = action.stream is not None
        shown = [row_to_response(row, originals.get(row.row), of_stream=of_stream) for row in rows]
        return json_response(shown, headers=headers)
