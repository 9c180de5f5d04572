"""Errors as clients see them: ``{"error": message, "code": code, "requestId": id}``, with details where there are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from app.domain.public_faults import Dependency

#: The code of a request that is wrong in a way that has no code of its own.
BAD_REQUEST = "BAD_REQUEST"

NOT_FOUND = "Bulk action not found"
UNEXPECTED = "An unexpected error occurred. Please try again later."
NO_FILE = "Please upload a CSV file to proceed."
FIELDS_REQUIRED = "Both entityType and actionType fields are required."
ACTION_TYPE_UNSUPPORTED = "The specified actionType is not supported."
ENTITY_TYPE_UNSUPPORTED = "The specified entityType is not supported."


class Fault(NamedTuple):
    """One thing that is wrong with a request.

    Attributes:
        field: The field of the form, the parameter of the query or the header that is wrong; None: none of them.
        code: For a program.
        message: For a person.
        documented: What ``error`` says instead, where clients rely on those words.
    """

    field: str | None
    code: str
    message: str
    documented: str | None = None


class ApiError(Exception):
    """An answer that is an error: HTTP status, message for a person, code for a program, headers, further fields.

    With ``faults``, everything that is wrong with the request is told beside the message.
    """

    def __init__(
        self,
        status: int,
        message: str,
        code: str,
        headers: Mapping[str, str] | None = None,
        details: Mapping[str, Any] | None = None,
        faults: Sequence[Fault] = (),
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.headers = headers
        self.details = details or {}
        self.faults = faults


def bad_request(message: str, code: str = BAD_REQUEST) -> ApiError:
    """The request cannot be carried out as it is (400)."""
    return ApiError(400, message, code)


def refusal(faults: Sequence[Fault]) -> ApiError:
    """The request cannot be carried out as it is (400), for these reasons, the first of which is ``error``.

    The list of them is told where it says more than the first alone.
    """
    first = faults[0]
    told = faults if len(faults) > 1 or first.documented is not None else ()
    return ApiError(400, first.documented or first.message, first.code, faults=told)


def too_many_requests(message: str, code: str, retry_after: int) -> ApiError:
    """The account has asked for more than it may (429); ``retry_after`` is in whole seconds."""
    details = {"message": message, "retryAfter": retry_after}
    return ApiError(429, "Too Many Requests", code, {"Retry-After": str(retry_after)}, details)


def unavailable(message: str = UNEXPECTED, code: str = "SERVICE_UNAVAILABLE") -> ApiError:
    """Something that the request needs is away (503); it may be sent again in some seconds."""
    return ApiError(503, message, code, {"Retry-After": "5"})


def away(dependency: Dependency) -> ApiError:
    """A dependency of this kind is away (503); the request may be sent again in some seconds."""
    error = unavailable(away_message(dependency))
    error.details = {"dependency": dependency.value}
    return error


def away_message(dependency: Dependency) -> str:
    """Return what a client is told when a dependency is away."""
    return f"The {dependency} is away. Please try again later."


def internal() -> ApiError:
    """A fault of ours (500); what it is stands in the log."""
    return ApiError(500, UNEXPECTED, "INTERNAL")


def action_not_found() -> ApiError:
    """There is no such action, or not for this account (404)."""
    return ApiError(404, NOT_FOUND, "ACTION_NOT_FOUND")


def as_utf8(text: str) -> str:
    """Return text without what cannot be written as UTF-8: bytes of a client that were no text."""
    return text.encode(errors="replace").decode()
