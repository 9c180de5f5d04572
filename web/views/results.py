"""What became of the rows of an action, as a file."""

from __future__ import annotations

from typing import Annotated

from aiohttp import web
from pydantic import Field

from app.domain.access import Role
from app.domain.actions import Action
from app.domain.outcomes import STATUSES, RowStatus
from app.domain.rows import RowsUnreadable
from app.services.results import csv_results, json_results, results
from web.downloads import counted_download, send_pieces
from web.errors.catalogue import (
    ACTION_NOT_FOUND,
    INVALID_STATUS,
    NOT_ACCEPTABLE,
    ROWS_UNREADABLE,
    TOO_MANY_DOWNLOADS,
    TOO_MANY_OPEN_DOWNLOADS,
)
from web.headers import CELLS_DEFUSED
from web.inputs import Query, reads
from web.negotiation import preferred
from web.openapi.operations import Answer, Header, operation
from web.views.base import ApiView

CSV, NDJSON = "text/csv", "application/x-ndjson"

#: How cells that a spreadsheet would run were made harmless: the scheme, because what follows is not known yet.
_SCHEME = "apostrophe"


_AS_CSV = "id,name,country,_row,_status,_code,_column,_message,_recordId\r\n1,Acme,DE,1,SUCCESS,CREATED,,,1\r\n"
_AS_JSON = (
    '{"id":"1","name":"Acme","country":"DE","_row":1,"_status":"SUCCESS","_code":"CREATED",'
    '"_column":null,"_message":null,"_recordId":"1"}\n'
)


def _read_statuses(text: str) -> frozenset[RowStatus] | None:
    named = {part.strip().upper() for part in text.split(",")} - {""}
    if not named <= set(STATUSES):
        raise INVALID_STATUS(known=", ".join(STATUSES))
    return frozenset(status for status in STATUSES if status in named) or None


class ResultsQuery(Query):
    """Which rows are in the file."""

    status: Annotated[
        frozenset[RowStatus] | None,
        reads(_read_statuses),
        Field(
            description="Only rows with these statuses, separated by commas, in upper or lower case; empty: all.",
            examples=["FAILED,SKIPPED"],
        ),
    ] = None


class ActionResultsView(ApiView):
    """The results file of one action."""

    @operation(
        "downloadBulkActionResults",
        {
            200: Answer(
                "The file, as CSV with the delimiter of the upload, or as one JSON object for each row.",
                str,
                media_type=CSV,
                also={NDJSON: _AS_JSON},
                example=_AS_CSV,
                headers={
                    "Content-Disposition": Header(
                        "A name for the file, which says action and filter.",
                        'attachment; filename="6b04d285235ca65e4442eb33-results-failed.csv"',
                    ),
                    CELLS_DEFUSED: Header(
                        "Of CSV: cells that a spreadsheet would run begin with an apostrophe.", _SCHEME, required=False
                    ),
                    "Vary": Header("The answer depends on this header.", "Accept"),
                },
            )
        },
        INVALID_STATUS.with_example(known=", ".join(STATUSES)),
        ACTION_NOT_FOUND,
        NOT_ACCEPTABLE,
        ROWS_UNREADABLE,
        TOO_MANY_OPEN_DOWNLOADS,
        TOO_MANY_DOWNLOADS,
        role=Role.VIEWER,
        query=ResultsQuery,
        details="The columns of the upload, then `_row`, `_status`, `_code`, `_column`, `_message` and `_recordId`, in "
        "the order of the file; while the action runs, of what is finished. `Accept: application/x-ndjson` asks for "
        "JSON. The CSV can be corrected and uploaded as it is: the columns behind those of the upload are ignored, and "
        "apostrophes that were put in front of cells are taken off. An answer that breaks off is not complete.",
    )
    async def get(self, request: web.Request, action_id: str) -> web.StreamResponse:
        """Download the rows of an action with what became of each."""
        action, statuses = await self.action(request, action_id), ResultsQuery.read(request.query).status
        media_type = preferred(request, (CSV, NDJSON))
        form = csv_results(action) if media_type == CSV else json_results(action)
        headers = {"Content-Disposition": _disposition(action, statuses, form.extension), "Vary": "Accept"}
        if media_type == CSV:
            headers[CELLS_DEFUSED] = _SCHEME
        with counted_download(self.context, action.account_id):
            try:
                return await send_pieces(request, results(self.context, action, form, statuses), media_type, headers)
            except RowsUnreadable as error:
                raise ROWS_UNREADABLE(reason=error) from None


def _disposition(action: Action, statuses: frozenset[RowStatus] | None, extension: str) -> str:
    chosen = "".join(f"-{status.lower()}" for status in STATUSES if status in (statuses or ()))
    return f'attachment; filename="{action.id}-results{chosen}.{extension}"'
