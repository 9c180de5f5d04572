"""A bench for the way of the rows, in a fresh namespace."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from app.adapters.mongo import Store
from app.settings import Settings
from tests.support.bench import Bench
from tests.support.buckets import Bucket
from tests.support.uploads_only import UploadsOnly


@pytest.fixture
async def store(settings: Settings) -> AsyncIterator[Store]:
    """The database alone."""
    store = Store(settings.mongo_db_uri.get_secret_value())
    await store.prepare()
    yield store
    await store.close()


@pytest.fixture
async def bench(settings: Settings) -> AsyncIterator[Bench]:
    bench = Bench(settings)
    await bench.store.prepare()
    await bench.storage.prepare()
    yield bench
    await bench.close()


@pytest.fixture(params=["local", "s3"])
async def any_bench(request: pytest.FixtureRequest, bench: Bench) -> AsyncIterator[Bench]:
    """A bench on each kind of storage."""
    if request.param == "local":
        yield bench
        return
    bucket = Bucket(request.getfixturevalue("s3"))
    await bench.storage.close()
    bench.storage = bucket.storage()
    await bench.storage.prepare()
    bench.context = bench.platform_with(storage=bench.storage)
    yield bench
    bucket.close()


@pytest.fixture
async def client(bench: Bench) -> AsyncIterator[UploadsOnly]:
    """Takes uploads for the bench."""
    async with UploadsOnly.on(bench) as client:
        yield client
