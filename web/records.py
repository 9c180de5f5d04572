"""The outcome of each row of an action, in the order of the file."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any, get_args

from aiohttp import web
from pydantic import Field

from app.domain.outcomes import ChunkOutcome, RowStatus
from app.messages import chunk_id
from app.platform import Platform
from web.answers import Row
from web.inputs import Query, reads
from web.operations import ACTION_NOT_FOUND, Answer, operation
from web.paging import (
    DEFAULT_LIMIT,
    INVALID_CURSOR,
    INVALID_LIMIT,
    NEXT_PAGE,
    Limit,
    invalid_status,
    link_to,
    reads_status,
)
from web.views import ApiView, json_response

_STATUSES: tuple[RowStatus, ...] = get_args(RowStatus)

#: Most chunks read from the ledger in one query; the first reads are smaller, because a page is often full by then.
_CHUNKS_PER_READ = 32


def _read_cursor(text: str) -> tuple[int, int]:
    chunk, _, row = text.partition("-")
    if len(text) > 40 or not all(part.isascii() and part.isdigit() for part in (chunk, row)):
        raise ValueError(INVALID_CURSOR.message)
    return int(chunk), int(row)


class RecordsQuery(Query):
    """Which row outcomes are listed."""

    limit: Limit = DEFAULT_LIMIT
    status: Annotated[
        str | None,
        reads_status(_STATUSES, RowStatus),
        Field(description="Only rows with this status, in upper or lower case; empty: all."),
    ] = None
    #: The chunk to start in and the row to start behind; None for the first page.
    cursor: Annotated[
        tuple[int, int] | None,
        reads(_read_cursor, INVALID_CURSOR.code),
        Field(description="Where the page begins: take it from the `Link` header of the page before."),
    ] = None


class ActionRecordsView(ApiView):
    """The rows of one action."""

    @operation(
        "listBulkActionRecords",
        {200: Answer("A page of rows.", list[Row], headers=NEXT_PAGE)},
        INVALID_LIMIT,
        invalid_status(_STATUSES),
        INVALID_CURSOR,
        ACTION_NOT_FOUND,
        query=RecordsQuery,
        details="While the action runs, the rows of what is finished.",
    )
    async def get(self, request: web.Request, action_id: str) -> web.Response:
        """List the outcome of each row, in the order of the file."""
        action = await self.action(request, action_id)
        asked = RecordsQuery.read(request.query)
        chunk, after = asked.cursor or (0, 0)
        rows: list[dict[str, Any]] = []
        headers: dict[str, str] = {}
        async for index, outcome in _outcomes(self.platform, action, chunk):
            for row in row_outcomes(outcome):
                if row["row"] <= after or asked.status not in (None, row["status"]):
                    continue
                if len(rows) == asked.limit:
                    headers["Link"] = link_to(request, f"{index}-{rows[-1]['row']}")
                    return json_response(rows, headers=headers)
                rows.append(row)
        return json_response(rows, headers=headers)


def row_outcomes(outcome: ChunkOutcome) -> Iterator[dict[str, Any]]:
    """Return what became of each row of a chunk, in order."""
    exceptions = {entry.row: entry for entry in outcome.exceptions}
    for offset in range(outcome.row_count):
        row = outcome.first_row + offset
        exception = exceptions.get(row)
        if exception is not None:
            shown = exception.to_document()
            if "owner" in shown:
                shown["ownerRow"] = shown.pop("owner")
            yield shown
        else:
            yield {
                "row": row,
                "status": "SUCCESS",
                "code": "CREATED" if outcome.created >> offset & 1 else "UPDATED",
            }


async def _outcomes(platform: Platform, action: dict[str, Any], first: int) -> AsyncIterator[tuple[int, ChunkOutcome]]:
    """Return the closed ledger entries of an action from chunk ``first`` on, in order."""
    start, size = first, 2
    while start < action["chunkCount"]:
        indexes = range(start, min(start + size, action["chunkCount"]))
        start, size = indexes.stop, min(size * 2, _CHUNKS_PER_READ)
        found = await platform.store.ledger.outcomes([chunk_id(action["_id"], index) for index in indexes])
        for index in indexes:
            outcome = found.get(chunk_id(action["_id"], index))
            if outcome is not None:
                yield index, outcome
