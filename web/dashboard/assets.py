"""The files of the dashboard, ready to be sent.

They are modules and style sheets that a browser reads as they are: there is no build. All have one version, the digest
of all of them, which is a part of their address: an address always stands for the same bytes, so that it may be kept
for ever, and the modules of two versions never meet in one page.
"""

from __future__ import annotations

import gzip
import hashlib
import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from importlib.resources.abc import Traversable

_FILES = resources.files("web.dashboard") / "static"
_PAGE = "index.html"
#: Where the address of the files is put into the page, and where a line for each module that is needed at first.
_BASE, _MODULES = "{{assets}}", "{{modules}}"
#: The modules with which a visit begins, by what the page and ``app.js`` say: the program, and the page that is shown
#: first.
_FIRST = ("app.js", "pages/import.js")
#: What a module needs before it can run, in the form that the formatter gives it; not what it asks for later, by
#: ``import()``.
_IMPORT = re.compile(r'^(?:import|export)\b[^;"]*?\bfrom "([^"]+)";', re.MULTILINE)

_CONTENT_TYPES = {
    "css": "text/css",
    "html": "text/html",
    "js": "text/javascript",
    "json": "application/json",
    "svg": "image/svg+xml",
    "txt": "text/plain",
}

#: What the page may do: run and show its own files, and ask its own server. Text never becomes markup or script, which
#: the browser enforces (Trusted Types, W3C). ``blob:`` is a file that the user takes away.
CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)


@dataclass(frozen=True)
class Asset:
    """A file as it is sent.

    Attributes:
        body: Its bytes.
        content_type: What it is.
        tag: Another one for every other body.
    """

    body: bytes
    content_type: str
    tag: str

    @classmethod
    def of(cls, body: bytes, name: str) -> Asset:
        """Return a file that is called ``name``."""
        return cls(body, _CONTENT_TYPES[name.rpartition(".")[2]], _digest(body))

    @cached_property
    def packed(self) -> bytes:
        """The body, packed with gzip: when it is first asked for, because a worker may never be."""
        # Without a time in it, so that all workers send the same bytes.
        return gzip.compress(self.body, mtime=0)


@dataclass(frozen=True, slots=True)
class Dashboard:
    """All of it: the page, and what it loads, by the path behind ``/assets/{version}/``."""

    version: str
    page: Asset
    assets: Mapping[str, Asset]


def load_dashboard() -> Dashboard:
    """Read the files of this installation."""
    assets = {path: Asset.of(body, path) for path, body in sorted(_read(_FILES)) if path != _PAGE}
    page = (_FILES / _PAGE).read_text(encoding="utf-8")
    version = _digest("".join(f"{path} {asset.tag}\n" for path, asset in assets.items()).encode() + page.encode())[:16]
    # Relative, so that the platform may stand behind a path of another server.
    base = f"assets/{version}"
    modules = "\n".join(f'    <link rel="modulepreload" href="{base}/{path}">' for path in _needed(assets))
    page = page.replace(_BASE, base).replace(_MODULES, modules.strip())
    return Dashboard(version, Asset.of(page.encode(), _PAGE), assets)


def _read(directory: Traversable, prefix: str = "") -> Iterator[tuple[str, bytes]]:
    for entry in directory.iterdir():
        if entry.is_dir():
            yield from _read(entry, f"{prefix}{entry.name}/")
        else:
            yield f"{prefix}{entry.name}", entry.read_bytes()


def _needed(assets: Mapping[str, Asset]) -> list[str]:
    """Return the modules that are needed at first, by their paths.

    A browser finds out what a module imports when it has it: without being told, it would ask once for each step.
    """
    needed: dict[str, None] = {}
    open_ends = list(_FIRST)
    while open_ends:
        path = open_ends.pop()
        if path in needed:
            continue
        needed[path] = None
        imported = _IMPORT.findall(assets[path].body.decode())
        open_ends += [posixpath.normpath(posixpath.join(posixpath.dirname(path), name)) for name in imported]
    return list(needed)


def _digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()[:32]
