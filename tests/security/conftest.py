"""Workers that let nobody in without a credential, and credentials for them."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from app.adapters.mongo import Store
from app.domain.access import Role
from app.domain.api_keys import ApiKey, fingerprint, new_key
from stack import Instance, Stack
from tests.conftest import namespace
from tests.figures import figures
from tests.security.issuer import ISSUER, SECRET, KeyProvider, Signer, ec_signer, ed_signer, rsa_signer
from tests.support import Worker

#: Seconds for which the workers here remember a key.
KEY_CACHE = 1.0


@dataclass(frozen=True)
class Guarded:
    """A worker with ``AUTH_MODE=required``, and the environment that its commands need."""

    worker: Worker
    environment: dict[str, str]

    def key(self, account: str, role: Role, **changes: Any) -> str:
        """Make a key, past the command."""
        secret = new_key()
        key = ApiKey(fingerprint(secret), account, role, **{"name": "test", "created_at": datetime.now(UTC), **changes})
        asyncio.run(self._add(key))
        return secret

    async def _add(self, key: ApiKey) -> None:
        store = Store(self.environment["MONGO_DB_URI"])
        try:
            await store.api_keys.add(key)
        finally:
            await store.close()


def count_answers(config: pytest.Config, worker: Worker, **headers: str) -> None:
    """Add what a worker has answered, by its own figures, to the sum of all; nothing may have been a 500."""
    answers = figures(config).answers
    metrics = worker.client.get("/metrics", headers=headers).raise_for_status().text
    for status, times in re.findall(r'^bulk_http_requests_total\{.*status="(\d+)"\} (\S+)', metrics, re.MULTILINE):
        answers[status] += int(float(times))
    assert not answers["500"]


def guarded_worker(
    services: Stack, config: pytest.Config, tmp_path_factory: pytest.TempPathFactory, **settings: str
) -> Iterator[Guarded]:
    environment = {
        **namespace(services, tmp_path_factory.mktemp("namespace")),
        "AUTH_MODE": "required",
        "API_KEY_CACHE": str(KEY_CACHE),
        "JWT_ISSUER": ISSUER,
        **settings,
    }
    worker = Worker(environment, tmp_path_factory.mktemp("worker"))
    try:
        guarded = Guarded(worker.start(), environment)
        yield guarded
        count_answers(config, worker, **{"X-API-Key": guarded.key("figures", Role.ADMIN)})
    finally:
        worker.kill()
        worker.client.close()


@pytest.fixture(scope="session")
def guarded(
    services: Stack, pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Guarded]:
    """A worker that takes keys, and tokens of a shared secret."""
    # The account of a session in docs/security.md has the default of a worker.
    tiers = json.dumps({"globex": {"uploads": 5}})
    yield from guarded_worker(services, pytestconfig, tmp_path_factory, JWT_SECRET=SECRET, RATE_LIMIT_TIERS=tiers)


#: What the provider publishes, by the algorithm.
SIGNERS: dict[str, Signer] = {
    "RS256": rsa_signer("rsa"),
    "PS256": rsa_signer("pss", "PS256"),
    "ES256": ec_signer("ec"),
    "EdDSA": ed_signer("ed"),
}
#: Published too, and not to be relied on.
WEAK = rsa_signer("weak", size=1024)
ENCRYPTION = rsa_signer("encryption", use="enc")
OCT = {"kty": "oct", "kid": "oct", "alg": "HS256", "k": "YSBzZWNyZXQgdGhhdCBldmVyeWJvZHkgY2FuIHJlYWQgaGVyZQ"}


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


# Workers with limits

#: Seconds of the window, uploads and other requests in it.
WINDOW, UPLOADS, READS = 3.0, 5, 20

NO_RATES = {"uploads": 0, "reads": 0}
TIERS: dict[str, dict[str, int]] = {
    "gold": {"uploads": 2 * UPLOADS, "reads": 2 * READS},
    "free": NO_RATES,
    "crowded": {**NO_RATES, "activeActions": 3},
    "full": {**NO_RATES, "storedBytes": 500},
    "exact": {**NO_RATES, "storedBytes": 1000},
    "again": {**NO_RATES, "activeActions": 1, "storedBytes": 100},
}


@dataclass(frozen=True)
class Limited:
    """Two workers of one namespace that count requests in a Redis of their own."""

    #: While Redis is away, it lets requests pass, and the other one does not.
    lenient: Worker
    strict: Worker
    redis: Instance
    storage: Path

    @property
    def both(self) -> tuple[Worker, Worker]:
        return self.lenient, self.strict

    def stored(self) -> set[str]:
        """The actions that have files."""
        return {path.parent.name for path in self.storage.rglob("*/*") if path.is_file()}


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
            storage = Path(unquote(urlsplit(environment["STORAGE_URI"]).path))
            yield Limited(lenient, strict, own["redis"], storage)
            for worker in workers:
                count_answers(pytestconfig, worker)
        finally:
            for worker in workers:
                worker.kill()
                worker.client.close()
