"""Entities of other packages: found by their entry points, or refused by name."""

from __future__ import annotations

import re
from importlib.metadata import EntryPoint
from typing import TypedDict

import pytest

from app.domain.entities import ENTITIES, DeclarationError, Entity, find_entity
from app.domain.entities.registry import GROUP, RESERVED_COLLECTIONS, Registry
from app.domain.entities.types import Identifier
from tests.support.paths import ROOT


class Thing(TypedDict):
    """A thing."""

    id: Identifier


def thing(name: str = "Thing", collection: str = "things") -> Entity:
    return Entity(name=name, model=Thing, collection=collection)


#: What entry points of this module lead to.
PLAIN = thing()
ANOTHER = thing("Another", "others")
SAME_NAME = thing("contact", "things")
SAME_COLLECTION = thing("Person", "contacts")
RESERVED = thing("Letter", "dead_letters")
NO_ENTITY = 7


def registry(*names: str, own: tuple[Entity, ...] = (ENTITIES["Contact"],)) -> Registry:
    points = [EntryPoint(name.lower(), f"{__name__}:{name}", GROUP) for name in names]
    return Registry(own, lambda: points)


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let entry points lead to this module, however the tests were imported."""
    import sys

    monkeypatch.setitem(sys.modules, __name__, sys.modules.get(__name__) or __import__(__name__))


def test_installed_entities_come_last() -> None:
    """Those of other packages stand behind ours, by the names of their entry points."""
    assert list(registry("PLAIN", "ANOTHER")) == ["Contact", "Another", "Thing"]
    found = registry("PLAIN")
    assert (found["Thing"], found.find(" thing "), len(found)) == (PLAIN, PLAIN, 2)
    assert found.find("nothing") is None


def test_nothing_is_looked_up_before() -> None:
    """What other packages declare is looked up when an entity is first asked for, and once."""
    calls: list[int] = []

    def installed() -> list[EntryPoint]:
        calls.append(1)
        return []

    lazy = Registry((PLAIN,), installed)
    assert calls == []
    assert lazy.find("thing") is lazy["Thing"] is PLAIN
    assert calls == [1]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("SAME_NAME", "there is an entity Contact already"),
        ("SAME_COLLECTION", "the collection contacts is Contact's"),
        ("RESERVED", "the collection dead_letters is the platform's own"),
        ("NO_ENTITY", "is no Entity, but int"),
        ("NOWHERE", "cannot be loaded: AttributeError"),
    ],
)
def test_unusable_entity_is_named(name: str, words: str) -> None:
    """A declaration that cannot be used is named, on each access."""
    broken = registry(name)
    for _ in range(2):
        with pytest.raises(DeclarationError, match=re.escape(f"The entity {__name__}:{name}")) as error:
            len(broken)
        assert words in str(error.value)


def test_collections_of_the_platform() -> None:
    """The collections that no entity may have are those of the store."""
    store = (ROOT / "app/adapters/mongo/__init__.py").read_text()
    assert set(re.findall(r'database\["(\w+)"\]', store)) == RESERVED_COLLECTIONS
    assert not {entity.collection for entity in ENTITIES.values()} & RESERVED_COLLECTIONS


def test_entities_are_found_by_name() -> None:
    assert find_entity("TASK") is ENTITIES["Task"]
