"""The libraries of the dashboard: fetched from the npm registry, and kept in the repository as they are served.

``python -m stack vendor`` writes ``web/dashboard/static/vendor`` anew: the files, their licences, and ``manifest.json``
with version, licence and checksums of each. Nobody who clones the project needs npm for it.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stack.errors import StackError

VENDORED = Path(__file__).resolve().parent.parent / "web" / "dashboard" / "static" / "vendor"
MANIFEST = "manifest.json"
LICENCES = "LICENSES.txt"


@dataclass(frozen=True)
class Library:
    """A package of npm, and the files of it that are served.

    Attributes:
        name: The package.
        version: Its version, exactly.
        files: What is served, by the path in the package.
        licence: The file with its licence.
        replaced: Texts of these files that are replaced, so that they find each other without a build.
        appended: What is added at the end of the first file, so that it is a module.
    """

    name: str
    version: str
    files: Mapping[str, str]
    licence: str = "LICENSE"
    replaced: Mapping[str, str] = field(default_factory=dict)
    appended: str = ""


LIBRARIES = (
    Library(
        "preact",
        "11.2.0",
        {"dist/preact.mjs": "preact.js", "hooks/dist/hooks.mjs": "preact-hooks.js"},
        replaced={'from"preact"': 'from"./preact.js"'},
    ),
    Library("htm", "3.1.1", {"dist/htm.mjs": "htm.js"}),
    Library(
        "uplot",
        "1.6.32",
        {"dist/uPlot.iife.min.js": "uplot.js", "dist/uPlot.min.css": "uplot.css"},
        # Its module is not minified, and three times as large.
        appended="export default uPlot;\n",
    ),
    Library("eventsource-parser", "3.1.1", {"dist/index.js": "eventsource-parser.js"}),
)


def vendor(target: Path = VENDORED) -> list[str]:
    """Fetch the libraries with npm, and write them to ``target``; return a line for each.

    Raises:
        StackError: npm is not here, or a package is not as it should be.
    """
    if shutil.which("npm") is None:
        raise StackError("npm is needed to fetch the libraries of the dashboard")
    with tempfile.TemporaryDirectory() as scratch:
        packages = [_fetch(library, Path(scratch)) for library in LIBRARIES]
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        entries = [_write(library, package, target) for library, package in zip(LIBRARIES, packages, strict=True)]
        licences = [
            f"{library.name} {library.version}\n\n{(package / library.licence).read_text(encoding='utf-8').strip()}\n"
            for library, package in zip(LIBRARIES, packages, strict=True)
        ]
    (target / LICENCES).write_text(("\n" + "-" * 80 + "\n\n").join(licences), encoding="utf-8")
    (target / MANIFEST).write_text(json.dumps(entries, indent=2) + "\n", encoding="utf-8")
    return [f"{entry['package']} {entry['version']} ({entry['licence']})" for entry in entries]


def _fetch(library: Library, scratch: Path) -> Path:
    """Return the directory of a package that was fetched; npm has checked it against the registry's checksum."""
    wanted = f"{library.name}@{library.version}"
    packed = subprocess.run(  # noqa: S603  names that are declared above, no shell
        ["npm", "pack", "--json", "--pack-destination", str(scratch), wanted],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
    )
    if packed.returncode:
        raise StackError(f"npm cannot fetch {wanted}: {packed.stderr.strip()}")
    answer = json.loads(packed.stdout)
    described: Mapping[str, Any] = answer[0] if isinstance(answer, list) else next(iter(answer.values()))
    directory = scratch / library.name
    with tarfile.open(scratch / Path(described["filename"]).name) as archive:
        archive.extractall(directory, filter="data")
    package = directory / "package"
    (package / ".integrity").write_text(described["integrity"])
    return package


def _write(library: Library, package: Path, target: Path) -> dict[str, Any]:
    described = json.loads((package / "package.json").read_text(encoding="utf-8"))
    files = {}
    for position, (source, name) in enumerate(library.files.items()):
        original = (package / source).read_text(encoding="utf-8")
        # Without its map, which is not served.
        lines = [line for line in original.splitlines() if not line.startswith("//# sourceMappingURL")]
        text = "\n".join(lines).rstrip() + "\n"
        for old, new in library.replaced.items():
            text = text.replace(old, new)
        if position == 0:
            text += library.appended
        (target / name).write_text(text, encoding="utf-8")
        files[name] = {"from": source, "original": _sha256(original), "sha256": _sha256(text)}
    return {
        "package": library.name,
        "version": described["version"],
        "licence": described["license"],
        "integrity": (package / ".integrity").read_text(),
        "files": files,
    }


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
