"""What clients send, as pydantic models: they validate it, and the description of the API is made from them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, PlainValidator, ValidationError
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from web.errors import bad_request


class Input(BaseModel):
    """Values by name, all of them text: a query, a form, headers. What it does not name is not looked at.

    Of several wrong values the one whose field is declared first is told.
    """

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, arbitrary_types_allowed=True)

    @classmethod
    def read(cls, sent: Mapping[str, str]) -> Self:
        """Check what was sent; of a name that was sent several times, the first value.

        Raises:
            ApiError: 400, with the message and the code of the first field that is wrong.
        """
        # By the names of the model, because a header may be written in another case.
        names = [field.alias or name for name, field in cls.model_fields.items()]
        try:
            return cls.model_validate({name: sent[name] for name in names if name in sent})
        except ValidationError as error:
            wrong = error.errors(include_url=False, include_context=False)[0]
            raise bad_request(wrong["msg"], wrong["type"]) from None


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
