"""What is said outside of a fault inside: one fixed text for each kind. What happened exactly is for the log.

The texts of drivers name hosts, ports, collections and commands, which are nobody's business who may look at a row.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from types import MappingProxyType


class Dependency(StrEnum):
    """A kind of thing that the platform depends on, as people outside know it."""

    DATABASE = "database"
    CACHE = "cache"
    STORAGE = "storage"
    BROKER = "broker"


class Refusal(Exception):
    """Trying again cannot help: what was asked for is wrong itself."""


REFUSED = "What was asked for does not fit what is stored."
INTERNAL = "An internal error; the log of the worker says more."

#: By the name of the module that an error's class comes from, because no driver is known here.
_MODULES: Mapping[str, Dependency] = MappingProxyType(
    {
        "pymongo": Dependency.DATABASE,
        "motor": Dependency.DATABASE,
        "app.adapters.mongo": Dependency.DATABASE,
        "redis": Dependency.CACHE,
        "coredis": Dependency.CACHE,
        "limits": Dependency.CACHE,
        "botocore": Dependency.STORAGE,
        "aiobotocore": Dependency.STORAGE,
        "app.adapters.storage": Dependency.STORAGE,
        "aiokafka": Dependency.BROKER,
        "kafka": Dependency.BROKER,
        "faust": Dependency.BROKER,
    }
)


def dependency_of(error: BaseException) -> Dependency | None:
    """Return what an error comes from; None when it does not say, or comes from ourselves."""
    for inner in _leaves(error):
        for kind in type(inner).__mro__:
            for module, dependency in _MODULES.items():
                if kind.__module__ == module or kind.__module__.startswith(f"{module}."):
                    return dependency
    # A file that cannot be read or written. A timeout may be anybody's.
    plain = [inner for inner in _leaves(error) if isinstance(inner, OSError) and not isinstance(inner, TimeoutError)]
    return Dependency.STORAGE if plain else None


def away_text(dependency: Dependency) -> str:
    """Return the text that says which kind of thing is away."""
    return f"The {dependency} could not be used."


def public_text(error: BaseException) -> str:
    """Return what may be said outside of an error, in one sentence that has nothing of the error's own text."""
    if isinstance(error, Refusal):
        return REFUSED
    if (dependency := dependency_of(error)) is not None:
        return away_text(dependency)
    if any(isinstance(inner, TimeoutError) for inner in _leaves(error)):
        return "Something that is needed for it did not answer in time."
    return INTERNAL


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error
