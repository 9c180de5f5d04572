"""A kind of error, and an error of that kind: ``{"error": message, "code": code, "requestId": id}``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from app.domain.printable import as_utf8
from web.openapi.models import Error

_NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True, eq=False)
class Problem:
    """A kind of error: called with the parameters of its message, it makes an exception to be raised.

    Attributes:
        status: The HTTP status.
        code: For a program.
        message: For a person: a template (``str.format``) of named parameters.
        example: The parameters of the message and the headers, for the description of the API.
        where: The field, parameter or header that is wrong, where it is always the same.
        headers: Templates of further headers.
        extra: What else the body says: names of its fields, each with the parameter that it has the value of.
        title: What ``error`` says where it is the same for all errors of a status; ``message`` then has the message.
        body: The model of the body.
        others: What may be wrong beside it, for the example.
    """

    status: int
    code: str
    message: str
    example: Mapping[str, Any] = field(default_factory=dict)
    where: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    extra: Mapping[str, str] = field(default_factory=dict)
    title: str | None = None
    body: type[Error] = Error
    others: tuple[ApiError, ...] = ()

    def __call__(self, **parameters: Any) -> ApiError:
        """Return the error with these parameters.

        Raises:
            KeyError: the message has another one.
        """
        return ApiError(self, parameters)

    def worded(self, message: str, **example: Any) -> Problem:
        """Return the same problem with another message, which may say less in its body."""
        extra = {name: parameter for name, parameter in self.extra.items() if parameter in example}
        return replace(self, message=message, example=example, extra=extra, body=self.body if extra else Error)

    def with_example(self, **example: Any) -> Problem:
        """Return the same problem with another example, for an operation that has parameters of its own."""
        return replace(self, example=example)

    def example_error(self) -> ApiError:
        """Return an error of this kind, as the description of the API shows it."""
        return self(**self.example).beside(self.others)


class ApiError(Exception):
    """A request is not carried out, because of a problem or of several.

    Attributes:
        problem: What is wrong.
        message: For a person.
        headers: Further headers of the answer.
        field: The field of the form, the parameter of the query or the header that is wrong; None: none of them.
    """

    def __init__(self, problem: Problem, parameters: Mapping[str, Any] = _NOTHING) -> None:
        self.problem = problem
        self.message = problem.message.format(**parameters)
        super().__init__(self.message)
        self.headers = {name: value.format(**parameters) for name, value in problem.headers.items()}
        self.field = problem.where
        self._extra = {name: parameters[parameter] for name, parameter in problem.extra.items()}
        self._explanation: str | None = None
        self._others: tuple[ApiError, ...] = ()

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.problem.status

    @property
    def code(self) -> str:
        """For a program."""
        return self.problem.code

    @property
    def faults(self) -> Sequence[ApiError]:
        """All that is wrong, this first; empty where that says no more than the message."""
        return (self, *self._others) if self._others or self._explanation else ()

    def at(self, field: str | None) -> ApiError:
        """Say which field, parameter or header is wrong; return the error itself."""
        self.field = field
        return self

    def explained(self, explanation: str) -> ApiError:
        """Say more than the message, on whose words clients rely, in the list of all that is wrong."""
        self._explanation = explanation
        return self

    def beside(self, others: Sequence[ApiError]) -> ApiError:
        """Say what else is wrong with the request; return the error itself."""
        self._others = tuple(others)
        return self

    def to_body(self, request_id: str) -> dict[str, Any]:
        """Return the body of the answer."""
        title, message = self.problem.title, as_utf8(self.message)
        said = {"error": message} if title is None else {"error": title, "message": message}
        body = {**said, **self._extra, "code": self.code, "requestId": request_id}
        if self.faults:
            body["errors"] = [fault._to_fault() for fault in self.faults]
        return body

    def _to_fault(self) -> dict[str, Any]:
        return {"field": self.field, "code": self.code, "message": as_utf8(self._explanation or self.message)}


def refusal(faults: Sequence[ApiError]) -> ApiError:
    """Return the one error that says all that is wrong with a request: it is the first, the others beside it."""
    return faults[0].beside(faults[1:])
