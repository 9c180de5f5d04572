"""The entities by name: those of this package, and those of others that are installed beside it.

Another package declares an entity as this one does, and names it in the entry-point group ``bulk_operations.entities``
(docs/extending.md). What it declares is looked up when an entity is first asked for, and not when this package is
imported, because the other package imports it too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from typing import Final

from app.domain.entities.entity import Entity

GROUP: Final = "bulk_operations.entities"

#: Collections of the platform, which no entity may have.
RESERVED_COLLECTIONS: Final = frozenset(
    {
        "admissions",
        "api_keys",
        "bulk_operations",
        "chunk_openings",
        "chunk_outcomes",
        "dead_letters",
        "erased_actions",
        "erased_deletions",
        "events",
        "installation",
        "probes",
        "stream_chunks",
    }
)


class DeclarationError(ValueError):
    """An entity of another package cannot be used; the message is for whoever installed it."""


class Registry(Mapping[str, Entity]):
    """Entities by name, in the order in which they were declared.

    Args:
        own: Those of this package.
        installed: Finds the declarations of other packages.

    Raises:
        DeclarationError: on each access, as long as a declaration of another package cannot be used.
    """

    def __init__(
        self,
        own: Iterable[Entity],
        installed: Callable[[], Iterable[EntryPoint]] = lambda: entry_points(group=GROUP),
    ) -> None:
        self._own = tuple(own)
        self._installed = installed

    def __getitem__(self, name: str) -> Entity:
        return self._entities[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entities)

    def __len__(self) -> int:
        return len(self._entities)

    def find(self, name: str) -> Entity | None:
        """Return the entity of a name, whatever its case, or None."""
        return self._by_folded_name.get(name.strip().casefold())

    @cached_property
    def _by_folded_name(self) -> dict[str, Entity]:
        return {name.casefold(): entity for name, entity in self._entities.items()}

    @cached_property
    def _entities(self) -> dict[str, Entity]:
        found = {entity.name: entity for entity in self._own}
        # By their names, so that all workers have them in the same order.
        for point in sorted(self._installed(), key=lambda point: (point.name, point.value)):
            entity = _load(point)
            for other in found.values():
                if entity.name.casefold() == other.name.casefold():
                    raise DeclarationError(f"{_origin(point)}: there is an entity {other.name} already")
                if entity.collection == other.collection:
                    raise DeclarationError(f"{_origin(point)}: the collection {entity.collection} is {other.name}'s")
            if entity.collection in RESERVED_COLLECTIONS:
                raise DeclarationError(f"{_origin(point)}: the collection {entity.collection} is the platform's own")
            found[entity.name] = entity
        return found


def _load(point: EntryPoint) -> Entity:
    try:
        entity = point.load()
    except Exception as error:
        raise DeclarationError(f"{_origin(point)} cannot be loaded: {type(error).__name__}: {error}") from error
    if not isinstance(entity, Entity):
        raise DeclarationError(f"{_origin(point)} is no Entity, but {type(entity).__name__}")
    return entity


def _origin(point: EntryPoint) -> str:
    package = "" if point.dist is None else f" of {point.dist.name}"
    return f"The entity {point.value}{package}"
