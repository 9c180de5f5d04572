"""How tests are spread over processes; ``make test`` runs three side by side.

A file stays in one process, because its tests share what they have started. Only fault tests, which are long and start
workers of their own, go to whichever process is free. What lives as long as a process (services, shared workers) is
started in each that needs it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

from tests.support.paths import ROOT

#: Files whose tests need an Elasticsearch, which takes long to start: they share one, in one process.
_SEARCHING = frozenset(
    {
        "tests/faults/test_index.py",
        "tests/e2e/test_search_index.py",
        "tests/integration/test_doctor.py",
        "tests/integration/test_indexing.py",
        "tests/integration/test_search.py",
        "tests/integration/test_stored_events.py",
    }
)

#: Directories of tests, those with the longest first: what is short fills the time in which others finish.
_ORDER = ("faults", "browser", "e2e", "security", "integration", "unit")


class FilesAndFaults(LoadScopeScheduling):
    """Gives whole files to processes, and fault tests one by one."""

    def _split_scope(self, nodeid: str) -> str:
        return scope_of(nodeid)


def scope_of(nodeid: str) -> str:
    """What goes to a process as a whole."""
    file = nodeid.partition("::")[0]
    if file in _SEARCHING:
        return "elasticsearch"
    return nodeid if "faults" in Path(file).parts else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> FilesAndFaults:
    """Spread the tests so, whatever ``--dist`` says."""
    config.option.loadscopereorder = False  # the order is ours
    return FilesAndFaults(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put the longest first where tests run side by side."""
    if hasattr(config, "workerinput"):
        items.sort(key=_rank)


def _rank(item: pytest.Item) -> tuple[int, bool]:
    directory = item.path.relative_to(ROOT / "tests").parts[0]
    kills_services = "durable_services" in getattr(item, "fixturenames", ())
    return _ORDER.index(directory) if directory in _ORDER else 0, not kills_services
