"""Access control: the credential of a request, and the role that its operation needs."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from app.context import AppContext
from app.domain.access import InvalidToken, KeysUnavailable, MissingCredential, Unauthenticated
from app.domain.account_events import credential_refused
from app.observability.logs import log_context
from web.errors.catalogue import (
    CREDENTIAL_REQUIRED,
    FORBIDDEN,
    INVALID_ACCOUNT,
    INVALID_CREDENTIAL,
    TOKEN_KEYS_UNAVAILABLE,
)
from web.errors.problem import ApiError
from web.request_state import PRINCIPAL, REFUSAL
from web.requested import is_served, needed_role
from web.source_address import source_of

_REALM = 'realm="bulk-operations"'


def access_control(context: Callable[[], AppContext]) -> Middleware:
    """Return the middleware that lets a request through to its view, with its principal, or refuses it.

    What is refused is refused before anything of the body is read.
    """

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        # Without a route there is nothing to protect.
        needed = needed_role(request, context().settings) if is_served(request) else None
        if needed is None:
            return await handler(request)
        try:
            principal = await context().authenticator.principal(request.headers)
        except Unauthenticated as error:
            request[REFUSAL] = str(error)
            _note(request, context(), error)
            raise _unauthenticated(error, takes_tokens=context().authenticator.takes_tokens) from None
        except KeysUnavailable:
            raise TOKEN_KEYS_UNAVAILABLE() from None
        except ValueError as error:
            raise INVALID_ACCOUNT(reason=error) from None
        # For the log, also where its role is not enough.
        request[PRINCIPAL] = principal
        if not principal.role.covers(needed):
            raise FORBIDDEN(needed=needed, role=principal.role)
        with log_context(account=principal.account_id, by=principal.name):
            return await handler(request)

    return check


def _note(request: web.Request, context: AppContext, error: Unauthenticated) -> None:
    """Note that a credential was refused; who has none may not know that one is needed."""
    if isinstance(error, MissingCredential):
        return
    source = source_of(request, context.settings.trusted_proxies)
    context.event_log.note(credential_refused(error, token=isinstance(error, InvalidToken), source=source))


def _unauthenticated(error: Unauthenticated, *, takes_tokens: bool) -> ApiError:
    """Return the answer to a request without a valid credential, with what would be one (RFC 6750, RFC 9110)."""
    challenges = [f"ApiKey {_REALM}"]
    if takes_tokens:
        invalid = ', error="invalid_token"' if isinstance(error, InvalidToken) else ""
        challenges.insert(0, f"Bearer {_REALM}{invalid}")
    problem = CREDENTIAL_REQUIRED if isinstance(error, MissingCredential) else INVALID_CREDENTIAL
    return problem(reason=error, challenge=", ".join(challenges))
