"""Who one is, and the API keys of one's account."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Self

from aiohttp import web
from pydantic import Field

from app.domain.access import Role
from app.domain.account_events import key_made, key_revoked
from app.domain.api_keys import MAX_NAME, KeyState, check_key_name, parse_expiry
from app.domain.timestamps import iso_utc
from app.observability.logs import event
from app.observability.process import VERSION
from app.services.api_keys import NoSuchKey, TooManyKeys, make_key, revoke_key
from web.body import BODY_PROBLEMS, JsonBody
from web.errors.catalogue import (
    API_IS_OPEN,
    API_KEY_NOT_FOUND,
    INVALID_CURSOR,
    INVALID_EXPIRY,
    INVALID_KEY_NAME,
    INVALID_LIMIT,
    INVALID_ROLE,
    INVALID_STATE,
    TOO_MANY_API_KEYS,
)
from web.errors.problem import ApiError
from web.inputs import Query, reads
from web.openapi.models import ListedApiKey, MadeApiKey, WhoAmI
from web.openapi.operations import Answer, operation
from web.paging import DEFAULT_LIMIT, NEXT_PAGE, Cursor, Limit, cut
from web.representations import api_key_to_response, limits_to_response
from web.request_state import AUDITED, REQUEST_ID
from web.requested import names_nobody
from web.views.base import ApiView, json_response

log = logging.getLogger(__name__)


class WhoAmIView(ApiView):
    """On whose behalf a request is made."""

    @operation(
        "getWhoAmI",
        {200: Answer("Account, role and limits.", WhoAmI)},
        role=Role.VIEWER,
        details="What a client needs to know before it offers anything: without a credential it is 401 where one is "
        "asked for, with the schemes in `WWW-Authenticate`.",
    )
    async def get(self, request: web.Request) -> web.Response:
        """Tell on whose behalf the request is made, and what this server takes."""
        principal, settings = self.principal(request), self.context.settings
        limits = limits_to_response(
            settings,
            settings.limits_of(principal.account_id),
            window_seconds=self.context.rate_limits.seconds,
            counted=not names_nobody(request, settings),
        )
        return json_response(
            {
                "accountId": principal.account_id,
                "role": principal.role,
                "credential": None if settings.auth_mode == "none" else principal.name,
                "keyId": principal.key_id,
                "authMode": settings.auth_mode,
                "version": VERSION,
                "limits": limits,
            }
        )


def _read_state(text: str) -> KeyState | None:
    try:
        return KeyState(text.lower()) if text else None
    except ValueError:
        raise INVALID_STATE(known=", ".join(KeyState)) from None


class ApiKeysQuery(Query):
    """Which API keys are listed."""

    limit: Limit = DEFAULT_LIMIT
    state: Annotated[
        KeyState | None,
        reads(_read_state, schema=KeyState | Literal[""]),
        Field(description="Only keys with this state, in upper or lower case; empty: all."),
    ] = None
    cursor: Cursor = None


def _no_role() -> ApiError:
    return INVALID_ROLE(known=", ".join(Role))


def _read_role(sent: object) -> Role:
    if not isinstance(sent, str) or sent not in Role.__members__.values():
        raise _no_role()
    return Role(sent)


def _read_expiry(sent: object) -> datetime | None:
    return None if sent is None else parse_expiry(sent, datetime.now(UTC))


class KeyOrder(JsonBody):
    """What key is wanted."""

    role: Annotated[Role, reads(_read_role, schema=Role), Field(description="What may be done with it.")]
    name: Annotated[
        str,
        reads(check_key_name, INVALID_KEY_NAME, Annotated[str, Field(max_length=MAX_NAME)]),
        Field(description="A word for whoever reads the list: characters that can be printed.", examples=["nightly"]),
    ] = ""
    expires: Annotated[
        datetime | None,
        reads(_read_expiry, INVALID_EXPIRY, str | None),
        Field(
            description="When it expires: `90d`, `12h` or a moment in ISO 8601, UTC when it names no offset; "
            "null: never.",
            examples=["90d"],
        ),
    ] = None

    @classmethod
    def check(cls, sent: Mapping[str, Any]) -> tuple[Self | None, list[ApiError]]:
        """Return what was sent, and what is wrong with it."""
        found, faults = super().check(sent)
        return found, faults if "role" in sent else [_no_role(), *faults]


class ApiKeysView(ApiView):
    """The API keys of an account."""

    @operation(
        "listApiKeys",
        {200: Answer("A page of keys.", list[ListedApiKey], headers=NEXT_PAGE)},
        INVALID_LIMIT,
        INVALID_STATE,
        INVALID_CURSOR,
        role=Role.ADMIN,
        query=ApiKeysQuery,
    )
    async def get(self, request: web.Request) -> web.Response:
        """List the API keys of the account, newest first."""
        asked = ApiKeysQuery.read(request.query)
        keys = await self.context.store.api_keys.page(
            self.account(request), asked.limit + 1, state=asked.state, before=asked.cursor
        )
        keys, headers = cut(request, keys, asked.limit, lambda key: (key.created_at, key.id))
        now = datetime.now(UTC)
        return json_response([api_key_to_response(key, now) for key in keys], headers=headers)

    @operation(
        "createApiKey",
        {201: Answer("The key, which is told this once.", MadeApiKey)},
        INVALID_ROLE,
        INVALID_KEY_NAME,
        INVALID_EXPIRY,
        TOO_MANY_API_KEYS,
        API_IS_OPEN,
        *BODY_PROBLEMS,
        role=Role.ADMIN,
        body=KeyOrder,
        details="Only its hash is kept. It outlives the credential with which it was made.",
    )
    async def post(self, request: web.Request) -> web.Response:
        """Make an API key of the account."""
        asked = await KeyOrder.receive(request)
        settings, principal = self.context.settings, self.principal(request)
        if settings.auth_mode == "none":
            raise API_IS_OPEN()
        try:
            made = await make_key(
                self.context.store,
                principal.account_id,
                asked.role,
                name=asked.name,
                expires_at=asked.expires,
                by=principal.name,
                most=settings.max_api_keys_per_account,
            )
        except TooManyKeys as error:
            raise TOO_MANY_API_KEYS(limit=error.limit) from None
        key = made.key
        request[AUDITED] = {
            "key": key.id,
            "granted": str(key.role),
            "expires": iso_utc(key.expires_at),
            "name": key.name,
        }
        self.context.event_log.note(key_made(key.account_id, key.id, key.role, principal.name))
        log.info(event("api key made", key=key.id, by=principal.name, request=request[REQUEST_ID]))
        return json_response({**api_key_to_response(key, key.created_at), "key": made.secret}, 201)


class ApiKeyView(ApiView):
    """One API key."""

    @operation(
        "revokeApiKey",
        {200: Answer("The key as it is then.", ListedApiKey)},
        API_KEY_NOT_FOUND,
        role=Role.ADMIN,
        details="It opens nothing any more: at this worker at once, at others within seconds (`API_KEY_CACHE`). To ask "
        "again is answered in the same way.",
    )
    async def delete(self, request: web.Request, key_id: str) -> web.Response:
        """Revoke an API key of the account; it may be the one of the request itself."""
        principal = self.principal(request)
        try:
            revoked = await revoke_key(self.context.store, key_id, by=principal.name, account_id=principal.account_id)
        except NoSuchKey:
            raise API_KEY_NOT_FOUND() from None
        key = revoked.key
        # Also when it was revoked before, by somebody whose word this worker has not heard of.
        self.context.authenticator.forget(key)
        if revoked.new:
            self.context.event_log.note(key_revoked(key.account_id, key.id, principal.name))
            log.info(event("api key revoked", key=key.id, by=principal.name, request=request[REQUEST_ID]))
        return json_response(api_key_to_response(key, datetime.now(UTC)))
