"""How long actions are kept."""

from __future__ import annotations

from datetime import timedelta

import pytest

from app.domain.retention import retained_until
from tests.support.clocks import PAST


@pytest.mark.parametrize(("days", "kept"), [(1, timedelta(days=1)), (0.5, timedelta(hours=12)), (30, timedelta(30))])
def test_retention_counts_from_the_end(days: float, kept: timedelta) -> None:
    assert retained_until(PAST, days) == PAST + kept


def test_no_retention_is_for_ever() -> None:
    assert retained_until(PAST, 0) is None
