"""The page on entities says what the declarations do."""

from __future__ import annotations

import re

import pytest

from app.domain.entities import ENTITIES, Entity
from tests.support.paths import ROOT

PAGE = (ROOT / "docs/reference/entities.md").read_text()
#: The line of each entity in the table: its cells.
LINES = {
    cells[1].strip("` "): cells for line in PAGE.splitlines() if (cells := line.split("|"))[1:2] and "`" in cells[1]
}


@pytest.mark.parametrize("entity", ENTITIES.values(), ids=lambda entity: entity.name)
def test_page_has_the_fields(entity: Entity) -> None:
    """Each entity is there with its collection, its fields in order, which are optional, and what is unique."""
    _, _, collection, fields, unique, _ = LINES[entity.name]
    assert collection.strip(" `") == entity.collection
    outside = re.sub(r"\(.*?\)", "", fields)
    assert re.findall(r"`(\w+)`", outside) == list(entity.columns)
    assert tuple(re.findall(r"\*`(\w+)`\*", outside)) == tuple(
        set_aside for set_aside in entity.columns if set_aside not in entity.required
    )
    assert unique.strip(" `") == (entity.unique or "")
    for field in entity.fields:
        for word in field.schema.get("enum", ()) if field.name != "currency" else ():
            assert f"`{word}`" in fields


def test_page_has_the_codes() -> None:
    """The code of a wrong value of any field is on the page, or is one of those of words."""
    codes = {field.mismatch.code for entity in ENTITIES.values() for field in entity.fields if field.mismatch}
    codes |= {field.damage.code for entity in ENTITIES.values() for field in entity.fields if field.damage}
    words = {"INVALID_PRIORITY", "INVALID_SOURCE"}
    assert {code for code in codes - words if f"`{code}`" not in PAGE} == set()
