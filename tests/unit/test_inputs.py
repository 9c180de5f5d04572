"""What clients send is read by models, and what is wrong with it is told in the words of its reader."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict, MultiDict
from pydantic import Field

from web.errors.catalogue import FIELDS_REQUIRED
from web.errors.problem import ApiError
from web.inputs import Input, NoParameters, reads
from web.upload.fields import UploadForm
from web.views.actions import ActionsQuery
from web.views.dead_letters import DeadLettersQuery
from web.views.records import RecordsQuery

REQUIRED = {"actionType": "BULK_UPDATE", "entityType": "contact"}
ANY_TEXT = st.text(st.characters())  # surrogates too: bytes of a client that were no text


def told(error: pytest.ExceptionInfo[ApiError]) -> tuple[int, str]:
    return error.value.status, error.value.code


def test_first_of_repeated_names_counts() -> None:
    """Of a name that is sent twice the first value counts."""
    assert ActionsQuery.read(MultiDict([("limit", "1"), ("limit", "x")])).limit == 1


def test_nothing_sent_means_the_defaults() -> None:
    asked = ActionsQuery.read({})
    assert (asked.limit, asked.status, asked.entity_type, asked.cursor) == (50, None, None, None)


def test_an_empty_filter_is_none() -> None:
    asked = ActionsQuery.read({"status": "", "entityType": ""})
    assert (asked.status, asked.entity_type) == (None, None)
    assert RecordsQuery.read({"status": ""}).status is None


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        ({"cursor": "x", "status": "x", "limit": "x"}, "INVALID_LIMIT"),
        ({"cursor": "x", "status": "x"}, "INVALID_STATUS"),
        ({"cursor": "x"}, "INVALID_CURSOR"),
    ],
)
@pytest.mark.parametrize("query", [ActionsQuery, RecordsQuery])
def test_first_fault_of_model_is_told(query: type[Input], sent: dict[str, str], code: str) -> None:
    """Of several mistakes the first of the model is told."""
    with pytest.raises(ApiError) as error:
        query.read(sent)
    assert told(error) == (400, code)


@pytest.mark.parametrize(
    ("form", "code"),
    [
        ({"actionType": "X", "delimiter": "x"}, "FIELDS_REQUIRED"),
        ({"actionType": "X", "entityType": "X", "scheduledAt": "x", "delimiter": "x"}, "ACTION_TYPE_UNSUPPORTED"),
        ({**REQUIRED, "entityType": "X", "scheduledAt": "x", "delimiter": "x"}, "ENTITY_TYPE_UNSUPPORTED"),
        ({**REQUIRED, "scheduledAt": "x", "delimiter": "x"}, "INVALID_SCHEDULE"),
        ({**REQUIRED, "delimiter": "x"}, "INVALID_DELIMITER"),
    ],
)
def test_missing_field_is_told_first(form: dict[str, str], code: str) -> None:
    """Of several mistakes in a form what is missing is told first."""
    with pytest.raises(ApiError) as error:
        UploadForm.read(form)
    assert told(error) == (400, code)


def test_a_form_is_read_to_what_it_means() -> None:
    form = UploadForm.read({**REQUIRED, "scheduledAt": "2030-01-31T09:00", "delimiter": "tab"})
    assert (form.operation.name, form.entity.name, form.delimiter) == ("BULK_UPDATE", "Contact", "\t")
    assert form.scheduled_at == datetime(2030, 1, 31, 9, tzinfo=UTC)


def test_empty_optional_fields() -> None:
    """Empty fields that are not required are as if they were not there."""
    assert UploadForm.read({**REQUIRED, "scheduledAt": "", "mapping": ""}).scheduled_at is None


@pytest.mark.parametrize("sent", ["", " "])
def test_an_empty_delimiter_is_refused(sent: str) -> None:
    """curl sends an empty one for -F delimiter=; and must not be asked for what it was just given."""
    with pytest.raises(ApiError, match=r"semicolon|must be one of") as error:
        UploadForm.read({**REQUIRED, "delimiter": sent})
    assert told(error) == (400, "INVALID_DELIMITER")


@pytest.mark.parametrize(
    ("word", "delimiter"),
    [("auto", None), ("comma", ","), ("semicolon", ";"), ("pipe", "|"), ("tab", "\t"), ("TAB", "\t"), ("\\t", "\t")],
)
def test_a_delimiter_can_be_a_word(word: str, delimiter: str | None) -> None:
    assert UploadForm.read({**REQUIRED, "delimiter": word}).delimiter == delimiter


@pytest.mark.parametrize(
    ("name", "encoding"), [("auto", None), ("AUTO", None), ("Latin-1", "windows-1252"), ("UTF-16", "utf-16")]
)
def test_an_encoding_has_its_usual_names(name: str, encoding: str | None) -> None:
    assert UploadForm.read({**REQUIRED, "encoding": name}).encoding == encoding


# Names that nobody knows


@pytest.mark.parametrize(
    ("model", "sent", "words"),
    [
        (
            UploadForm,
            {**REQUIRED, "scheduled_at": "2030-01-31T09:00"},
            'no field "scheduled_at": did you mean scheduledAt',
        ),
        (UploadForm, {**REQUIRED, "delimeter": ";"}, "did you mean delimiter"),
        (UploadForm, {**REQUIRED, "upload": "x"}, "There is: actionType, entityType, scheduledAt"),
        (ActionsQuery, {"entity_type": "Contact"}, 'no query parameter "entity_type": did you mean entityType'),
        (RecordsQuery, {"state": "FAILED"}, "did you mean status"),
        (DeadLettersQuery, {"action": "x"}, "did you mean actionId"),
        (NoParameters, {"x": "y"}, "there is none here"),
    ],
)
def test_an_unknown_name_is_refused(model: type[Input], sent: dict[str, str], words: str) -> None:
    """What was meant for something must not be passed over: a file would run at once."""
    with pytest.raises(ApiError, match=words) as error:
        model.read(sent)
    assert told(error) == (400, "UNKNOWN_FIELD" if model is UploadForm else "UNKNOWN_PARAMETER")


def test_several_faults_are_told_together() -> None:
    sent = {"entityType": "Spaceship", "scheduledAt": "x", "delimiter": "x", "note": "x"}
    with pytest.raises(ApiError) as error:
        UploadForm.read(sent)
    assert (error.value.message, error.value.code) == (FIELDS_REQUIRED.message, FIELDS_REQUIRED.code)
    assert [(fault.field, fault.code) for fault in error.value.faults] == [
        ("actionType", "FIELDS_REQUIRED"),
        ("entityType", "ENTITY_TYPE_UNSUPPORTED"),
        ("scheduledAt", "INVALID_SCHEDULE"),
        ("delimiter", "INVALID_DELIMITER"),
        ("note", "UNKNOWN_FIELD"),
    ]


def test_one_fault_is_told_alone() -> None:
    with pytest.raises(ApiError) as error:
        ActionsQuery.read({"limit": "x"})
    assert error.value.faults == ()


def test_unknown_headers_are_ignored() -> None:
    """Headers of others are passed over."""
    assert Headers.read({"User-Agent": "curl"}).idempotency_key is None


@given(st.dictionaries(st.sampled_from(["limit", "status", "entityType", "actionId", "cursor"]), ANY_TEXT))
@pytest.mark.parametrize("query", [ActionsQuery, RecordsQuery, DeadLettersQuery])
def test_any_text_is_read_or_refused(query: type[Input], sent: dict[str, str]) -> None:
    try:
        query.read(sent)
    except ApiError as error:
        assert error.status == 400


@given(st.dictionaries(st.sampled_from(["scheduledAt", "delimiter", "note"]), ANY_TEXT))
def test_any_form_is_read_or_refused(sent: dict[str, str]) -> None:
    try:
        UploadForm.read({**REQUIRED, **sent})
    except ApiError as error:
        assert error.status == 400


class Headers(Input):
    idempotency_key: Annotated[str | None, reads(str), Field(alias="Idempotency-Key")] = None


def test_header_name_ignores_case() -> None:
    """A header is found in whatever case it was sent."""
    assert Headers.read(CIMultiDict({"idempotency-key": "a"})).idempotency_key == "a"


def test_braces_are_told_as_they_are() -> None:
    """Braces in what was sent are told as they are."""
    with pytest.raises(ApiError, match=r"not '\{x\} \{\{'"):
        ActionsQuery.read({"limit": "{x} {{"})
