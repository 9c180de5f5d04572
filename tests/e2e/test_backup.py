"""Backup and restore: what was in the database and the storage is enough, whatever Kafka and Redis had."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import redis

from stack import Stack
from stack.samples import Sample
from tests.support.assertions import assert_exact, assert_verified
from tests.support.installation import Installation
from tests.support.namespaces import namespace
from tests.support.workers import Worker

RUN = {"BATCH_SIZE": "250", "STALL_TIMEOUT": "5", "BROKER_SESSION_TIMEOUT": "6"}


def test_restore_with_work_in_flight(
    start_worker: Callable[..., Worker], environment: dict[str, str], services: Stack, tmp_path: Path
) -> None:
    """A backup that is taken while rows are written is restored into fresh services, and every row is accounted for.

    The database is copied first, then the storage, while workers go on. Kafka and Redis are new and empty.
    """
    sample = Sample(10_000, seed=11, duplicates=0.1)
    expected = sample.write(tmp_path / "contacts.csv")
    Sample(500, seed=12, prefix="done").write(tmp_path / "done.csv")
    before = start_worker(**RUN)
    done = before.submit(tmp_path / "done.csv")
    before.wait_ended(done)
    running = before.submit(tmp_path / "contacts.csv")
    before.wait_processed(running, more_than=1_500)
    backup = Installation.of(environment, passing=False)
    assert next(it for it in backup.documents["bulk_operations"] if it["_id"] == running)["status"] == "PROCESSING"
    before.kill()

    elsewhere = namespace(services, tmp_path / "restored")
    with redis.Redis.from_url(elsewhere["REDIS_URI"]) as cache:
        # As in a Redis that is new.
        assert cache.delete(*cache.keys(f"dedupe:{running}*"))
    backup.put_into(elsewhere)
    command = [sys.executable, "-m", "app", "claims", "rebuild"]
    told = subprocess.run(command, env={**os.environ, **elsewhere}, capture_output=True, text=True, timeout=60)
    assert (told.returncode, told.stdout) == (0, "the claims of 1 actions will be rebuilt when a worker starts\n")

    after = Worker({**elsewhere, **RUN}, tmp_path / "after")
    try:
        after.start()
        after.wait_ended(running)
        for action in (done, running):
            assert after.action(action)["status"] == "COMPLETED"
        assert_exact(after, running, sample, expected, elsewhere["MONGO_DB_URI"])
        assert_verified(elsewhere)
        assert after.dead_letters() == []
    finally:
        after.kill()
        after.client.close()
