"""A running worker answers as its description says, whatever it is sent: tried by schemathesis, with a fixed seed."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from schemathesis import Case

from tests.support.openapi import DOCUMENT
from tests.support.workers import Worker

#: What is uploaded belongs to an account of its own.
HEADERS = {"accountid": "described"}

#: What the answer to an upload leads to.
CHAINED = [f"/bulk-actions/{{action_id}}{part}" for part in ("", "/stats", "/records")]

SETTINGS = settings(
    max_examples=150,
    stateful_step_count=5,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


def lines(rows: list[tuple[str, str]]) -> bytes:
    return "\n".join(
        ["id,name,email,status", *(f"{id},{name},{name}@example.com,active" for id, name in rows)]
    ).encode()


WORD = st.text("abcdefghij0123456789", min_size=1, max_size=8)
schemathesis.openapi.media_type("text/csv", st.lists(st.tuples(WORD, WORD), min_size=1, max_size=20).map(lines))


def schema_of(document: dict[str, Any]) -> Any:
    schema = schemathesis.openapi.from_dict(document)
    # A cursor of the right form need not be one of ours, nor need a file have the delimiter that is named beside it.
    schema.config.checks.update(excluded_check_names=["positive_data_acceptance"])
    return schema


schema = schema_of(deepcopy(DOCUMENT))


@schema.parametrize()
@SETTINGS
def test_operations_answer_as_described(case: Case, worker: Worker) -> None:
    """Every operation answers as described."""
    case.call_and_validate(base_url=str(worker.client.base_url), headers=HEADERS)


def test_chained_operations_are_described(worker: Worker) -> None:
    """Those that can only be asked with an id that another one has given answer as described."""
    followed: set[str] = set()
    document = deepcopy(DOCUMENT)
    document["paths"] = {path: document["paths"][path] for path in ("/bulk-actions", *CHAINED)}
    for path in CHAINED:
        document["paths"][path] = {"get": document["paths"][path]["get"]}
    form = document["paths"]["/bulk-actions"]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
    # The files that are sent are what they are, contacts, and others are no actions to go on with.
    for of_the_file, only in {"delimiter": "auto", "encoding": "auto", "entityType": "Contact"}.items():
        form["properties"][of_the_file]["enum"] = [only]
    # Most action types know no empty cells.
    del form["properties"]["emptyCells"]

    class Session(schema_of(document).as_state_machine()):  # type: ignore[misc]
        def get_call_kwargs(self, case: Case) -> dict[str, Any]:
            return {"base_url": str(worker.client.base_url), "headers": HEADERS}

        def after_call(self, response: Any, case: Case) -> None:
            if response.status_code == 200:
                followed.add(case.operation.label)

    Session.run(settings=SETTINGS)
    assert {f"GET {path}" for path in CHAINED} <= followed


def without_an_answer(document: dict[str, Any]) -> None:
    del document["paths"]["/health"]["get"]["responses"]["200"]
    document["paths"]["/health"]["get"]["responses"]["204"] = {"description": "Another one."}


def with_another_field(document: dict[str, Any]) -> None:
    document["components"]["schemas"]["Health"]["required"].append("uptime")


def with_another_header(document: dict[str, Any]) -> None:
    header = {"required": True, "schema": {"type": "string"}}
    document["paths"]["/health"]["get"]["responses"]["200"]["headers"]["X-Uptime"] = header


def with_another_media_type(document: dict[str, Any]) -> None:
    answer = document["paths"]["/health"]["get"]["responses"]["200"]
    answer["content"] = {"text/plain": answer["content"]["application/json"]}


@pytest.mark.parametrize(
    "change", [without_an_answer, with_another_field, with_another_header, with_another_media_type]
)
def test_broken_description_is_found(worker: Worker, change: Callable[[dict[str, Any]], None]) -> None:
    """A description that is not kept is found."""
    changed = deepcopy(DOCUMENT)
    change(changed)
    case = schemathesis.openapi.from_dict(changed)["/health"]["GET"].Case()
    with pytest.raises(schemathesis.core.failures.FailureGroup):
        case.call_and_validate(base_url=str(worker.client.base_url), headers=HEADERS)


# The document and its page


def test_document_is_public(worker: Worker) -> None:
    """A worker gives the document to everybody."""
    answer = worker.client.get("/openapi.json")
    assert answer.headers["Content-Type"].startswith("application/json")
    assert answer.json() == DOCUMENT


def test_the_page_has_a_policy_of_its_own(worker: Worker) -> None:
    answer = worker.client.get("/docs")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'; style-src 'sha256-")


@pytest.mark.parametrize("path", ["/openapi.json", "/docs"])
def test_unchanged_document_is_not_resent(worker: Worker, path: str) -> None:
    """Who has the document already is not sent it again."""
    first = worker.client.get(path)
    assert first.headers["Cache-Control"] == "no-cache"

    def again(tag: str) -> httpx.Response:
        return worker.client.get(path, headers={"If-None-Match": tag})

    tag = first.headers["ETag"]
    for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        answer = again(known)
        assert (answer.status_code, answer.content, answer.headers["ETag"]) == (304, b"", tag)
    for unknown in ('"other"', tag.strip('"'), "", "\\", '"' * 1000):
        assert again(unknown).content == first.content


@pytest.mark.parametrize("path", ["/openapi.json", "/docs"])
def test_head_has_no_body(worker: Worker, path: str) -> None:
    """HEAD tells of the document without sending it."""
    answer = worker.client.head(path)
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["ETag"] == worker.client.get(path).headers["ETag"]
