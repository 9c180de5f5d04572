"""What clients send, as pydantic models: they validate it, and the description of the API is made from them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, PlainValidator, ValidationError
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from app.domain.nearest import nearest
from app.domain.printable import printable
from web.errors import Fault, refusal


class Input(BaseModel):
    """Values by name, all of them text: a query, a form, headers.

    All that is wrong is told, in the order in which the fields are declared; what nobody knows comes last.
    """

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, arbitrary_types_allowed=True)

    #: What a name is called that the model does not have, and the code of that mistake; None: it is not looked at.
    unknown: ClassVar[tuple[str, str] | None] = None

    @classmethod
    def read(cls, sent: Mapping[str, str]) -> Self:
        """Check what was sent; of a name that was sent several times, the first value.

        Raises:
            ApiError: 400, with all that is wrong.
        """
        value, faults = cls.check(sent)
        if value is None or faults:
            raise refusal(faults)
        return value

    @classmethod
    def check(cls, sent: Mapping[str, str]) -> tuple[Self | None, list[Fault]]:
        """Return what was sent, None when a value is wrong, and all that is wrong with it."""
        # By the names of the model, because a header may be written in another case.
        names = cls.names()
        value, faults = None, []
        try:
            value = cls.model_validate({name: sent[name] for name in names if name in sent})
        except ValidationError as error:
            faults = [
                Fault(str(wrong["loc"][0]), wrong["type"], wrong["msg"])
                for wrong in error.errors(include_url=False, include_context=False)
            ]
        return value, faults + cls._unknown(sent, names)

    @classmethod
    def names(cls) -> list[str]:
        """Return the names that can be sent."""
        return [field.alias or name for name, field in cls.model_fields.items()]

    @classmethod
    def _unknown(cls, sent: Iterable[str], names: list[str]) -> list[Fault]:
        if cls.unknown is None:
            return []
        what, code = cls.unknown
        return [
            Fault(printable(name, 40), code, unknown_message(what, name, names))
            for name in dict.fromkeys(sent)
            if name not in names
        ]


class Query(Input):
    """The parameters behind the ``?`` of an address."""

    unknown = ("query parameter", "UNKNOWN_PARAMETER")


class NoParameters(Query):
    """The query of a route that takes none."""


class Form(Input):
    """The fields of a form."""

    unknown = ("field", "UNKNOWN_FIELD")


def unknown_message(what: str, name: str, known: list[str]) -> str:
    """Return what a client is told of a name that nobody knows: the nearest known one, or all of them."""
    meant = nearest(name, known)
    shown = f'There is no {what} "{printable(name, 40)}"'
    if meant is not None:
        return f"{shown}: did you mean {meant}?"
    return f"{shown}. There is: {', '.join(known)}." if known else f"{shown}: there is none here."


def reads(read: Callable[[str], Any], code: str, schema: Any = str) -> PlainValidator:
    """Annotate a field with how its text is read.

    Args:
        read: Returns the value; its ``ValueError`` is what the client is told.
        code: The code of that error.
        schema: The type, or the annotated type, of a text that is right, for the description of the API.
    """

    def validate(text: str) -> Any:
        try:
            return read(text)
        except ValueError as error:
            raise PydanticCustomError(code, str(error)) from None

    return PlainValidator(validate, json_schema_input_type=schema)
