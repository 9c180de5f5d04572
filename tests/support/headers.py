"""Headers of files, read as uploads do."""

from __future__ import annotations

from typing import Any

from app.domain.csv.header import Columns, read_header
from app.domain.entities import Entity


def check_header(entity: Entity, header: bytes, delimiter: str, *rest: Any, **options: Any) -> Columns:
    """Return the columns of a header; raises the first of what is wrong with it."""
    columns, wrong = read_header(entity, header, delimiter, *rest, **options)
    if columns is None:
        raise wrong[0]
    return columns
