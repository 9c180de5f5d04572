"""Workers that let nobody in without a credential, workers with limits, and credentials for them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from app.adapters.mongo import Store
from app.domain.access import Role
from app.domain.api_keys import ApiKey, fingerprint, new_key
from stack import Instance, Stack
from tests.support.figures import figures
from tests.support.issuer import ISSUER, Signer, ec_signer, ed_signer, rsa_signer
from tests.support.namespaces import namespace
from tests.support.workers import Worker

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
        # In a thread: a browser's test has an event loop running in its own.
        with ThreadPoolExecutor() as thread:
            thread.submit(asyncio.run, self._add(key)).result()
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
        "EVENT_STREAM_SECONDS": "0",
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


# Workers with limits

#: Seconds of the window, uploads and other requests in it.
WINDOW, UPLOADS, READS = 3.0, 5, 20

NO_RATES = {"uploads": 0, "reads": 0}
TIERS: dict[str, dict[str, int]] = {
    "gold": {"uploads": 2 * UPLOADS, "reads": 2 * READS},
    "free": NO_RATES,
    "crowded": {**NO_RATES, "activeActions": 3},
    "busy": {**NO_RATES, "activeRows": 5},
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
