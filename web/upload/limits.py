"""How an upload comes in at most once, and only where its account has room: keys and refusals, in the words of HTTP."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

from aiohttp import web
from pydantic import Field

from app.adapters.storage import OutOfSpace
from app.context import AppContext
from app.domain.account_limits import StorageFull, TooManyActive
from app.domain.idempotency import KeyReused, check_key, scoped
from app.domain.open_uploads import TooManyOpen
from app.observability.metrics import ACCOUNT_LIMITED
from app.services.quotas import check_room
from web import headers
from web.errors.catalogue import (
    IDEMPOTENCY_KEY_REUSED,
    INVALID_IDEMPOTENCY_KEY,
    REPEATED_IDEMPOTENCY_KEY,
    STORAGE_FULL,
    STORAGE_LIMIT_REACHED,
    TOO_MANY_ACTIVE_ACTIONS,
    TOO_MANY_OPEN_UPLOADS,
    TOO_MANY_UPLOADS,
)
from web.inputs import Input, reads

#: A form has at most so many bytes beside its file; what is sent beyond them is the file's.
_MAX_FORM = 1024**2
#: When to ask again where an action must end first; nobody knows when that is. Seconds.
_ASK_AGAIN = 10
#: When one of the uploads under way may have ended, seconds.
_UPLOADS_END = 5

log = logging.getLogger(__name__)


def _read_key(text: str, sent_as: str) -> str:
    try:
        return check_key(text)
    except ValueError as error:
        raise INVALID_IDEMPOTENCY_KEY(sent_as=sent_as, reason=error) from None


def read_key_of_query(text: str) -> str | None:
    """Read the key by which an action is looked for; None when it is empty. Raises ``ApiError``."""
    return _read_key(text, "idempotencyKey") if text else None


def _read_key_of_header(text: str) -> str:
    return _read_key(text, f"The header {headers.IDEMPOTENCY_KEY}")


class UploadHeaders(Input):
    """What is read of the headers of an upload."""

    key: Annotated[
        str | None,
        reads(_read_key_of_header, schema=Annotated[str, Field(pattern=r"^[!-~]([ -~]{0,253}[!-~])?$")]),
        Field(
            alias=headers.IDEMPOTENCY_KEY,
            description="Makes it safe to send the upload again: the same key with the same upload is the same action, "
            "for 24 hours.",
        ),
    ] = None


async def begin(request: web.Request, context: AppContext, account_id: str) -> str | None:
    """Look at an upload before its body is read; return its idempotency key as it is stored, None when it has none.

    Raises:
        ApiError: the key is none.
        TooManyActive, StorageFull: the account has no room; see :func:`refusals`.
    """
    key = _key(request, account_id)
    size = max(0, (request.content_length or 0) - _MAX_FORM)
    await check_room(context, account_id, size, key)
    return key


def _key(request: web.Request, account_id: str) -> str | None:
    if len(request.headers.getall(headers.IDEMPOTENCY_KEY, [])) > 1:
        raise REPEATED_IDEMPOTENCY_KEY()
    key = UploadHeaders.read(request.headers).key
    return None if key is None else scoped(account_id, key)


@contextmanager
def open_upload(context: AppContext, account_id: str) -> Iterator[None]:
    """Count an upload among those under way, before anything of it is read."""
    settings = context.settings
    with context.open_uploads.one_more(
        account_id, most=settings.max_open_uploads, most_of_account=settings.max_open_uploads_per_account
    ):
        yield


@contextmanager
def refusals() -> Iterator[None]:
    """Say in the words of HTTP why an upload finds no room."""
    try:
        yield
    except OutOfSpace as error:
        log.error("an upload is refused: %s", error)
        raise STORAGE_FULL() from None
    except TooManyOpen as error:
        if error.of_account:
            raise TOO_MANY_OPEN_UPLOADS(limit=error.limit, retry_after=_UPLOADS_END) from None
        raise TOO_MANY_UPLOADS(limit=error.limit) from None
    except TooManyActive as error:
        ACCOUNT_LIMITED.labels("active_actions").inc()
        raise TOO_MANY_ACTIVE_ACTIONS(reason=error, retry_after=_ASK_AGAIN) from None
    except StorageFull as error:
        ACCOUNT_LIMITED.labels("stored_bytes").inc()
        raise STORAGE_LIMIT_REACHED(reason=error) from None
    except KeyReused:
        raise IDEMPOTENCY_KEY_REUSED() from None
