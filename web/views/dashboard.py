"""The dashboard: its page, and the files that it loads."""

from __future__ import annotations

from typing import Final

from aiohttp import ETag, web

from web.conditional import conditional
from web.dashboard.assets import CONTENT_SECURITY_POLICY, Asset, Dashboard
from web.openapi.operations import OPEN, Answer, operation
from web.views.base import ApiView

#: The files; the same as long as the worker lives.
DASHBOARD = web.AppKey("dashboard", Dashboard)

#: An address with the version of its files stands for the same bytes for ever (a year, RFC 9111 and RFC 8246).
_FOR_EVER: Final = "public, max-age=31536000, immutable"
_NOT_KEPT: Final = "no-cache"


class DashboardView(ApiView):
    """The page."""

    @operation("getDashboard", {200: Answer("The page.", str, media_type="text/html")}, role=OPEN)
    async def get(self, request: web.Request) -> web.Response:
        """Show the dashboard; who may do what is decided by the routes that it asks."""
        response = _answer(request, request.app[DASHBOARD].page, _NOT_KEPT)
        response.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
        return response


class DashboardAssetView(ApiView):
    """A file that the page loads."""

    @operation("getDashboardAsset", {200: Answer("The file.", bytes)}, role=OPEN)
    async def get(self, request: web.Request, version: str, path: str) -> web.Response:
        """Send a file.

        While workers are replaced, one may be asked for the files of another's page: it sends its own, which fit where
        they have not changed, and they are not kept.
        """
        dashboard = request.app[DASHBOARD]
        asset = dashboard.assets.get(path)
        if asset is None:
            raise web.HTTPNotFound
        return _answer(request, asset, _FOR_EVER if version == dashboard.version else _NOT_KEPT)


def _answer(request: web.Request, asset: Asset, cache_control: str) -> web.Response:
    """Return a file, packed where the client takes that, or 304 to a client that has it."""
    packed = "gzip" in request.headers.get("Accept-Encoding", "").lower()
    # Two forms of one file are two representations, each with its tag (RFC 9110, 8.8.3.3).
    tag = f"{asset.tag}-gzip" if packed else asset.tag
    headers = {"Cache-Control": cache_control, "Vary": "Accept-Encoding"}
    response = conditional(
        request,
        ETag(tag),
        headers,
        body=asset.packed if packed else asset.body,
        content_type=asset.content_type,
        charset=None if asset.content_type.startswith("image/") else "utf-8",
    )
    if packed and response.status == 200:
        response.headers["Content-Encoding"] = "gzip"
    return response
