"""The description of the API, as an open worker gives it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from web.openapi.document import describe
from web.routes import ROUTES

DOCUMENT = describe(ROUTES, credential_required=False)


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Path, method and description of each operation."""
    for path, methods in DOCUMENT["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def answers() -> Iterator[tuple[str, str, str, dict[str, Any]]]:
    """Path, method, status and description of each answer."""
    for path, method, operation in operations():
        for status, answer in operation["responses"].items():
            yield path, method, status, answer
