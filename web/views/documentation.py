"""The API's description of itself: for programs, and for people."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import orjson
from aiohttp import ETag, web

from web.conditional import conditional, conditional_headers, tag_of, unchanged
from web.openapi.document import DescribedRoute, describe
from web.openapi.operations import OPEN, Answer, Header, operation
from web.openapi.page import content_security_policy, render
from web.views.base import ApiView


@dataclass(frozen=True, slots=True)
class _Page:
    """A body that stays the same as long as the worker lives."""

    body: bytes
    content_type: str
    headers: dict[str, str]
    tag: str

    @classmethod
    def of(cls, body: bytes, content_type: str, **headers: str) -> _Page:
        return cls(
            body,
            content_type,
            # To be asked for again each time, which costs a 304: after an update of the worker it is another one.
            {"Cache-Control": "no-cache", **{name.replace("_", "-"): value for name, value in headers.items()}},
            tag_of(body),
        )

    def answer(self, request: web.Request) -> web.Response:
        """Return the page, or 304 to a client that has it (RFC 9110, 13.1.2)."""
        content = {"body": self.body, "content_type": self.content_type, "charset": "utf-8"}
        return conditional(request, ETag(self.tag), self.headers, **content)


@dataclass(frozen=True, slots=True)
class Description:
    """The OpenAPI document and the page that shows it, ready to be sent."""

    document: _Page
    page: _Page


#: What the views of this module send; the same as long as the worker lives.
DESCRIPTION = web.AppKey("description", Description)


def prepare(routes: Iterable[DescribedRoute], *, credential_required: bool) -> Description:
    """Make the description of these routes; see :func:`web.openapi.document.describe`."""
    document: dict[str, Any] = describe(routes, credential_required=credential_required)
    return Description(
        _Page.of(orjson.dumps(document), "application/json"),
        _Page.of(render(document).encode(), "text/html", Content_Security_Policy=content_security_policy()),
    )


_CONDITIONAL = conditional_headers("no-cache")
_UNCHANGED = unchanged(_CONDITIONAL)


class DescriptionView(ApiView):
    """The OpenAPI document."""

    @operation(
        "getDescription",
        {200: Answer("OpenAPI 3.1.", dict[str, Any], headers=_CONDITIONAL), 304: _UNCHANGED},
        role=OPEN,
    )
    async def get(self, request: web.Request) -> web.Response:
        """Describe the API, for programs."""
        return request.app[DESCRIPTION].document.answer(request)


class DocsView(ApiView):
    """The page that shows the OpenAPI document."""

    @operation(
        "getDocs",
        {
            200: Answer(
                "A page that needs nothing from elsewhere.",
                str,
                media_type="text/html",
                headers={
                    **_CONDITIONAL,
                    "Content-Security-Policy": Header("No script, and nothing from elsewhere.", "default-src 'none'"),
                },
            ),
            304: _UNCHANGED,
        },
        role=OPEN,
    )
    async def get(self, request: web.Request) -> web.Response:
        """Describe the API, for people."""
        return request.app[DESCRIPTION].page.answer(request)
