"""What a worker says of the entities, and what it takes of each."""

from __future__ import annotations

import pytest

from app.domain.entities import ENTITIES
from tests.support.assertions import error_of
from tests.support.workers import Worker

#: A row of each entity, in the order of its template.
ROWS = {
    "Contact": "{key},Ada,{key}@entities.example,active",
    "Company": '{key},Acme,https://acme.example,+49 30 1234567,Steel,DE,7,"1.234,50",EUR,1999-12-31,yes',
    "Lead": "{key},Ada,{key}@entities.example,new,Acme,,web,50,no,2026-01-31T10:00:00Z",
    "Opportunity": "{key},Deal,won,c1,12.50,EUR,100,2026-12-31",
    "Task": "{key},Call,open,high,Text,ada@entities.example,c1,2026-01-31 10:00,true",
}


def test_list_of_entities(worker: Worker) -> None:
    """The list names every entity with its fields."""
    listed = worker.client.get("/entities").json()
    assert [entity["entityType"] for entity in listed] == list(ENTITIES)
    assert listed[0] == {
        "entityType": "Contact",
        "description": "A person one can write to.",
        "fields": ["id", "name", "email", "status"],
        "required": ["id", "name", "email", "status"],
        "key": "id",
        "unique": ["email"],
    }


@pytest.mark.parametrize("name", ["Opportunity", "opportunity", "OPPORTUNITY"])
def test_form_of_a_row(worker: Worker, name: str) -> None:
    """The JSON Schema of an entity is found by its name in any case."""
    answer = worker.client.get(f"/entities/{name}")
    assert answer.headers["Content-Type"] == "application/schema+json"
    assert answer.json() == ENTITIES["Opportunity"].json_schema()


@pytest.mark.parametrize("path", ["/entities/Oportunity", "/entities/Oportunity/template.csv"])
def test_unknown_entity_is_not_found(worker: Worker, path: str) -> None:
    """An entity that is not there is 404, with the one that was probably meant."""
    status, code, message = error_of(worker.client.get(path))
    assert (status, code) == (404, "ENTITY_NOT_FOUND")
    assert message == 'There is no entity "Oportunity": did you mean Opportunity?'


@pytest.mark.parametrize("name", ENTITIES)
def test_template_can_be_filled_in(worker: Worker, name: str) -> None:
    """A row under the header of the template is taken, and is unchanged when it comes again."""
    template = worker.client.get(f"/entities/{name}/template.csv")
    assert template.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert template.headers["Content-Disposition"] == f'attachment; filename="{name}.csv"'
    file = template.content + ROWS[name].format(key=f"entity-{name}").encode()
    for result in ("createdCount", "unchangedCount"):
        action = worker.wait_ended(worker.submit(file, entityType=name))
        assert (action["status"], action[result], action["failureCount"]) == ("COMPLETED", 1, 0)
