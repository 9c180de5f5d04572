"""The reference of events says what the code does: every field, every type, and examples that are real."""

from __future__ import annotations

import json
import re
from dataclasses import fields
from typing import Any

import pytest

from app.domain.events import SCHEMA_VERSION, SECURITY_TYPES, Event, EventType
from tests.support.events import account_events, as_json, example_events
from tests.support.paths import ROOT

PAGE = (ROOT / "docs/reference/events.md").read_text()
EXAMPLES: dict[str, Any] = {
    name: json.loads(text)
    for name, text in re.findall(r"^### `([\w.]+)`\n.*?^```json\n(.*?)\n```", PAGE, re.DOTALL | re.MULTILINE)
}


def test_page_has_every_type() -> None:
    """In the order of the code, each with an example."""
    assert list(EXAMPLES) == [kind.value for kind in EventType]


@pytest.mark.parametrize("name", EXAMPLES)
def test_example_is_an_event(name: str) -> None:
    """It is of its type, and nothing is lost when it is read and written."""
    event = Event.from_document(EXAMPLES[name])
    assert event.type == name
    assert as_json(event) == EXAMPLES[name]


@pytest.mark.parametrize("event", [*example_events(), *account_events()], ids=lambda event: event.type)
def test_example_is_made_by_the_code(event: Event) -> None:
    assert as_json(event) == EXAMPLES[event.type]


def test_page_has_the_fields() -> None:
    """Each field of the document, in the order of the table, and as many as an event has."""
    table = PAGE[PAGE.index("| field |") : PAGE.index("## Types")]
    named = [
        name
        for line in table.splitlines()[2:]
        for name in re.findall(r"`([@\w]+)`", line.split("|")[1:2][0] if line else "")
    ]
    seen = {name for example in EXAMPLES.values() for name in example}
    assert set(named) == seen
    assert len(named) == len(fields(Event)) + 1
    assert f"| `schemaVersion` | number | {SCHEMA_VERSION} |" in PAGE


def test_page_says_what_is_for_admins() -> None:
    sections = dict(re.findall(r"^### `([\w.]+)`\n(.*?)\n", PAGE, re.MULTILINE))
    assert {name for name, text in sections.items() if "For admins only" in text} == {
        kind.value for kind in SECURITY_TYPES
    }
