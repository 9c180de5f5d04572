"""What clients send, as pydantic models: they validate it, and the description of the API is made from them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, PlainValidator, ValidationError
from pydantic.alias_generators import to_camel

from app.domain.nearest import suggestion
from app.domain.printable import printable
from web.errors.catalogue import UNKNOWN_FIELD, UNKNOWN_PARAMETER
from web.errors.problem import ApiError, Problem, refusal


class Input(BaseModel):
    """Values by name: those of a query, a form or headers, all of them text, or those of a JSON object.

    All that is wrong is reported, in the order in which the fields are declared; unknown names come last.
    """

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, arbitrary_types_allowed=True)

    #: The problem of a name that the model does not have; None: such a name is ignored.
    unknown: ClassVar[Problem | None] = None

    @classmethod
    def read(cls, sent: Mapping[str, Any]) -> Self:
        """Check what was sent; of a name that was sent several times, the first value.

        Raises:
            ApiError: 400, with all that is wrong.
        """
        value, faults = cls.check(sent)
        if value is None or faults:
            raise refusal(faults)
        return value

    @classmethod
    def check(cls, sent: Mapping[str, Any]) -> tuple[Self | None, list[ApiError]]:
        """Return what was sent, None when a value is wrong or missing, and all that is wrong with what was sent.

        A model that requires a value says itself how its absence is reported.
        """
        # By the names of the model, because a header may be written in another case.
        names = cls.names()
        value, faults = None, []
        try:
            value = cls.model_validate({name: sent[name] for name in names if name in sent})
        except ValidationError as error:
            faults = [
                wrong["ctx"]["error"].fault.at(str(wrong["loc"][0]))
                for wrong in error.errors(include_url=False)
                if wrong["type"] != "missing"
            ]
        return value, faults + cls._unknown(sent, names)

    @classmethod
    def names(cls) -> list[str]:
        """Return the names that can be sent."""
        return [field.alias or name for name, field in cls.model_fields.items()]

    @classmethod
    def _unknown(cls, sent: Iterable[str], names: list[str]) -> list[ApiError]:
        if cls.unknown is None:
            return []
        unknown = {name: printable(name, 40) for name in sent if name not in names}
        return [
            cls.unknown(name=shown, suggestion=suggestion(name, names)).at(shown) for name, shown in unknown.items()
        ]


class Query(Input):
    """The parameters behind the ``?`` of an address."""

    unknown = UNKNOWN_PARAMETER


class NoParameters(Query):
    """The query of a route that takes none."""


class Form(Input):
    """The fields of a form."""

    unknown = UNKNOWN_FIELD


class _InvalidValue(ValueError):
    """Carries an error through pydantic, which collects errors of this kind only."""

    def __init__(self, fault: ApiError) -> None:
        super().__init__(fault)
        self.fault = fault


def reads(read: Callable[[Any], Any], problem: Problem | None = None, schema: Any = str) -> PlainValidator:
    """Annotate a field with how its text, or its JSON value, is read.

    Args:
        read: Returns the value. It raises ``ApiError``, or ``ValueError`` with the ``reason`` of ``problem``.
        problem: What a ``ValueError`` means; None: any text can be read, or ``read`` says it itself.
        schema: The type, or the annotated type, of a text that is right, for the description of the API.
    """

    def validate(sent: Any) -> Any:
        try:
            return read(sent)
        except ApiError as error:
            raise _InvalidValue(error) from None
        except ValueError as error:
            if problem is None:
                raise
            raise _InvalidValue(problem(reason=error)) from None

    return PlainValidator(validate, json_schema_input_type=schema)
