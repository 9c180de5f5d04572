"""The origin of a request: what a browser sends for a page of another site is refused.

A worker that is open to its machine or network trusts whoever reaches it, and every browser there does, whatever page
it shows. Such a page can have forms posted to any address, and can read what is answered to a name of its own that it
lets point to that address (DNS rebinding). Browsers send the origin of a request in headers that no page can change.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from app.context import AppContext
from app.settings import Settings
from web.errors.catalogue import CROSS_SITE, UNKNOWN_HOST
from web.requested import declared_role, is_served

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
#: ``Sec-Fetch-Site`` of a request that the user or a page of this very server has made.
_OWN = frozenset({"same-origin", "none"})


def origin_control(context: Callable[[], AppContext]) -> Middleware:
    """Return the middleware that refuses what a page of another site has a browser send."""

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not is_served(request):
            return await handler(request)
        # What is open to everybody has nothing to protect, and is requested by names that nobody lists.
        if declared_role(request) is not None and not host_is_known(request.headers.get("Host"), context().settings):
            raise UNKNOWN_HOST()
        if request.method not in _SAFE_METHODS and _is_cross_site(request):
            raise CROSS_SITE()
        return await handler(request)

    return check


def host_is_known(host: str | None, settings: Settings) -> bool:
    """Return whether a request may call this server by the name in its header ``Host``.

    An address always may, because a page cannot have one of its own point somewhere else; this machine's own names may,
    and those of the settings. Where a credential is asked for, which no browser adds by itself, and the settings name
    none, any name may.
    """
    allowed = settings.allowed_hosts
    if host is None or "*" in allowed or (settings.auth_mode == "required" and not allowed):
        return True
    name = (urlsplit(f"//{host}").hostname or "").rstrip(".") if _is_host(host) else ""
    if name == "localhost" or name.endswith(".localhost") or name in {settings.host.lower(), *allowed}:
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _is_host(text: str) -> bool:
    try:
        return urlsplit(f"//{text}").netloc == text and urlsplit(f"//{text}").username is None
    except ValueError:
        return False


def _is_cross_site(request: web.Request) -> bool:
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        # Another port of this machine is the same site, and another server.
        return site not in _OWN
    origin = request.headers.get("Origin")
    # Older browsers. Other clients send neither, unless they want to.
    return origin is not None and origin.partition("://")[2].lower() != request.headers.get("Host", "").lower()
