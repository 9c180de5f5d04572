"""The table of progress, in what Faust's own does not do."""

from __future__ import annotations

from typing import Any

import pytest
from faust.exceptions import PartitionsMismatch

from app.domain.faults import PassingFault
from app.domain.progress import Progress
from app.settings import Settings
from tables.progress import ProgressTable


class NewTable(dict[str, Any]):
    """A table of Faust whose changelog is not in the metadata of its worker."""

    def __setitem__(self, key: str, value: Any) -> None:
        raise PartitionsMismatch

    def pop(self, key: str, *default: Any) -> Any:
        raise PartitionsMismatch


class App:
    def Table(self, *_: Any, **__: Any) -> NewTable:
        return NewTable()


def test_unknown_changelog_is_a_passing_fault() -> None:
    """A result is tried again then, instead of going to the dead letters."""
    table = ProgressTable(App(), Settings(_env_file=None))
    with pytest.raises(PassingFault):
        table.set("a", Progress(chunk_count=1, fed=1))
    with pytest.raises(PassingFault):
        table.drop("a")
