"""How tests are spread over processes (``make test`` runs three): what shares something expensive stays together."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

#: Workers and services that live as long as the process and that many tests use, expensive first.
_SHARED = ("limited", "federated", "guarded", "worker", "s3")

#: Directories of tests, those with the longest first: what is short fills the time in which others finish.
_ORDER = ("faults", "e2e", "security", "integration", "unit")


# A wrapper, because pytest-xdist, which reads the groups, was there first.
@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> Iterator[None]:
    """Order the tests and put them into groups, when pytest-xdist runs them."""
    if hasattr(config, "workerinput"):
        items.sort(key=_rank)
        for item in items:
            if (group := _group(item)) is not None:
                item.add_marker(pytest.mark.xdist_group(group))
    yield


def _rank(item: pytest.Item) -> tuple[int, bool]:
    directory = _directory(item)
    return _ORDER.index(directory) if directory in _ORDER else 0, not _needs_own_services(item)


def _needs_own_services(item: pytest.Item) -> bool:
    """Whether it kills services, which only one test can do at a time."""
    return "durable_services" in _fixtures(item)


def _fixtures(item: pytest.Item) -> list[str]:
    return getattr(item, "fixturenames", [])


def _directory(item: pytest.Item) -> str:
    return item.path.relative_to(Path(__file__).parent).parts[0]


def _group(item: pytest.Item) -> str | None:
    """The tests that one process runs; None for one that needs nothing of its neighbours."""
    for name in _SHARED:
        if name in _fixtures(item):
            return name
    if _directory(item) == "faults" and not _needs_own_services(item):
        return None
    return item.path.stem
