"""Who may pass: the middleware in front of every view."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from app.adapters.identity import KeysUnavailable
from app.context import AppContext
from app.domain.access import InvalidToken, MissingCredential, Role, Unauthenticated
from app.services.authentication import ACCOUNT_HEADER
from web.errors import ApiError, bad_request, unavailable
from web.routes import METRICS, needed_role

log = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_REALM = 'realm="bulk-operations"'


def access_control(context: Callable[[], AppContext]) -> Any:
    """Return the middleware that lets a request through to its view, with its principal, or refuses it.

    What is refused is refused before anything of the body is read.
    """

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        route = request.match_info.route
        # An unknown path, or a method that the path does not have: there is nothing to protect.
        if request.match_info.http_exception is not None or route.resource is None:
            return await handler(request)
        path = route.resource.canonical
        needed = needed_role(request.method, path)
        if needed is None or (path == METRICS and context().settings.metrics_auth == "none"):
            return await handler(request)
        try:
            principal = await context().authenticator.principal(request.headers)
        except Unauthenticated as error:
            log.info("request %s: refused: %s", request["id"], error)
            raise _challenge(error, takes_tokens=context().authenticator.takes_tokens) from None
        except KeysUnavailable:
            raise unavailable(
                "The token cannot be checked now, because the keys of its issuer are not to be had.",
                "TOKEN_KEYS_UNAVAILABLE",
            ) from None
        except ValueError as error:
            raise bad_request(f"The header {ACCOUNT_HEADER} {error}.", "INVALID_ACCOUNT") from None
        if not principal.role.covers(needed):
            log.info("request %s: refused: %s is only %s", request["id"], principal.name, principal.role)
            raise ApiError(403, _not_enough(needed, principal.role), "FORBIDDEN")
        request["principal"] = principal
        return await handler(request)

    return check


def _challenge(error: Unauthenticated, *, takes_tokens: bool) -> ApiError:
    """Return the answer to a request without a valid credential, with what would be one (RFC 6750, RFC 9110)."""
    offered = [f"ApiKey {_REALM}"]
    if takes_tokens:
        invalid = ', error="invalid_token"' if isinstance(error, InvalidToken) else ""
        offered.insert(0, f"Bearer {_REALM}{invalid}")
    code = "CREDENTIAL_REQUIRED" if isinstance(error, MissingCredential) else "INVALID_CREDENTIAL"
    return ApiError(401, str(error), code, {"WWW-Authenticate": ", ".join(offered)})


def _not_enough(needed: Role, has: Role) -> str:
    return f"This needs the role {needed}, and the credential has the role {has}."
