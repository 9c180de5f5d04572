"""The recorded session of the README is what happens today."""

from __future__ import annotations

import re
from pathlib import Path

from tests.support.casts import Cast
from tests.support.record_session import CAST, record
from tests.support.workers import Worker


def comparable(cast: Cast) -> list[str]:
    """What was to be read, without what differs from run to run: ids, numbers and their width."""
    told = re.sub(r"\b[0-9a-f]{24}\b", "ID", "\n".join(cast.lines()))
    told = re.sub(r"(created|updated|unchanged)\)", "done)", re.sub(r"\d[\d,:.]*", "N", told))
    return [" ".join(line.split()) for line in re.sub("[━╸╺]+", "━", told).splitlines()]


def test_recorded_session_is_what_happens(worker: Worker, tmp_path: Path) -> None:
    """The same commands say the same of a smaller file; else it is time for ``make pictures``."""
    assert comparable(record(worker, tmp_path, rows=1000)) == comparable(Cast.read(CAST))
