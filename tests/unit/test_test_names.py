"""The names of the tests: short, and the documents name only those that exist."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import pytest

from tests.support.paths import ROOT

TIERS = sorted({path.parent for path in (ROOT / "tests").rglob("test_*.py")})


def names(folder: Path) -> Iterator[str]:
    """The names of the test functions below a folder."""
    for path in sorted(folder.rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                yield node.name


@pytest.mark.parametrize("tier", TIERS, ids=lambda tier: tier.name)
def test_names_are_short(tier: Path) -> None:
    """Half of the names of a tier have less than 40 characters and none has more than 60, ``test_`` included."""
    lengths = {name: len(name) for name in names(tier)}
    assert median(lengths.values()) < 40
    assert [name for name, length in lengths.items() if length > 60] == []


def test_documents_name_real_tests() -> None:
    """Each test that a document refers to as ``file::name`` exists."""
    documents = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    named = {name for path in documents for name in re.findall(r"::(test_[^\s`]*)", path.read_text())}
    assert named
    assert named - set(names(ROOT / "tests")) == set()
