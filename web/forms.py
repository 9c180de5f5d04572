"""The form of an upload: its fields beside the file."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from app.domain.actions import ACTION_TYPES, parse_schedule
from app.domain.column_mapping import ColumnMapping, parse_mapping
from app.domain.entities import ENTITIES, Entity, find_entity
from web import errors
from web.errors import bad_request
from web.inputs import Input, reads

_DELIMITERS = {",": ",", ";": ";", "|": "|", "\t": "\t", "\\t": "\t", "tab": "\t"}


def _read_action_type(text: str) -> str:
    if text not in ACTION_TYPES:
        raise ValueError(errors.ACTION_TYPE_UNSUPPORTED)
    return text


def _read_entity(text: str) -> Entity:
    entity = find_entity(text)
    if entity is None:
        raise ValueError(errors.ENTITY_TYPE_UNSUPPORTED)
    return entity


def _read_schedule(text: str) -> datetime | None:
    return parse_schedule(text) if text else None


def _read_delimiter(text: str) -> str:
    text = text or ","
    if text not in _DELIMITERS:
        raise ValueError("delimiter must be one of , ; | or tab.")
    return _DELIMITERS[text]


def _read_mapping(text: str) -> ColumnMapping | None:
    return parse_mapping(text) if text else None


def _one_of(*values: str) -> Any:
    """Return the type of a text that is one of these, for the description."""
    return Annotated[str, Field(json_schema_extra={"enum": list(values)})]


class UploadForm(Input):
    """What an upload asks for. Fields that are not named here are passed over."""

    action_type: Annotated[
        str,
        reads(_read_action_type, "ACTION_TYPE_UNSUPPORTED", _one_of(*sorted(ACTION_TYPES))),
        Field(description="What is to be done with each row: `BULK_UPDATE` inserts or updates, by `id`."),
    ]
    entity: Annotated[
        Entity,
        reads(_read_entity, "ENTITY_TYPE_UNSUPPORTED", _one_of(*ENTITIES)),
        Field(alias="entityType", description="What a row is, in upper or lower case."),
    ]
    scheduled_at: Annotated[
        datetime | None,
        reads(_read_schedule, "INVALID_SCHEDULE", datetime | Literal[""]),
        Field(description="When it is to be done: ISO 8601, UTC when it names no offset. Empty: now."),
    ] = None
    delimiter: Annotated[
        str,
        reads(_read_delimiter, "INVALID_DELIMITER", _one_of(",", ";", "|", "tab", "")),
        Field(description="What stands between two fields of the file."),
    ] = ","
    mapping: Annotated[
        ColumnMapping | None,
        reads(_read_mapping, "INVALID_MAPPING", str),
        Field(
            description="Which column of the file is which field: a JSON object of column names to names of fields, or "
            'to null for a column that is left out, such as `{"Kunde": "id", "Notiz": null}`. Others keep their names.'
        ),
    ] = None

    @model_validator(mode="before")
    @classmethod
    def _has_what_is_required(cls, form: dict[str, str]) -> dict[str, str]:
        if not form.get("actionType") or not form.get("entityType"):
            raise PydanticCustomError("FIELDS_REQUIRED", errors.FIELDS_REQUIRED)
        return form


def delimiter_so_far(form: Mapping[str, str]) -> str:
    """Return the delimiter as far as the form is known when its file begins.

    Raises:
        ApiError: 400 when it is none.
    """
    try:
        return _read_delimiter(form.get("delimiter", ""))
    except ValueError as error:
        raise bad_request(str(error), "INVALID_DELIMITER") from None
