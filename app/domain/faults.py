"""Faults that adapters raise in place of their drivers' exceptions, which are their ``__cause__``.

Whoever calls an adapter has three cases: what failed passes, it never will work, or somebody else was first.
"""

from __future__ import annotations

from enum import StrEnum


class Dependency(StrEnum):
    """A kind of thing that the platform depends on, as people outside know it."""

    DATABASE = "database"
    CACHE = "cache"
    STORAGE = "storage"
    BROKER = "broker"
    INDEX = "search index"


class DependencyFault(Exception):
    """Something that the platform depends on did not do what it was asked for.

    Attributes:
        dependency: What that is; None where it is nothing in particular.
    """

    def __init__(self, message: str = "", dependency: Dependency | None = None) -> None:
        super().__init__(message)
        self.dependency = dependency

    def __repr__(self) -> str:
        """Name the fault with the driver's own word, for the log."""
        return f"{type(self).__name__}({self.dependency}, {self.__cause__ or str(self)!r})"


class PassingFault(DependencyFault):
    """The dependency is away, or busy: what failed may work when it is tried again.

    Attributes:
        away: Whether the fault itself says that the dependency cannot do its work now, whatever a probe finds. A
            connection that breaks says nothing of the kind: it may have been broken by what was sent.
    """

    def __init__(self, message: str = "", dependency: Dependency | None = None, *, away: bool = False) -> None:
        super().__init__(message, dependency)
        self.away = away


class Conflict(PassingFault):
    """Somebody else was first: what was to be made is there already. Looking again shows it."""


class PermanentFault(DependencyFault):
    """Trying again cannot help: what was asked for is wrong itself."""
