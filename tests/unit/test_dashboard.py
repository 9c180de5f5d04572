"""The dashboard's files: what is served is whole, small, and needs nothing from elsewhere."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re

import pytest

from stack.vendoring import LIBRARIES, LICENCES, MANIFEST
from tests.support.paths import ROOT
from web.dashboard.assets import CONTENT_SECURITY_POLICY, Dashboard, load_dashboard
from web.routes import PAGES, Route

STATIC = ROOT / "web" / "dashboard" / "static"
VENDOR = STATIC / "vendor"

#: Imports and exports of modules, and of style sheets.
_IMPORT = re.compile(
    r"""^(?:(?:import|export)\b[^;"'`]*?\bfrom\s*|import\s*|@import url\()["']([^"'`]+)["']""", re.MULTILINE
)
#: Imports that are made when they are needed.
_LATER = re.compile(r"""\bimport\(["']([^"']+)["']\)""")


def imports(path: str, form: re.Pattern[str] = _IMPORT) -> set[str]:
    """What a file imports, by paths of this dashboard."""
    found = form.findall((STATIC / path).read_text(encoding="utf-8"))
    assert not [name for name in found if path.endswith(".js") and not name.startswith(".")], path
    return {os.path.relpath((STATIC / path).parent / name, STATIC) for name in found}


@pytest.fixture(scope="module")
def dashboard() -> Dashboard:
    return load_dashboard()


def test_files_are_packed_as_they_are(dashboard: Dashboard) -> None:
    for path, asset in dashboard.assets.items():
        assert asset.body == (STATIC / path).read_bytes()
        assert gzip.decompress(asset.packed) == asset.body


def test_page_is_small(dashboard: Dashboard) -> None:
    """All that a browser is sent is less than 200 kB."""
    loaded = (asset for path, asset in dashboard.assets.items() if path.endswith((".js", ".css", ".svg")))
    assert len(dashboard.page.packed) + sum(len(asset.packed) for asset in loaded) < 200_000


def test_page_loads_files_that_exist(dashboard: Dashboard) -> None:
    page = dashboard.page.body.decode()
    named = re.findall(rf'"assets/{dashboard.version}/([^"]+)"', page)
    assert "app.js" in named
    assert "style.css" in named
    assert set(named) <= set(dashboard.assets)


def test_first_page_is_loaded_ahead(dashboard: Dashboard) -> None:
    """The browser is told at once of all modules that the first page needs, and of no others."""
    ahead = re.findall(rf'modulepreload" href="assets/{dashboard.version}/([^"]+)"', dashboard.page.body.decode())
    assert len(set(ahead)) == len(ahead)
    [home] = re.findall(r'HOME = "(\w+)"', (STATIC / "pages" / "index.js").read_text(encoding="utf-8"))
    assert {"app.js", f"pages/{home}.js"} <= set(ahead)
    needed = {imported for path in ahead for imported in imports(path)}
    assert needed <= set(ahead) <= needed | {"app.js", f"pages/{home}.js"}
    assert "vendor/uplot.js" not in ahead


def test_imports_exist(dashboard: Dashboard) -> None:
    """A module imports files of this dashboard, by relative paths: browsers know no names of packages."""
    for path in dashboard.assets:
        if path.endswith((".js", ".css")):
            assert imports(path) | imports(path, _LATER) <= set(dashboard.assets), path


def test_version_stands_for_bytes(dashboard: Dashboard) -> None:
    assert load_dashboard() == dashboard
    assert re.fullmatch(r"[0-9a-f]{16}", dashboard.version)


def test_page_has_no_inline_script(dashboard: Dashboard) -> None:
    """Neither script, style nor handler stands in the page, and nothing comes from another host."""
    page = dashboard.page.body.decode()
    assert not re.search(r"<script(?![^>]*\bsrc=)", page)
    assert "<style" not in page
    assert not re.search(r"\s(on\w+|style)=", page)
    assert "//" not in re.sub(r"http://www\.w3\.org", "", page)


def test_policy_allows_own_files_only() -> None:
    sources = [part.split()[1:] for part in CONTENT_SECURITY_POLICY.split("; ") if "-src" in part]
    assert {source for each in sources for source in each} == {"'none'", "'self'"}
    assert "require-trusted-types-for 'script'" in CONTENT_SECURITY_POLICY


def test_libraries_are_as_fetched() -> None:
    """Each vendored file has the checksum, version and licence that were noted when it was fetched."""
    manifest = json.loads((VENDOR / MANIFEST).read_text(encoding="utf-8"))
    noted = {entry["package"]: entry for entry in manifest}
    assert {(library.name, library.version) for library in LIBRARIES} == {
        (entry["package"], entry["version"]) for entry in manifest
    }
    licences = (VENDOR / LICENCES).read_text(encoding="utf-8")
    files = set()
    for library in LIBRARIES:
        assert f"{library.name} {library.version}\n" in licences
        assert noted[library.name]["licence"] in {"MIT", "Apache-2.0"}
        for name, checksums in noted[library.name]["files"].items():
            assert hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() == checksums["sha256"]
            files.add(name)
    assert files | {MANIFEST, LICENCES} == {path.name for path in VENDOR.iterdir()}


@pytest.mark.parametrize("route", PAGES, ids=lambda route: route.path)
def test_pages_are_open(route: Route) -> None:
    """Whoever has no credential yet has to see where to enter it; the pages have nothing of anybody's."""
    assert [operation.role for operation in route.operations.values()] == [None]
