"""The description of the API is valid, complete, and has the examples and codes that the code has."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from pydantic import BaseModel, Field

from app.domain.access import Role
from app.domain.actions import Action
from app.domain.api_keys import ApiKey
from app.domain.entities import ENTITIES
from app.domain.outcomes import RowOutcome
from app.settings import Settings
from tests.support.factories import make_action, make_dead_letter
from tests.support.openapi import DOCUMENT, answers, operations
from web.errors.problem import Problem
from web.inputs import Input, reads
from web.openapi import models as models
from web.openapi.document import describe
from web.openapi.models import Error
from web.openapi.operations import Answer, operation
from web.openapi.page import render
from web.representations import (
    action_to_response,
    api_key_to_response,
    dead_letter_to_response,
    entity_to_response,
    limits_to_response,
    row_to_response,
    statistics_to_response,
)
from web.routes import ROUTES, Route
from web.views.base import ApiView

NOW = datetime(2026, 11, 23, 23, 55, 49, 253_000, tzinfo=UTC)


def test_document_is_valid_openapi() -> None:
    """The document is valid OpenAPI 3.1."""
    assert DOCUMENT["openapi"].startswith("3.1.")
    OpenAPIV31SpecValidator(DOCUMENT).validate()


def test_document_has_every_route() -> None:
    """Every route and method is in the document, and nothing else is."""
    described = {(method.upper(), path) for path, methods in DOCUMENT["paths"].items() for method in methods}
    assert described == {(method, route.path) for route in ROUTES for method in route.operations}


def test_an_undeclared_method_is_refused() -> None:
    """Nobody could say who may use it."""
    with pytest.raises(LookupError):

        class View(ApiView):
            async def get(self, request: Any) -> Any:
                """Be new."""


def test_operations_are_named() -> None:
    """Every operation has a name of its own, and says what it does."""
    names = [described["operationId"] for _, _, described in operations()]
    assert len(set(names)) == len(names)
    assert all(described["summary"] and described["description"] for _, _, described in operations())


def test_path_parameters_are_described() -> None:
    """Every parameter of a path is described."""
    for path, _, described in operations():
        named = {parameter["name"] for parameter in described["parameters"] if parameter.get("in") == "path"}
        assert named == {part[1:-1] for part in path.split("/") if part.startswith("{")}


# Who may


def test_security_is_described() -> None:
    """What is open asks for nothing, and everything else for its role."""
    for route in ROUTES:
        for method, declared in route.operations.items():
            need, described = declared.role, DOCUMENT["paths"][route.path][method.lower()]
            if need is None:
                assert "security" not in described
                assert not {"401", "403"} & set(described["responses"])
            else:
                assert described["security"][:2] == [{"apiKey": [need]}, {"bearer": [need]}]
                assert {"400", "401", "403", "503"} <= set(described["responses"])


@pytest.mark.parametrize(("required", "anonymous"), [(True, False), (False, True)])
def test_open_access_is_described(required: bool, anonymous: bool) -> None:
    """A request without a credential is described where it is let through."""
    document = describe(ROUTES, credential_required=required)
    security = document["paths"]["/bulk-actions"]["get"]["security"]
    assert ({} in security) is anonymous
    assert ({"account": []} in security) is anonymous
    assert set(document["components"]["securitySchemes"]) == {"apiKey", "bearer", "account"}


# What a view may say of itself


class Waiting(Error):
    retry_after: int = Field(alias="retryAfter")


class Headers(Input):
    idempotency_key: Annotated[str | None, reads(str), Field(alias="Idempotency-Key", description="Once.")] = None


class View(ApiView):
    @operation(
        "getNew",
        {200: Answer("Text.", str, media_type="text/plain")},
        Problem(423, "IN_USE", "Later.", {"seconds": 5}, extra={"retryAfter": "seconds"}, body=Waiting),
        role=Role.VIEWER,
        headers=Headers,
    )
    async def get(self, request: Any) -> Any:
        """Be new."""


def test_rare_parts_can_be_described() -> None:
    """Extra fields of an error, a header that is read, and plain text can be described."""
    document = describe([Route("/new", View)], credential_required=False)
    OpenAPIV31SpecValidator(document).validate()
    render(document)
    described = document["paths"]["/new"]["get"]
    assert described["parameters"][0] == {
        "name": "Idempotency-Key",
        "in": "header",
        "required": False,
        "description": "Once.",
        "schema": {"type": "string"},
    }
    assert described["responses"]["200"]["content"] == {"text/plain": {"schema": {"type": "string"}}}
    waiting = described["responses"]["423"]["content"]["application/json"]
    assert waiting["schema"] == {"$ref": "#/components/schemas/Waiting"}
    assert waiting["examples"]["IN_USE"]["value"]["retryAfter"] == 5
    assert set(described["responses"]) == {"200", "400", "401", "403", "423", "429", "503"}


# Answers


def test_no_answer_is_a_fault_of_ours() -> None:
    assert "500" not in {status for _, _, status, _ in answers()}


@pytest.mark.parametrize(("path", "method", "status", "answer"), list(answers()))
def test_examples_fit_their_schemas(path: str, method: str, status: str, answer: dict[str, Any]) -> None:
    """An answer has an example that is what its schema says."""
    assert "X-Request-ID" in answer["headers"]
    for content in answer.get("content", {}).values():
        examples = [example["value"] for example in content.get("examples", {}).values()]
        examples += [content["example"]] if "example" in content else []
        assert examples or path in {"/openapi.json", "/docs", "/metrics"}
        # In the document, so that its references are found.
        checker = Draft202012Validator({**content["schema"], "components": DOCUMENT["components"]})
        assert [error.message for example in examples for error in checker.iter_errors(example)] == []


def test_retry_and_challenge_are_described() -> None:
    """An error that may pass says when to try again, and a 401 says what would be a credential."""
    for path, _, status, answer in answers():
        if status == "401":
            assert answer["headers"]["WWW-Authenticate"]["required"]
        if status == "503" and path not in ("/health", "/ready"):
            assert answer["headers"]["Retry-After"]["required"]


def test_a_form_has_no_other_fields() -> None:
    form = DOCUMENT["paths"]["/bulk-actions"]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert form["additionalProperties"] is False


def test_links_lead_to_operations() -> None:
    """Links lead to operations and parameters that exist."""
    named = {described["operationId"]: described for _, _, described in operations()}
    links = [link for *_, answer in answers() for link in answer.get("links", {}).values()]
    assert links
    for link in links:
        known = {parameter.get("name") for parameter in named[link["operationId"]]["parameters"]}
        assert set(link["parameters"]) <= known


# The models of answers are what is answered


def fields(model: type[BaseModel]) -> set[str]:
    return {field.alias or name for name, field in model.model_fields.items()}


def action(**changes: Any) -> Action:
    return make_action(**{"status": "PROCESSING", "totalCount": 4, "chunkCount": 1, "startedAt": NOW, **changes})


def test_action_model_is_complete() -> None:
    """The model of an action is what is shown of one."""
    shown = action_to_response(action(emptyCells="skip"))
    models.Action.model_validate(shown)
    assert set(shown) == fields(models.Action)
    assert set(shown) - set(action_to_response(action())) == {"emptyCells"}


@pytest.mark.parametrize("changes", [{}, {"startedAt": None}, {"status": "COMPLETED", "completedAt": NOW}])
def test_statistics_model_is_complete(changes: dict[str, Any]) -> None:
    """The model of statistics is what is shown of an action."""
    shown = statistics_to_response(action(**changes), None, NOW)
    models.Statistics.model_validate(shown)
    assert set(shown) == fields(models.Statistics)


@pytest.mark.parametrize("name", ENTITIES)
def test_entity_model_is_complete(name: str) -> None:
    """The model of a listed entity is what is shown of one."""
    shown = entity_to_response(ENTITIES[name])
    models.ListedEntity.model_validate(shown)
    assert set(shown) == fields(models.ListedEntity)


@pytest.mark.parametrize("payload", [b"{}", b"\xff"])
def test_dead_letter_model_is_complete(payload: bytes) -> None:
    """The model of a dead letter is what is shown of one."""
    shown = dead_letter_to_response(make_dead_letter(kind="POISON", payload=payload))
    models.DeadLetter.model_validate(shown)
    assert set(shown) == fields(models.DeadLetter)


@pytest.mark.parametrize("changes", [{}, {"expires_at": NOW}, {"revoked_at": NOW, "revoked_by": "key 1"}])
def test_api_key_model_is_complete(changes: dict[str, Any]) -> None:
    """The model of an API key is what is shown of one."""
    key = ApiKey("0" * 64, "acme", Role.VIEWER, "nightly", NOW, **changes)
    shown = api_key_to_response(key, NOW)
    models.ListedApiKey.model_validate(shown)
    assert set(shown) == fields(models.ListedApiKey)
    assert key.fingerprint not in str(shown)


def test_limits_model_is_complete() -> None:
    """The model of the limits is what is told; what has no limit is null, never 0."""
    settings = Settings(_env_file=None)
    for counted in (True, False):
        shown = limits_to_response(settings, settings.limits_of("acme"), window_seconds=60, counted=counted)
        models.Limits.model_validate(shown)
        assert set(shown) == fields(models.Limits)
        assert 0 not in shown.values()
        assert (shown["uploadsPerWindow"] is None) != counted


def test_row_model_is_complete() -> None:
    """The model of a row is what is shown of any."""
    failed = RowOutcome(2, "FAILED", "INVALID_EMAIL", "email is not an email address", "email")
    skipped = RowOutcome(3, "SKIPPED", "DUPLICATE", "Row 1 of this file has the same record.", owner=1)
    created = RowOutcome(1, "SUCCESS", "CREATED", "")
    rows = [row_to_response(row) for row in (created, failed, skipped)]
    rows.append(row_to_response(failed, 7))
    rows.append(row_to_response(failed, of_stream=True))
    assert rows[0] == {"row": 1, "status": "SUCCESS", "code": "CREATED"}
    for row in rows:
        models.Row.model_validate(row)
    assert {name for row in rows for name in row} == fields(models.Row)


def test_description_is_of_its_method() -> None:
    """A description is of the method that it stands at."""
    for route in ROUTES:
        for method, declared in route.operations.items():
            assert declared.summary == (getattr(route.view, method.lower()).__doc__ or "").strip()
