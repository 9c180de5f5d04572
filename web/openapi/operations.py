"""How a view declares its methods: who may use them, what they take, and every answer that they give.

The declaration stands at the method. The middlewares check requests by it, and ``web/openapi/document.py`` makes the
description of the API from all of them. What is the same for many methods stands here: :data:`AUTHENTICATED_ERRORS`
for the methods that need a role, :data:`HEADERS` for the answers of a status, wherever they are given.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar

from app.domain.access import Role
from app.settings import Settings
from web import headers as names
from web.errors import catalogue
from web.errors.problem import Problem
from web.inputs import Input

JSON = "application/json"

#: The methods that a view may have, in the order of the description. HEAD is answered as GET.
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "SEARCH")

#: The role of a method that needs no credential.
OPEN = None

Method = TypeVar("Method", bound=Callable[..., Any])


class Header(NamedTuple):
    """A header of an answer."""

    description: str
    example: str
    required: bool = True


@dataclass(frozen=True, slots=True)
class Answer:
    """One way in which a method answers.

    Args:
        meaning: What it means.
        body: The type of the body; None: there is none.
        media_type: How the body is written.
        also: Other ways in which it may be written, each with a body.
        headers: Further headers, by name.
        links: What can be asked next: the name of an operation, with its parameters (OpenAPI runtime expressions).
        example: A body, where its type is no model that has one.
    """

    meaning: str
    body: Any = None
    media_type: str = JSON
    also: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, Header] = field(default_factory=dict)
    links: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    example: Any = None


@dataclass(frozen=True, slots=True)
class Operation:
    """What a method does.

    Args:
        name: As clients made from the description call it (``operationId``).
        answers: By status, those that are no errors, and those that are not of the form of errors.
        problems: The errors, without those of :data:`AUTHENTICATED_ERRORS`.
        role: What a principal must be; None: the method is open to everybody.
        open_if: Settings with which it is open all the same.
        query: What is read of the query.
        form: What is read of a ``multipart/form-data`` body beside the file.
        body: What is read of a JSON body.
        headers: What is read of the headers.
        summary: One line, from the docstring.
        details: More, in Markdown.
    """

    name: str
    answers: Mapping[int, Answer]
    problems: Sequence[Problem]
    role: Role | None
    open_if: Callable[[Settings], bool] | None = None
    query: type[Input] | None = None
    form: type[Input] | None = None
    body: type[Input] | None = None
    headers: type[Input] | None = None
    summary: str = ""
    details: str = ""


_OPERATIONS: dict[Callable[..., Any], Operation] = {}


def operation(
    name: str,
    answers: Mapping[int, Answer],
    *problems: Problem,
    role: Role | None,
    open_if: Callable[[Settings], bool] | None = None,
    query: type[Input] | None = None,
    form: type[Input] | None = None,
    body: type[Input] | None = None,
    headers: type[Input] | None = None,
    details: str = "",
) -> Callable[[Method], Method]:
    """Declare a method of a view; the arguments are those of :class:`Operation`."""

    def declare(method: Method) -> Method:
        summary = (method.__doc__ or "").partition("\n")[0]
        _OPERATIONS[method] = Operation(
            name, answers, problems, role, open_if, query, form, body, headers, summary, details
        )
        return method

    return declare


def operations_of(view: type) -> dict[str, Operation]:
    """Return the declarations of the methods that a view defines itself, by the name of the method (``GET``).

    Raises:
        LookupError: one of them is not declared.
    """
    own = vars(view)
    return {method: _OPERATIONS[own[method.lower()]] for method in METHODS if method.lower() in own}


#: Headers of every answer.
EVERYWHERE: Mapping[str, Header] = MappingProxyType(
    {
        names.REQUEST_ID: Header("The id of the request: the client's own, if it sent a usable one.", "nightly-17"),
        names.RATE_LIMIT: Header("Requests that the account may send in the window.", "600", required=False),
        names.RATE_LIMIT_REMAINING: Header("How many of them are left.", "599", required=False),
        names.RATE_LIMIT_RESET: Header(
            "When the window is empty again, seconds of Unix time.", "1795512345", required=False
        ),
    }
)

#: Headers of the errors of a status.
HEADERS: Mapping[int, Mapping[str, Header]] = MappingProxyType(
    {
        401: {
            "WWW-Authenticate": Header(
                "What would be a credential (RFC 6750).",
                'Bearer realm="bulk-operations", ApiKey realm="bulk-operations"',
            )
        },
        429: {"Retry-After": Header("Seconds after which there may be room.", "12")},
        503: {"Retry-After": Header("Seconds after which it may be tried again.", "5")},
    }
)

#: Errors of every method that needs a role.
AUTHENTICATED_ERRORS: tuple[Problem, ...] = (
    catalogue.INVALID_ACCOUNT,
    catalogue.UNKNOWN_PARAMETER,
    catalogue.CREDENTIAL_REQUIRED,
    catalogue.INVALID_CREDENTIAL,
    catalogue.CROSS_SITE,
    catalogue.UNKNOWN_HOST,
    catalogue.FORBIDDEN,
    catalogue.RATE_LIMITED,
    catalogue.DEPENDENCY_AWAY,
    catalogue.RATE_LIMITS_UNAVAILABLE,
    catalogue.TOKEN_KEYS_UNAVAILABLE,
)
