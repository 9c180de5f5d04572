"""Retrying an action: another one over the rows of it that failed."""

from __future__ import annotations

import logging

from aiohttp import web

from app.domain import actions as domain
from app.domain.access import Role
from app.domain.rows import RowsUnreadable
from app.observability.logs import event
from app.services import retries
from web import headers as names
from web.errors import catalogue
from web.errors.catalogue import (
    ACTION_NOT_FOUND,
    ALREADY_RETRIED,
    NOT_SETTLED,
    NOTHING_TO_RETRY,
    REPEATED_IDEMPOTENCY_KEY,
    ROWS_UNREADABLE,
    TRANSITION_NOT_ALLOWED,
)
from web.openapi.models import Accepted
from web.openapi.operations import Answer, operation
from web.representations import accepted_to_response
from web.request_state import MADE, REQUEST_ID
from web.upload.idempotency import UploadHeaders, read_key
from web.upload.limits import limit_errors, open_upload
from web.views.actions import NEXT, TAKEN
from web.views.base import ApiView, json_response

log = logging.getLogger(__name__)


class ActionRetryView(ApiView):
    """The retry of an action."""

    @operation(
        "retryBulkAction",
        {
            201: Answer(
                "The rows that failed are queued, as an action of their own.", Accepted, headers=TAKEN, links=NEXT
            )
        },
        ACTION_NOT_FOUND,
        TRANSITION_NOT_ALLOWED,
        NOTHING_TO_RETRY,
        ALREADY_RETRIED,
        NOT_SETTLED,
        ROWS_UNREADABLE,
        REPEATED_IDEMPOTENCY_KEY,
        catalogue.TOO_MANY_UPLOADS,
        catalogue.TOO_MANY_OPEN_UPLOADS,
        catalogue.TOO_MANY_ACTIVE_ACTIONS,
        catalogue.TOO_MANY_ACTIVE_ROWS,
        catalogue.TOO_MANY_ROWS,
        catalogue.STORAGE_LIMIT_REACHED,
        catalogue.STORAGE_FULL,
        role=Role.OPERATOR,
        headers=UploadHeaders,
        details="The action must have ended. Its failed rows get numbers of their own; `originalRow` in the outcomes "
        "of the retry is the number that each had before. An action has one retry: where that has ended with failures "
        "of its own, those are retried. With an `Idempotency-Key` a request that is sent again is answered alike.",
    )
    async def post(self, request: web.Request, action_id: str) -> web.Response:
        """Run exactly the rows again that failed."""
        action = await self.action(request, action_id)
        principal = self.principal(request)
        key = read_key(request, principal.account_id)
        try:
            with limit_errors(), open_upload(self.context, principal.account_id):
                made, replayed = await retries.retry(self.context, action, principal, key)
        except domain.TransitionRefused as error:
            raise TRANSITION_NOT_ALLOWED(status=error.status, asked="retried") from None
        except retries.NothingToRetry:
            raise NOTHING_TO_RETRY() from None
        except retries.AlreadyRetried as error:
            raise ALREADY_RETRIED(retry=error.action_id) from None
        except retries.NotSettled:
            raise NOT_SETTLED() from None
        except RowsUnreadable as error:
            raise ROWS_UNREADABLE(reason=error) from None
        request[MADE] = made.id
        log.info(
            event(
                "action retried",
                action=made.retry_of,
                by=principal.name,
                retry=made.id,
                rows=made.total_count,
                request=request[REQUEST_ID],
            )
        )
        headers = {"Location": f"/bulk-actions/{made.id}"}
        if replayed:
            headers[names.IDEMPOTENCY_REPLAYED] = "true"
        return json_response(accepted_to_response(made), 201, headers)
