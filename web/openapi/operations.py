"""How a view describes its methods: what they take, and every answer that they give.

The description stands at the method; ``web/openapi/document.py`` makes the document from all of them. What is the same
for many methods stands here: :data:`AUTHENTICATED_ERRORS` for the routes that need a credential, :data:`HEADERS` for
the answers of a status, wherever they are given.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar

from app.domain.public_faults import Dependency
from web.errors import NOT_FOUND, ApiError, Fault, away_message
from web.inputs import Input
from web.openapi.models import Away, Error, TooManyRequests

JSON = "application/json"

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
        headers: Further headers, by name.
        links: What can be asked next: the name of an operation, with its parameters (OpenAPI runtime expressions).
    """

    meaning: str
    body: Any = None
    media_type: str = JSON
    headers: Mapping[str, Header] = field(default_factory=dict)
    links: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


class Problem(NamedTuple):
    """An answer that is an error: its status, its code, and its message, or one such message.

    An error that says more has a model of its own, and an example of what it says beside the usual.
    """

    status: int
    code: str
    message: str
    body: type = Error
    more: Mapping[str, Any] = MappingProxyType({})

    def error(self, message: str | None = None) -> ApiError:
        """Return the answer that says so, in other words where they are given."""
        return ApiError(self.status, message or self.message, self.code)

    def fault(self, field: str | None, message: str | None = None) -> Fault:
        """Return it as one of the things that are wrong with a request, in other words where they are given."""
        return Fault(field, self.code, message or self.message)


def too_many(code: str, message: str, retry_after: int) -> Problem:
    """Return the problem that the account has asked for more than it may (429), with an example."""
    more = {"message": message, "retryAfter": retry_after}
    return Problem(429, code, "Too Many Requests", TooManyRequests, more)


@dataclass(frozen=True, slots=True)
class Operation:
    """What a method does.

    Args:
        name: As clients made from the description call it (``operationId``).
        answers: By status, those that are no errors, and those that are not of the form of errors.
        problems: The errors, without those of :data:`AUTHENTICATED_ERRORS`.
        query: What is read of the query.
        form: What is read of a ``multipart/form-data`` body beside the file.
        headers: What is read of the headers.
        summary: One line, from the docstring.
        details: More, in Markdown.
    """

    name: str
    answers: Mapping[int, Answer]
    problems: Sequence[Problem] = ()
    query: type[Input] | None = None
    form: type[Input] | None = None
    headers: type[Input] | None = None
    summary: str = ""
    details: str = ""


_OPERATIONS: dict[Callable[..., Any], Operation] = {}


def operation(
    name: str,
    answers: Mapping[int, Answer],
    *problems: Problem,
    query: type[Input] | None = None,
    form: type[Input] | None = None,
    headers: type[Input] | None = None,
    details: str = "",
) -> Callable[[Method], Method]:
    """Describe a method of a view; the arguments are those of :class:`Operation`."""

    def describe(method: Method) -> Method:
        summary = (method.__doc__ or "").partition("\n")[0]
        _OPERATIONS[method] = Operation(name, answers, problems, query, form, headers, summary, details)
        return method

    return describe


def operation_of(view: type, method: str) -> Operation:
    """Return the description of a view's method (``GET``).

    Raises:
        LookupError: it has none.
    """
    return _OPERATIONS[getattr(view, method.lower())]


_AWAY = {"Retry-After": Header("Seconds after which it may be tried again.", "5")}

#: Headers of every answer.
EVERYWHERE: Mapping[str, Header] = MappingProxyType(
    {
        "X-Request-ID": Header("The id of the request: the client's own, if it sent a usable one.", "nightly-17"),
        "X-RateLimit-Limit": Header("Requests that the account may send in the window.", "600", required=False),
        "X-RateLimit-Remaining": Header("How many of them are left.", "599", required=False),
        "X-RateLimit-Reset": Header(
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
        503: _AWAY,
    }
)

CROSS_SITE = Problem(
    403, "CROSS_SITE", "A browser has sent this for a page of another site, which may not change anything here."
)
UNKNOWN_HOST = Problem(
    403, "UNKNOWN_HOST", "The request calls this server by a name that is none of its own: ALLOWED_HOSTS lists them."
)

#: Errors of every method that needs a role.
AUTHENTICATED_ERRORS: tuple[Problem, ...] = (
    Problem(
        400,
        "INVALID_ACCOUNT",
        "The header accountid must be 1 to 64 letters, digits or . _ @ - characters.",
    ),
    Problem(400, "UNKNOWN_PARAMETER", 'There is no query parameter "sort". There is: limit, status, cursor.'),
    Problem(401, "CREDENTIAL_REQUIRED", "Please send an API key (X-API-Key) or a bearer token (Authorization)."),
    Problem(401, "INVALID_CREDENTIAL", "The API key is not valid: it is unknown, expired or revoked."),
    CROSS_SITE,
    UNKNOWN_HOST,
    Problem(403, "FORBIDDEN", "This needs the role admin, and the credential has the role operator."),
    too_many("RATE_LIMITED", "The account may send 600 requests other than uploads in 60 seconds.", 12),
    Problem(
        503, "SERVICE_UNAVAILABLE", away_message(Dependency.DATABASE), Away, {"dependency": Dependency.DATABASE.value}
    ),
    Problem(
        503,
        "RATE_LIMITS_UNAVAILABLE",
        "Requests cannot be counted now, and none passes uncounted. Please try again later.",
    ),
    Problem(
        503,
        "TOKEN_KEYS_UNAVAILABLE",
        "The token cannot be checked now, because the keys of its issuer are not to be had.",
    ),
)

ACTION_NOT_FOUND = Problem(404, "ACTION_NOT_FOUND", NOT_FOUND)
