"""Which tests stay in one process when they run side by side."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import defaultdict

import pytest

from tests.support.paths import ROOT
from tests.support.scheduler import scope_of


def test_files_stay_together() -> None:
    """A file stays together, and fault tests do not."""
    assert scope_of("tests/e2e/test_a.py::test_b[x::y]") == scope_of("tests/e2e/test_a.py::test_c")
    assert scope_of("tests/faults/test_a.py::test_b[1]") != scope_of("tests/faults/test_a.py::test_b[2]")


def test_elasticsearch_is_started_once() -> None:
    """All files whose tests ask for it, fault tests too, go to one process."""
    asks = re.compile(r"\belasticsearch: Stack|getfixturevalue\(\"elasticsearch\"")
    files = [file for file in ROOT.glob("tests/*/test_*.py") if file.parent.name != "unit"]
    asking = [file for file in files if asks.search(file.read_text())]
    scopes = {scope_of(f"{file.relative_to(ROOT)}::test_a") for file in asking}
    assert len(asking) > 3 and scopes == {"elasticsearch"}


@pytest.mark.slow
def test_file_runs_in_one_process() -> None:
    """The tests of a file run in one process.

    This is asked of pytest itself, because how it spreads tests has changed between versions without a word.
    """
    files = ("tests/unit/test_routes.py", "tests/unit/test_entities.py", "tests/unit/test_outcomes.py")
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-n", "2", "-v", *files], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    processes = defaultdict(set)
    for process, file in re.findall(r"^\[(gw\d)\].* PASSED (\S+)::", ran.stdout, re.MULTILINE):
        processes[file].add(process)
    assert [len(processes[file]) for file in files] == [1, 1, 1]
    assert set.union(*processes.values()) == {"gw0", "gw1"}
