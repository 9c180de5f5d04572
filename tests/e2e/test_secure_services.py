"""The main job where the services ask for TLS and passwords, as those of companies do."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from stack.addresses import free_port
from stack.samples import Sample
from tests.support.assertions import assert_exact, assert_verified
from tests.support.secure_kafka import SecureKafka
from tests.support.waiting import wait_for
from tests.support.workers import Worker

PASSWORD = "the-password-of-redis"


@pytest.fixture
def secure_redis(secure_kafka: SecureKafka, tmp_path: Path) -> Iterator[str]:
    """A Redis with TLS alone, and a password; its URI."""
    port, path = free_port(), secure_kafka.authority.path
    files = ("--tls-cert-file", path("broker.crt"), "--tls-key-file", path("broker.key"))
    tls = (
        "--port",
        "0",
        "--tls-port",
        str(port),
        *files,
        "--tls-ca-cert-file",
        path("ca.pem"),
        "--tls-auth-clients",
        "no",
    )
    directory = tmp_path / "redis"
    directory.mkdir()
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(
            ["redis-server", "--bind", "127.0.0.1", "--requirepass", PASSWORD, "--save", "", *tls],
            cwd=directory,
            stdout=log,
            stderr=log,
        )
    try:
        wait_for(lambda: "Ready to accept" in (directory / "log").read_text(), "Redis is there")
        yield f"rediss://:{PASSWORD}@127.0.0.1:{port}/0?ssl_ca_certs={path('ca.pem')}"
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def secured(environment: dict[str, str], secure_kafka: SecureKafka, tmp_path: Path) -> dict[str, str]:
    """Settings of a worker that is let in by the broker, its password in a file."""
    (tmp_path / "password").write_text("the-password-of-bulk\n")
    settings = {**environment, **secure_kafka.settings(), "KAFKA_SASL_PASSWORD_FILE": str(tmp_path / "password")}
    del settings["KAFKA_SASL_PASSWORD"]
    return settings


def test_main_job_over_tls(secured: dict[str, str], secure_redis: str, tmp_path: Path) -> None:
    """The main job over TLS with logins.

    Kafka by SASL_SSL with SCRAM, Redis by TLS with a password: exact, and no password in the log.
    """
    sample = Sample(5_000, seed=20)
    expected = sample.write(tmp_path / "contacts.csv")
    worker = Worker({**secured, "REDIS_URI": secure_redis, "BATCH_SIZE": "500"}, tmp_path / "worker")
    try:
        worker.start()
        action_id = worker.submit(tmp_path / "contacts.csv")
        worker.wait_ended(action_id)
        assert_exact(worker, action_id, sample, expected, secured["MONGO_DB_URI"])
        assert_verified(secured, action_id)
        assert worker.stop() == 0
        log = worker.log.read_text()
        assert PASSWORD not in log
        assert "the-password-of-bulk" not in log
    finally:
        worker.kill()
        worker.client.close()


def test_refused_worker_ends_in_one_line(secured: dict[str, str], tmp_path: Path) -> None:
    """A worker that is not let in ends with a line."""
    (tmp_path / "password").write_text("another-password\n")
    worker = Worker(secured, tmp_path / "worker")
    try:
        worker.launch()
        assert worker.process is not None
        assert worker.process.wait(timeout=90) == 2
        last = worker.tail().splitlines()[-1]
        assert "this worker cannot start: 127.0.0.1:" in last
        assert "KAFKA_SASL_USERNAME or KAFKA_SASL_PASSWORD is wrong" in last
        assert "Traceback" not in worker.tail()
    finally:
        worker.kill()
        worker.client.close()
