"""The idempotency key of an upload: the same key with the same upload is the same action."""

from __future__ import annotations

from typing import Annotated

from aiohttp import web
from pydantic import Field

from app.domain.idempotency import check_key, scoped
from web import headers
from web.errors.catalogue import INVALID_IDEMPOTENCY_KEY, REPEATED_IDEMPOTENCY_KEY
from web.inputs import Input, reads


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


def read_key(request: web.Request, account_id: str) -> str | None:
    """Return the key of an upload as it is stored; None when it has none.

    Raises:
        ApiError: 400, it cannot be a key, or there are several.
    """
    if len(request.headers.getall(headers.IDEMPOTENCY_KEY, [])) > 1:
        raise REPEATED_IDEMPOTENCY_KEY()
    key = UploadHeaders.read(request.headers).key
    return None if key is None else scoped(account_id, key)
