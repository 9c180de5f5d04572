"""Answers that are not sent again to a client that has them: ``ETag`` and ``If-None-Match`` (RFC 9110, 13.1.2)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import orjson
from aiohttp import ETag, web

from web.openapi.operations import Answer, Header

#: It may be kept, by the client alone, and is to be asked for again each time, which then costs a 304.
_REVALIDATED = {"Cache-Control": "private, no-cache"}


def conditional_headers(cache_control: str) -> dict[str, Header]:
    """Return the headers of such an answer, for its description."""
    return {
        "ETag": Header("To be sent back in `If-None-Match`.", '"5f8c0d54f0b54f8f8c2b8ba4f1f5c2ea"'),
        "Cache-Control": Header("It may be kept, and is asked for again.", cache_control),
    }


def unchanged(headers: Mapping[str, Header]) -> Answer:
    """Return the answer to a client that has it (304), for the description."""
    return Answer("The client has it already.", headers=headers)


#: What is described of :func:`conditional_json`.
CONDITIONAL = conditional_headers("private, no-cache")
UNCHANGED = unchanged(CONDITIONAL)


def tag_of(body: bytes) -> str:
    """Return the tag of a body: another one for every other body."""
    return hashlib.sha256(body).hexdigest()[:32]


def is_known(request: web.Request, tag: str) -> bool:
    """Return whether the client has what the tag stands for."""
    return any(known.value in (tag, "*") for known in request.if_none_match or ())


def conditional(request: web.Request, tag: ETag, headers: Mapping[str, str], **content: Any) -> web.Response:
    """Return an answer, or 304 to a client that has it.

    Args:
        request: What is answered.
        tag: Another one for every other content.
        headers: Those of either answer.
        content: The answer, as of ``web.Response``.
    """
    known = is_known(request, tag.value)
    response = web.Response(status=304, headers=headers) if known else web.Response(headers=headers, **content)
    response.etag = tag
    return response


def conditional_json(
    request: web.Request,
    value: Any,
    headers: Mapping[str, str] | None = None,
    *,
    same_as: Any = None,
) -> web.Response:
    """Return ``value`` as JSON, or 304 to a client that has it.

    Args:
        request: What is answered.
        value: The body.
        headers: Further headers.
        same_as: What makes the answer the same as an earlier one, where parts of ``value`` change with the time alone:
            the tag is then a weak one.
    """
    body = orjson.dumps(value)
    weak = same_as is not None
    tag = ETag(value=tag_of(orjson.dumps(same_as) if weak else body), is_weak=weak)
    return conditional(request, tag, {**_REVALIDATED, **(headers or {})}, body=body, content_type="application/json")
