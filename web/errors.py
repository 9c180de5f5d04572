"""Errors as clients see them: ``{"error": message, "code": code, "requestId": id}``, with details where there are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: The code of a request that is wrong in a way that has no code of its own.
BAD_REQUEST = "BAD_REQUEST"

NOT_FOUND = "Bulk action not found"
UNEXPECTED = "An unexpected error occurred. Please try again later."
NO_FILE = "Please upload a CSV file to proceed."
FIELDS_REQUIRED = "Both entityType and actionType fields are required."
ACTION_TYPE_UNSUPPORTED = "The specified actionType is not supported."
ENTITY_TYPE_UNSUPPORTED = "The specified entityType is not supported."


class ApiError(Exception):
    """An answer that is an error: HTTP status, message for a person, code for a program, headers, further fields."""

    def __init__(
        self,
        status: int,
        message: str,
        code: str,
        headers: Mapping[str, str] | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.headers = headers
        self.details = details or {}


def bad_request(message: str, code: str = BAD_REQUEST) -> ApiError:
    """The request cannot be carried out as it is (400)."""
    return ApiError(400, message, code)


def too_many_requests(message: str, code: str, retry_after: int) -> ApiError:
    """The account has asked for more than it may (429); ``retry_after`` is in whole seconds."""
    details = {"message": message, "retryAfter": retry_after}
    return ApiError(429, "Too Many Requests", code, {"Retry-After": str(retry_after)}, details)


def unavailable(message: str = UNEXPECTED, code: str = "SERVICE_UNAVAILABLE") -> ApiError:
    """Something that the request needs is away (503); it may be sent again in some seconds."""
    return ApiError(503, message, code, {"Retry-After": "5"})


def internal() -> ApiError:
    """A fault of ours (500); what it is stands in the log."""
    return ApiError(500, UNEXPECTED, "INTERNAL")


def action_not_found() -> ApiError:
    """There is no such action, or not for this account (404)."""
    return ApiError(404, NOT_FOUND, "ACTION_NOT_FOUND")


def as_utf8(text: str) -> str:
    """Return text without what cannot be written as UTF-8: bytes of a client that were no text."""
    return text.encode(errors="replace").decode()
