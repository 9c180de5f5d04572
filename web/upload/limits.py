"""Limits of uploads: how many there may be at once, and how much room an account has."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from aiohttp import web

from app.adapters.storage import OutOfSpace
from app.context import AppContext
from app.domain.account_limits import FileAboveRowLimit, StorageFull, TooManyActive, TooManyActiveRows
from app.domain.idempotency import KeyReused
from app.observability.metrics import ACCOUNT_LIMITED
from app.services.quotas import check_room
from web.errors.catalogue import (
    IDEMPOTENCY_KEY_REUSED,
    STORAGE_FULL,
    STORAGE_LIMIT_REACHED,
    TOO_MANY_ACTIVE_ACTIONS,
    TOO_MANY_ACTIVE_ROWS,
    TOO_MANY_OPEN_UPLOADS,
    TOO_MANY_ROWS,
    TOO_MANY_UPLOADS,
)
from web.open_requests import counted

#: A form has at most so many bytes beside its file; what is sent beyond them is the file's.
_MAX_FORM = 1024**2
#: When to ask again where an action must end first; nobody knows when that is. Seconds.
_ASK_AGAIN = 10

log = logging.getLogger(__name__)


async def check_quota(request: web.Request, context: AppContext, account_id: str, key: str | None) -> None:
    """Check, before the body of an upload is read, that its account has room for it.

    Raises:
        TooManyActive, TooManyActiveRows, StorageFull: it has none; see :func:`limit_errors`.
    """
    size = max(0, (request.content_length or 0) - _MAX_FORM)
    await check_room(context, account_id, size, key)


def open_upload(context: AppContext, account_id: str) -> AbstractContextManager[None]:
    """Count an upload among those under way, before anything of it is read."""
    return counted(
        context.open_uploads,
        account_id,
        most=context.settings.max_open_uploads,
        most_of_account=context.settings.max_open_uploads_per_account,
        of_worker=TOO_MANY_UPLOADS,
        of_account=TOO_MANY_OPEN_UPLOADS,
    )


@contextmanager
def limit_errors() -> Iterator[None]:
    """Raise the limits that an upload meets as errors of the API."""
    try:
        yield
    except OutOfSpace as error:
        log.error("an upload is refused: %s", error)
        raise STORAGE_FULL() from None
    except TooManyActive as error:
        ACCOUNT_LIMITED.labels("active_actions").inc()
        raise TOO_MANY_ACTIVE_ACTIONS(reason=error, retry_after=_ASK_AGAIN) from None
    except TooManyActiveRows as error:
        ACCOUNT_LIMITED.labels("active_rows").inc()
        raise TOO_MANY_ACTIVE_ROWS(reason=error, retry_after=_ASK_AGAIN) from None
    except FileAboveRowLimit as error:
        ACCOUNT_LIMITED.labels("active_rows").inc()
        raise TOO_MANY_ROWS(reason=error) from None
    except StorageFull as error:
        ACCOUNT_LIMITED.labels("stored_bytes").inc()
        raise STORAGE_LIMIT_REACHED(reason=error) from None
    except KeyReused:
        raise IDEMPOTENCY_KEY_REUSED() from None
