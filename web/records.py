"""The outcome of each row of an action, in the order of the file."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

from aiohttp import web

from app.domain.outcomes import ChunkOutcome
from app.messages import chunk_id
from app.platform import Platform
from web.errors import bad_request
from web.paging import bad_cursor, link_to, read_limit
from web.views import ApiView, json_response

_STATUSES = ("SUCCESS", "FAILED", "SKIPPED")

#: Most chunks read from the ledger in one query; the first reads are smaller, because a page is often full by then.
_CHUNKS_PER_READ = 32


class ActionRecordsView(ApiView):
    """The rows of one action."""

    async def get(self, request: web.Request, action_id: str) -> web.Response:
        """List row outcomes; of finished chunks only, while the action runs."""
        action = await self.action(request, action_id)
        limit = read_limit(request)
        status = request.query.get("status", "").upper() or None
        if status is not None and status not in _STATUSES:
            raise bad_request(f"status must be one of {', '.join(_STATUSES)}.", "INVALID_STATUS")
        chunk, after = _read_cursor(request)
        rows: list[dict[str, Any]] = []
        headers: dict[str, str] = {}
        async for index, outcome in _outcomes(self.platform, action, chunk):
            for row in row_outcomes(outcome):
                if row["row"] <= after or status not in (None, row["status"]):
                    continue
                if len(rows) == limit:
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


def _read_cursor(request: web.Request) -> tuple[int, int]:
    """Return the chunk to start in and the row to start behind."""
    cursor = request.query.get("cursor", "0-0")
    chunk, _, row = cursor.partition("-")
    if len(cursor) > 40 or not all(part.isascii() and part.isdigit() for part in (chunk, row)):
        raise bad_cursor()
    return int(chunk), int(row)
