"""The layers of the code: what may import what, as pyproject.toml says it."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from inspect import isfunction
from pathlib import Path

import faust
import faust.web

from app.main import BulkApp
from tests.support.paths import ROOT


def test_layers_keep_apart() -> None:
    """No layer imports what it must not know."""
    checked = subprocess.run(
        [
            sys.executable,
            "-c",
            "from importlinter.cli import lint_imports_command; lint_imports_command()",
            "--no-cache",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "0 broken" in checked.stdout, checked.stdout


#: Where the private parts of Faust may be used: they are repaired and replaced there.
REPAIRS = (ROOT / "app" / "kafka", ROOT / "web" / "server.py")
#: Public, whatever their names look like.
PUBLIC = {"_exit", "_replace", "_asdict", "_fields", "_make"}


def private_attributes(path: Path) -> Iterator[str]:
    """What a module uses of the private parts of other objects than its own."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.endswith("__"):
            own = isinstance(node.value, ast.Name) and node.value.id in {"self", "cls"}
            if not own and node.attr not in PUBLIC:
                yield f"{path.relative_to(ROOT)}:{node.lineno}: {ast.unparse(node)}"


def test_faust_privates_are_isolated() -> None:
    """Private parts of Faust stay apart. Only the repaired consumer and the server of the API use them."""
    files = [
        path
        for package in ("app", "agents", "tables", "web")
        for path in (ROOT / package).rglob("*.py")
        if not any(path.is_relative_to(repair) for repair in REPAIRS)
    ]
    assert len(files) > 100
    found = [use for path in files if "faust" in path.read_text() for use in private_attributes(path)]
    assert found == []


def test_app_overrides_no_privates() -> None:
    """The app overrides no private part. It takes its transport and its server from where they are repaired."""
    private = {name for name, value in vars(BulkApp).items() if name.startswith("_") and isfunction(value)}
    assert [name for name in private if not name.endswith("__") and hasattr(faust.App, name)] == []
