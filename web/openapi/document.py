"""The description of the API, OpenAPI 3.1: made from the routes, and from what stands at their methods."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from types import UnionType
from typing import Any, Protocol, get_args, get_origin

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

from app.domain.access import Role
from app.observability.process import VERSION
from web import headers
from web.errors.problem import Problem
from web.inputs import Input
from web.openapi.operations import (
    AUTHENTICATED_ERRORS,
    EVERYWHERE,
    HEADERS,
    Answer,
    Header,
    Operation,
)

Json = dict[str, Any]


class DescribedRoute(Protocol):
    """A path and what its methods do."""

    @property
    def path(self) -> str:
        """With its parameters in braces."""

    @property
    def operations(self) -> Mapping[str, Operation]:
        """By the name of the method."""


#: The id of the request in examples of errors.
_REQUEST_ID = "570aec6c158c425483df8663c9f6d819"

_REF = "#/components/schemas/{model}"

_ABOUT = """\
Companies change hundreds of thousands of records at once: they upload a CSV, now or for a set time, and are told what
became of every row.

Upload a file with `POST /bulk-actions`, or open an action there and send its rows over Kafka. Look at
`GET /bulk-actions/{action_id}` until its `status` is `COMPLETED` or `FAILED`, and read what became of each row at
`GET /bulk-actions/{action_id}/records`.
"""

#: The parameters of paths, by name.
_IN_PATHS: Mapping[str, Json] = {
    "action_id": {
        "description": "The id that the upload was answered with.",
        "schema": {"type": "string", "pattern": "^[0-9a-f]{24}$"},
        "example": "6b04d285235ca65e4442eb33",
    },
    "entity_type": {
        "description": "The name of an entity, in upper or lower case.",
        "schema": {"type": "string", "minLength": 1},
        "example": "Contact",
    },
    "record_id": {
        "description": "The `id` of a record, percent-encoded: a slash in it is `%2F`.",
        "schema": {"type": "string", "minLength": 1},
        "example": "1",
    },
    "key_id": {
        "description": "The `keyId` of an API key.",
        "schema": {"type": "string", "pattern": "^[0-9a-f]{16}$"},
        "example": "3f1d3ba2ff4e9d3e",
    },
    "letter_id": {
        "description": "The `id` of a dead letter.",
        "schema": {"type": "string", "minLength": 1},
        "example": "6b04d285235ca65e4442eb33:0",
    },
}

_CREDENTIALS: Mapping[str, Json] = {
    "apiKey": {
        "type": "apiKey",
        "in": "header",
        "name": headers.API_KEY,
        "description": "An API key, made with `python -m app keys create` or `POST /api-keys`.",
    },
    "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": "A token of the issuer."},
    "account": {
        "type": "apiKey",
        "in": "header",
        "name": headers.ACCOUNT,
        "description": "The account, where no credential is asked for; without it, `default`. "
        "It tells accounts apart, and protects nothing.",
    },
}


class _Schema(GenerateJsonSchema):
    """JSON Schema as a reader wants it."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        """Have no title for a field, which would only say its name again."""
        return False

    def default_schema(self, schema: Any) -> Json:
        """Leave out None: it stands for a field that is absent, and nobody sends it."""
        made = super().default_schema(schema)
        return {name: value for name, value in made.items() if (name, value) != ("default", None)}


def describe(routes: Iterable[DescribedRoute], *, credential_required: bool) -> Json:
    """Return the OpenAPI document of these routes.

    Args:
        routes: What is served.
        credential_required: Whether a request without a credential is refused.
    """
    operations = [(route.path, method, operation) for route in routes for method, operation in route.operations.items()]
    schemas = _Schemas(operation for *_, operation in operations)
    paths: dict[str, Json] = {}
    for path, method, operation in operations:
        described = _operation(path, operation, schemas)
        if operation.role is not None:
            described["security"] = _security(operation.role, credential_required)
        paths.setdefault(path, {})[method.lower()] = described
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Bulk operations platform",
            "version": VERSION,
            "summary": "Bulk changes to CRM records: every row of an upload accounted for.",
            "description": _ABOUT,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/", "description": "This worker."}],
        "tags": [{"name": name} for name in dict.fromkeys(_tag(path) for path in paths)],
        "paths": paths,
        "components": {
            "schemas": schemas.components,
            "parameters": {
                "RequestId": {
                    "name": headers.REQUEST_ID,
                    "in": "header",
                    "description": "A name for the request, found again in the answer and in the logs. "
                    "One of another form is replaced.",
                    "schema": {"type": "string"},
                    "example": "nightly-17",
                }
            },
            "headers": {name: _header(header) for name, header in EVERYWHERE.items()},
            "securitySchemes": dict(_CREDENTIALS),
        },
    }


class _Schemas:
    """The schemas of all bodies, with what they share in one place."""

    def __init__(self, operations: Iterable[Operation]) -> None:
        self.components: Json = {}
        bodies: dict[Any, None] = {}
        for operation in operations:
            bodies.update(dict.fromkeys(answer.body for answer in operation.answers.values() if answer.body))
            bodies.update(dict.fromkeys(problem.body for problem in (*AUTHENTICATED_ERRORS, *operation.problems)))
        self._of, definitions = TypeAdapter.json_schemas(
            [(body, "serialization", TypeAdapter(body)) for body in bodies],
            ref_template=_REF,
            schema_generator=_Schema,
        )
        self._share(definitions)

    def of(self, body: Any) -> Json:
        """Return the schema of an answer's body."""
        return self._of[body, "serialization"]

    def of_input(self, model: type[Input]) -> Json:
        """Return the schema of what is sent, itself and not a reference to it."""
        schema = model.model_json_schema(ref_template=_REF, schema_generator=_Schema)
        self._share(schema)
        return schema

    def _share(self, schema: Json) -> None:
        self.components.update(schema.pop("$defs", {}))


def _operation(path: str, operation: Operation, schemas: _Schemas) -> Json:
    described: Json = {
        "operationId": operation.name,
        "tags": [_tag(path)],
        "summary": operation.summary.rstrip("."),
        "description": _details(operation),
        "parameters": [
            *({"name": name, "in": "path", "required": True, **_IN_PATHS[name]} for name in _names(path)),
            *_parameters(operation.query, "query", schemas),
            *_parameters(operation.headers, "header", schemas),
            {"$ref": "#/components/parameters/RequestId"},
        ],
    }
    bodies = [] if operation.form is None else [_upload(operation.form, schemas)]
    bodies += [] if operation.body is None else [_json_body(operation.body, schemas)]
    if bodies:
        content = {media: schema for body in bodies for media, schema in body["content"].items()}
        described["requestBody"] = {"required": all(body["required"] for body in bodies), "content": content}
    described["responses"] = _responses(operation, schemas)
    return described


def _details(operation: Operation) -> str:
    role = operation.role
    access = "Open to everybody." if role is None else f"Needs the role {role}, where a credential is asked for."
    return f"{operation.details}\n\n{access}" if operation.details else access


def _tag(path: str) -> str:
    tags = {
        "bulk-actions": "Bulk actions",
        "entities": "Entities",
        "records": "Records",
        "dead-letters": "Dead letters",
        "whoami": "Access",
        "api-keys": "Access",
    }
    return tags.get(path.split("/")[1], "The worker")


def _names(path: str) -> list[str]:
    return re.findall(r"\{(\w+)\}", path)


def _security(role: Role, credential_required: bool) -> list[Json]:
    credentials: list[Json] = [{"apiKey": [role.value]}, {"bearer": [role.value]}]
    return credentials if credential_required else [*credentials, {"account": []}, {}]


def _parameters(model: type[Input] | None, place: str, schemas: _Schemas) -> Iterable[Json]:
    if model is None:
        return
    whole = schemas.of_input(model)
    for name, schema in whole["properties"].items():
        parameter: Json = {"name": name, "in": place, "required": name in whole.get("required", ())}
        if "description" in schema:
            parameter["description"] = schema.pop("description")
        yield {**parameter, "schema": schema}


def _upload(form: type[Input], schemas: _Schemas) -> Json:
    schema = schemas.of_input(form)
    schema["properties"]["file"] = {
        "type": "string",
        "format": "binary",
        "contentMediaType": "text/csv",
        "description": "CSV with a header row, plain or packed with gzip; the part has a file name.",
    }
    schema["required"] = [*schema["required"], "file"]
    schema["additionalProperties"] = False
    example = {
        "actionType": "BULK_UPDATE",
        "entityType": "Contact",
        "file": "id,name,email,status\n1,Ada Lovelace,ada@example.com,active\n",
    }
    return {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": schema,
                "encoding": {"file": {"contentType": "text/csv"}},
                "example": example,
            }
        },
    }


def _json_body(body: type[Input], schemas: _Schemas) -> Json:
    schema = {**schemas.of_input(body), "additionalProperties": False}
    return {"required": "required" in schema, "content": {"application/json": {"schema": schema}}}


def _responses(operation: Operation, schemas: _Schemas) -> Json:
    found = {status: _answer(answer, schemas) for status, answer in operation.answers.items()}
    everywhere = () if operation.role is None else AUTHENTICATED_ERRORS
    by_status: dict[int, list[Problem]] = {}
    for problem in (*operation.problems, *everywhere):
        by_status.setdefault(problem.status, []).append(problem)
    found.update({status: _problems(status, problems, schemas) for status, problems in by_status.items()})
    return {str(status): found[status] for status in sorted(found)}


def _answer(answer: Answer, schemas: _Schemas) -> Json:
    described: Json = {"description": answer.meaning, "headers": _headers(answer.headers)}
    if answer.body is not None:
        content: Json = {"schema": schemas.of(answer.body)}
        if (example := answer.example or _example(answer.body)) is not None:
            content["example"] = example
        others = {form: {**content, "example": body} for form, body in answer.also.items()}
        described["content"] = {answer.media_type: content, **others}
    if answer.links:
        described["links"] = {
            name: {"operationId": name, "parameters": dict(parameters)} for name, parameters in answer.links.items()
        }
    return described


def _problems(status: int, problems: list[Problem], schemas: _Schemas) -> Json:
    bodies = {problem.body: schemas.of(problem.body) for problem in problems}
    schema = next(iter(bodies.values())) if len(bodies) == 1 else {"anyOf": list(bodies.values())}
    return {
        "description": HTTPStatus(status).phrase,
        "headers": _headers(HEADERS.get(status, {})),
        "content": {
            "application/json": {
                "schema": schema,
                "examples": {
                    problem.code: {"value": problem.example_error().to_body(_REQUEST_ID)} for problem in problems
                },
            }
        },
    }


def _headers(headers: Mapping[str, Header]) -> Json:
    everywhere = {name: {"$ref": f"#/components/headers/{name}"} for name in EVERYWHERE}
    return {**everywhere, **{name: _header(header) for name, header in headers.items()}}


def _header(header: Header) -> Json:
    return {
        "description": header.description,
        "required": header.required,
        "schema": {"type": "string"},
        "example": header.example,
    }


def _example(body: Any) -> Any:
    """Return the example of a model, or all of them for a list of it; of several models, that of the first."""
    body = get_args(body)[0] if isinstance(body, UnionType) else body
    model = get_args(body)[0] if get_origin(body) is list else body
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        return None
    extra: Any = model.model_config.get("json_schema_extra") or {}
    examples = extra.get("examples")
    return examples if examples is None or model is not body else examples[0]
