"""The form of an upload: its fields beside the file."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import Field

from app.domain.cells import EmptyCells
from app.domain.csv.column_mapping import ColumnMapping, parse_mapping
from app.domain.csv.delimiters import DELIMITER_NAMES
from app.domain.csv.encodings import ENCODING_NAMES, find_encoding
from app.domain.entities import ENTITIES, Entity, find_entity
from app.domain.failure_limits import MIN_ROWS, FailureLimit
from app.domain.operations import BULK_UPDATE, OPERATIONS, Operation, find_operation
from app.domain.schedules import parse_schedule
from web.errors.catalogue import (
    ACTION_TYPE_UNSUPPORTED,
    EMPTY_CELLS_WITHOUT_USE,
    EMPTY_DELIMITER,
    ENTITY_TYPE_UNSUPPORTED,
    FIELDS_REQUIRED,
    FILE,
    INVALID_DELIMITER,
    INVALID_EMPTY_CELLS,
    INVALID_ENCODING,
    INVALID_MAPPING,
    INVALID_MAX_FAILURES,
    INVALID_SCHEDULE,
)
from web.errors.problem import ApiError
from web.inputs import Form, reads
from web.upload.sink import FileHints

_DELIMITERS = {**{name: char for char, name in DELIMITER_NAMES.items()}, **{char: char for char in DELIMITER_NAMES}}
_DELIMITERS["\\t"] = "\t"

#: What a form says that leaves it to us to find out, as does a field that is not there.
_AUTO = "auto"

MAX_FAILURES = r"^([0-9]{1,9}|[0-9]{1,2}(\.[0-9]{1,4})?%|)$"

#: Without these nothing can be done, so they are looked for first.
_REQUIRED = ("actionType", "entityType")


def read_operation(text: object) -> Operation:
    """Read the name of an action type. Raises ``ApiError``."""
    operation = find_operation(text) if isinstance(text, str) else None
    if operation is None:
        raise ACTION_TYPE_UNSUPPORTED()
    return operation


def read_entity(text: object) -> Entity:
    """Read the name of an entity. Raises ``ApiError``."""
    entity = find_entity(text) if isinstance(text, str) else None
    if entity is None:
        raise ENTITY_TYPE_UNSUPPORTED()
    return entity


def _read_schedule(text: str) -> datetime | None:
    return parse_schedule(text) if text else None


def read_max_failures(sent: object) -> FailureLimit | None:
    """Read a limit; in JSON it may be a number. Raises ``ValueError``."""
    return None if sent in (None, "") else FailureLimit.parse(str(sent))


def _read_delimiter(text: str) -> str | None:
    if not text:
        raise EMPTY_DELIMITER()
    if text.lower() == _AUTO:
        return None
    if text.lower() not in _DELIMITERS:
        raise INVALID_DELIMITER()
    return _DELIMITERS[text.lower()]


def _read_encoding(text: str) -> str | None:
    if text.lower() == _AUTO:
        return None
    encoding = find_encoding(text)
    if encoding is None:
        raise INVALID_ENCODING()
    return encoding


def _read_mapping(text: str) -> ColumnMapping | None:
    return parse_mapping(text) if text else None


def _read_empty_cells(text: str) -> EmptyCells | None:
    try:
        return EmptyCells(text.lower()) if text else None
    except ValueError:
        raise INVALID_EMPTY_CELLS() from None


def one_of(*values: str) -> Any:
    """Return the type of a text that is one of these, for the description."""
    return Annotated[str, Field(json_schema_extra={"enum": list(values)})]


class UploadForm(Form):
    """What an upload asks for. A field that is not named here is refused: it may have been meant for one that is."""

    operation: Annotated[
        Operation,
        reads(read_operation, schema=one_of(*sorted(OPERATIONS))),
        Field(
            alias="actionType",
            description="What is to be done with each row: "
            + "; ".join(f"`{operation.name}` {operation.summary}" for operation in OPERATIONS.values())
            + ".",
        ),
    ]
    entity: Annotated[
        Entity,
        reads(read_entity, schema=one_of(*ENTITIES)),
        Field(alias="entityType", description="What a row is, in upper or lower case."),
    ]
    scheduled_at: Annotated[
        datetime | None,
        reads(_read_schedule, INVALID_SCHEDULE, datetime | Literal[""]),
        Field(description="When it is to be done: ISO 8601, UTC when it names no offset. Empty: now."),
    ] = None
    max_failures: Annotated[
        FailureLimit | None,
        reads(read_max_failures, INVALID_MAX_FAILURES, Annotated[str, Field(pattern=MAX_FAILURES)]),
        Field(
            description="How many rows may fail before the action is paused: a number, or a share such as `5%` of the "
            f"rows that have run, from the {MIN_ROWS:,}th on. Empty: any."
        ),
    ] = None
    delimiter: Annotated[
        str | None,
        reads(_read_delimiter, schema=one_of(_AUTO, *DELIMITER_NAMES, *DELIMITER_NAMES.values())),
        Field(
            description="What stands between two fields of the file, itself or by name; `auto`, or without this field: "
            "what header and first rows show. A first line `sep=;` in the file has the last word."
        ),
    ] = None
    encoding: Annotated[
        str | None,
        reads(_read_encoding, schema=one_of(_AUTO, *ENCODING_NAMES)),
        Field(
            description="What the file is written in, by this or another usual name; `auto`, or without this field: "
            "what its bytes show. A byte-order mark in the file has the last word."
        ),
    ] = None
    mapping: Annotated[
        ColumnMapping | None,
        reads(_read_mapping, INVALID_MAPPING),
        Field(
            description="Which column of the file is which field: a JSON object of column names to names of fields, or "
            'to null for a column that is left out, such as `{"Kunde": "id", "Notiz": null}`. Others keep their names.'
        ),
    ] = None

    empty_cells: Annotated[
        EmptyCells | None,
        reads(_read_empty_cells, schema=one_of(*EmptyCells)),
        Field(
            description="What an empty cell means, with `BULK_PATCH`: `skip`, as without this field, leaves the record "
            "as it is; `clear` removes its value; `reject` fails the row. `#N/A` in a cell always clears."
        ),
    ] = None

    @classmethod
    def check(cls, sent: Mapping[str, str]) -> tuple[Self | None, list[ApiError]]:
        """Return what was sent, None when a value is wrong, and all that is wrong with it, what is missing first."""
        missing = [name for name in _REQUIRED if not sent.get(name)]
        form, faults = super().check({name: value for name, value in sent.items() if name not in missing})
        if form is not None and form.empty_cells is not None and not form.operation.partial:
            faults.append(EMPTY_CELLS_WITHOUT_USE(action_type=form.operation.name))
        # One sentence says it of both.
        return form, [FIELDS_REQUIRED().at(name) for name in missing[:1]] + faults

    @classmethod
    def check_so_far(cls, sent: Mapping[str, str]) -> list[ApiError]:
        """Return what is wrong with the fields that have arrived, while others may still come."""
        return [fault for fault in cls.check(sent)[1] if fault.problem is not FIELDS_REQUIRED]

    @classmethod
    def hints_so_far(cls, sent: Mapping[str, str]) -> FileHints:
        """Return what is known of the file when it begins; a field that is wrong says nothing of it."""
        read = {"delimiter": _read_delimiter, "encoding": _read_encoding}
        known: dict[str, str | None] = {}
        for name, reads_it in read.items():
            with suppress(ApiError):
                known[name] = reads_it(sent.get(name, _AUTO))
        return FileHints(**known)

    @classmethod
    def sound_part(cls, sent: Mapping[str, str], faults: list[ApiError]) -> UploadForm | None:
        """Return a form as far as a file can be judged by it although the rest is wrong; None: it cannot."""
        wrong = {fault.field for fault in faults}
        if wrong & {"entityType", "delimiter", "encoding", "mapping"}:
            return None
        sound = {name: value for name, value in sent.items() if name not in wrong}
        return cls.check({**sound, "actionType": sound.get("actionType", BULK_UPDATE.name)})[0]

    @classmethod
    def names(cls) -> list[str]:
        """Return the names of all parts of the form; the file is no field, and may be what was meant."""
        return [*super().names(), FILE]
