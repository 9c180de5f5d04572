"""A bench for the way of the rows, in a fresh namespace."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from app.settings import Settings
from tests.support.bench import Bench


@pytest.fixture
async def bench(settings: Settings) -> AsyncIterator[Bench]:
    bench = Bench(settings)
    await bench.store.prepare()
    await bench.storage.prepare()
    yield bench
    await bench.close()
