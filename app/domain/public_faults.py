"""What is said outside of a fault inside: one fixed text for each kind. What happened exactly is for the log.

The texts of drivers name hosts, ports, collections and commands, which are nobody's business who may look at a row.
"""

from __future__ import annotations

from collections.abc import Iterator

from app.domain.faults import Dependency, DependencyFault, PermanentFault

REFUSED = "What was asked for does not fit what is stored."
INTERNAL = "An internal error; the log of the worker says more."


def dependency_of(error: BaseException) -> Dependency | None:
    """Return what an error comes from; None when it does not say, or comes from ourselves."""
    for inner in _leaves(error):
        if isinstance(inner, DependencyFault) and inner.dependency is not None:
            return inner.dependency
    # A file that cannot be read or written. A timeout may be anybody's.
    plain = [inner for inner in _leaves(error) if isinstance(inner, OSError) and not isinstance(inner, TimeoutError)]
    return Dependency.STORAGE if plain else None


def away_text(dependency: Dependency) -> str:
    """Return the text that says which kind of thing is away."""
    return f"The {dependency} could not be used."


def public_text(error: BaseException) -> str:
    """Return what may be said outside of an error, in one sentence that has nothing of the error's own text."""
    if (dependency := dependency_of(error)) is not None:
        return away_text(dependency)
    if isinstance(error, PermanentFault):
        return REFUSED
    if any(isinstance(inner, TimeoutError) for inner in _leaves(error)):
        return "Something that is needed for it did not answer in time."
    return INTERNAL


def kind_of(error: BaseException) -> str:
    """Return the name of the kind of an error, the driver's own where it has one, which says nothing of the place."""
    cause = error.__cause__ if isinstance(error, DependencyFault) else None
    return type(cause or error).__name__


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error
