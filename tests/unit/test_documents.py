"""The documents agree with each other and with the code: links, paths, terms, versions, the workflow."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import SecretStr

from app.settings import Settings
from tests.support.paths import ROOT

DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / ".github").rglob("*.md")])
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CHANGELOG = (ROOT / "CHANGELOG.md").read_text()
WORKFLOW: dict[str, Any] = yaml.safe_load((ROOT / ".github/workflows/test.yml").read_text())
STEPS: list[dict[str, Any]] = WORKFLOW["jobs"]["test"]["steps"]
SETTINGS = {name.upper(): field for name, field in Settings.model_fields.items()}
SETTING_ROWS = re.findall(
    r"^\| (`[A-Z].*?) \| (.*?) \|", (ROOT / "docs/reference/settings.md").read_text(), re.MULTILINE
)

#: Folders whose files the documents name.
FOLDERS = "app|agents|tables|web|stack|benchmarks|tests|deploy|docs"

every_document = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))


def prose(document: Path) -> str:
    """The text without its blocks of code and its comments."""
    return re.sub(r"^```.*?^```|<!--.*?-->", "", document.read_text(), flags=re.DOTALL | re.MULTILINE)


def anchors(document: Path) -> set[str]:
    """The fragments by which headings can be linked to."""
    headings = re.findall(r"^#+ (.+)$", prose(document), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@every_document
def test_links_lead_somewhere(document: Path) -> None:
    """To a file of the repository, and to a heading that it has."""
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(document)):
        if target.startswith(("https://", "http://")):
            continue
        path, _, fragment = target.partition("#")
        file = (document.parent / path).resolve() if path else document
        assert file.exists(), target
        assert not fragment or fragment in anchors(file), target


@every_document
def test_paths_exist(document: Path) -> None:
    """Files that a document names are where it says."""
    if document.name == "CHANGELOG.md":
        return
    named = re.findall(rf"`((?:{FOLDERS})/[\w./-]+)[:`]", prose(document))
    # Certificates are not in the repository.
    assert [path for path in named if not (ROOT / path).exists() and "/tls/" not in path] == []


@every_document
def test_make_targets_exist(document: Path) -> None:
    """A document names no target that the Makefile does not have."""
    named = re.findall(r"(?:`|^|run: )make ([a-z][a-z0-9-]*)", document.read_text(), re.MULTILINE)
    targets = re.findall(r"^([a-z][a-z0-9-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert set(named) <= set(targets)


def test_index_has_every_document() -> None:
    index = (ROOT / "docs/README.md").read_text()
    for document in (ROOT / "docs").rglob("*.md"):
        name = str(document.relative_to(ROOT / "docs"))
        assert name == "README.md" or f"({name})" in index, name


def glossary() -> dict[str, list[str]]:
    """The terms, each with the lines that explain it."""
    entries = (ROOT / "docs/glossary.md").read_text().split("\n### ")[1:]
    return {term: text.strip().splitlines() for term, _, text in (entry.partition("\n") for entry in entries)}


def test_glossary_is_short_and_sorted() -> None:
    """Two lines for each term, in alphabetical order."""
    terms = glossary()
    assert list(terms) == sorted(terms, key=str.lower)
    assert {term: len(lines) for term, lines in terms.items()} == dict.fromkeys(terms, 2)


@pytest.mark.parametrize(
    "term",
    [
        *("Action", "Chunk", "Span", "Window", "Claim", "Ledger", "Outcome", "Dead letter", "Poison", "Replay"),
        *("Outbox", "Watchdog", "Claim check", "Retry topic", "Changelog", "Mapping", "Snapshot", "Idempotency key"),
    ],
)
def test_glossary_has_common_terms(term: str) -> None:
    """Glossary has the terms of the field."""
    assert term in glossary()


def test_glossary_has_every_agent() -> None:
    """What a module of ``agents`` is named after is explained, except what only helps them."""
    helpers = {"__init__", "faults", "retrier"}
    modules = {file.stem for file in (ROOT / "agents").glob("*.py")} - helpers
    terms = {re.sub(r"\W", "", term.lower()) for term in glossary()}
    missing = {
        name for name in modules if name.replace("_", "").rstrip("s") not in {term.rstrip("s") for term in terms}
    }
    assert missing == set()


def test_versions_agree() -> None:
    """The newest of the changelog is that of the project, and the first that gets fixes of security."""
    [newest, *_] = re.findall(r"^## \[(\d+\.\d+\.\d+)\]", CHANGELOG, re.MULTILINE)
    assert newest == PROJECT["version"]
    [supported, *_] = re.findall(r"^\| (\d+\.\d+) \| yes", (ROOT / "SECURITY.md").read_text(), re.MULTILINE)
    assert newest.startswith(f"{supported}.")


def shown_default(name: str) -> str | None:
    """The default of a setting as a document shows it; None where it depends on the place."""
    field = SETTINGS[name]
    if field.default_factory:
        return None
    value = field.default.get_secret_value() if isinstance(field.default, SecretStr) else field.default
    return f"{value:g}" if isinstance(value, float) else str(value)


@pytest.mark.parametrize("names, defaults", SETTING_ROWS, ids=lambda cell: cell if cell.isupper() else "")
def test_settings_show_their_defaults(names: str, defaults: str) -> None:
    """The settings have the defaults that the reference shows."""
    shown = re.findall("`([^`]+)`", defaults)
    expected = [shown_default(name) for name in re.findall("`([^`]+)`", names)]
    if len(shown) == len(expected) and None not in expected:
        assert shown == expected


def test_production_settings_exist() -> None:
    """The guide to production sets only settings that exist."""
    blocks = re.findall(
        r"^```sh\n(.*?)^```", (ROOT / "docs/how-to/production.md").read_text(), re.DOTALL | re.MULTILINE
    )
    names = re.findall(r"^([A-Z_]+)=", "".join(blocks), re.MULTILINE)
    assert names
    assert set(names) <= set(SETTINGS)


def test_workflow_runs_make_test() -> None:
    assert "make test" in [step.get("run") for step in STEPS]


def test_workflow_pins_actions() -> None:
    """The workflow pins actions by their major version."""
    used = [step["uses"] for step in STEPS if "uses" in step]
    assert used
    assert all(re.fullmatch(r"actions/[a-z-]+@v\d+", action) for action in used)


def test_workflow_has_few_rights() -> None:
    """The workflow has no secrets and few rights."""
    assert "secrets." not in (ROOT / ".github/workflows/test.yml").read_text()
    assert WORKFLOW["permissions"] == {"contents": "read"}


def test_workflow_has_required_versions() -> None:
    """Workflow has the Python and Java that are asked for."""
    given = {step["uses"].partition("@")[0]: step.get("with", {}) for step in STEPS if "uses" in step}
    assert f">={given['actions/setup-python']['python-version']}" == PROJECT["requires-python"]
    assert f"Java {given['actions/setup-java']['java-version']}" in (ROOT / "README.md").read_text()
