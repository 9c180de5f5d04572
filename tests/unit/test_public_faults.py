"""What is said outside of a fault has nothing of the fault's own text."""

from __future__ import annotations

import pytest

from app.adapters.redis.rate_limits import RateLimitsUnavailable
from app.adapters.storage.base import ObjectMissing
from app.domain.faults import Conflict, Dependency, PassingFault, PermanentFault
from app.domain.public_faults import INTERNAL, REFUSED, dependency_of, public_text

INSIDE = "mongo-0.internal:27017"

FAULTS: list[tuple[BaseException, Dependency | None]] = [
    (PassingFault(INSIDE, Dependency.DATABASE), Dependency.DATABASE),
    (Conflict(INSIDE, Dependency.DATABASE), Dependency.DATABASE),
    (PermanentFault(INSIDE, Dependency.CACHE), Dependency.CACHE),
    (RateLimitsUnavailable(INSIDE), None),
    (ObjectMissing(INSIDE), Dependency.STORAGE),
    (PermissionError(13, INSIDE), Dependency.STORAGE),
    (PassingFault(INSIDE, Dependency.BROKER, away=True), Dependency.BROKER),
    (TimeoutError(INSIDE), None),
    (PermanentFault(INSIDE), None),
    (KeyError(INSIDE), None),
    (ExceptionGroup(INSIDE, [TimeoutError(INSIDE), PassingFault(INSIDE, Dependency.CACHE)]), Dependency.CACHE),
]


@pytest.mark.parametrize(("fault", "dependency"), FAULTS, ids=lambda value: type(value).__name__)
def test_fault_is_told_by_its_kind(fault: BaseException, dependency: Dependency | None) -> None:
    """A fault is told by its kind alone."""
    assert dependency_of(fault) is dependency
    assert "internal:" not in public_text(fault)
    if dependency is not None:
        assert public_text(fault) == f"The {dependency} could not be used."


def test_pointless_replay_is_refused() -> None:
    """What cannot help again is refused."""
    assert public_text(PermanentFault("no action")) == REFUSED


def test_a_mistake_of_ours_is_internal() -> None:
    assert public_text(KeyError("x")) == INTERNAL
