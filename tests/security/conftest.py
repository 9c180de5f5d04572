"""The workers of the security tests: one that takes keys, one that takes tokens of a provider, two with limits."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from stack import Stack
from tests.support.issuer import SECRET, KeyProvider
from tests.support.namespaces import namespace, storage_of
from tests.support.secured import (
    ENCRYPTION,
    OCT,
    READS,
    SIGNERS,
    TIERS,
    UPLOADS,
    WEAK,
    WINDOW,
    Guarded,
    Limited,
    count_answers,
    guarded_worker,
)
from tests.support.workers import Worker


@pytest.fixture(scope="session")
def guarded(
    services: Stack, pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Guarded]:
    """A worker that takes keys, and tokens of a shared secret."""
    # The account of a session in docs/security.md has the default of a worker.
    tiers = json.dumps({"globex": {"uploads": 5}})
    yield from guarded_worker(services, pytestconfig, tmp_path_factory, JWT_SECRET=SECRET, RATE_LIMIT_TIERS=tiers)


@pytest.fixture(scope="session")
def provider() -> Iterator[KeyProvider]:
    provider = KeyProvider()
    provider.publish(*SIGNERS.values(), WEAK, ENCRYPTION)
    provider.keys.append(OCT)
    yield provider
    provider.close()


@pytest.fixture(scope="session")
def federated(
    services: Stack, provider: KeyProvider, pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Guarded]:
    """A worker that takes keys, and tokens of an identity provider."""
    yield from guarded_worker(
        services,
        pytestconfig,
        tmp_path_factory,
        JWT_JWKS_URL=provider.url,
        JWT_JWKS_CACHE="10",
        JWT_JWKS_STALE="0",
        METRICS_AUTH="none",
    )


@pytest.fixture(scope="session")
def limited(
    services: Stack, pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Limited]:
    with Stack(directory=tmp_path_factory.mktemp("redis"), services=("redis",), ports="free") as own:
        environment = {
            **namespace(services, tmp_path_factory.mktemp("limited")),
            **own.environment(),
            "RATE_LIMIT_MAX": str(UPLOADS),
            "RATE_LIMIT_READS_MAX": str(READS),
            "RATE_LIMIT_WINDOW_MS": str(int(WINDOW * 1000)),
            "RATE_LIMIT_TIERS": json.dumps(TIERS),
        }
        workers = [
            Worker({**environment, "RATE_LIMIT_FAIL": mode}, tmp_path_factory.mktemp(mode))
            for mode in ("open", "closed")
        ]
        try:
            with ThreadPoolExecutor() as threads:
                lenient, strict = threads.map(Worker.start, workers)
            yield Limited(lenient, strict, own["redis"], storage_of(environment))
            for worker in workers:
                count_answers(pytestconfig, worker)
        finally:
            for worker in workers:
                worker.kill()
                worker.client.close()
