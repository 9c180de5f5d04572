"""Marked secrets everywhere, at the most talkative level: none is in the output of a program or in an answer."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import redis

from app.domain.access import Role
from stack import MONGO, Options, Stack
from stack.addresses import free_port
from tests.security.test_headers import INSIDE, check
from tests.support.assertions import error_of
from tests.support.issuer import ISSUER, token
from tests.support.namespaces import namespace
from tests.support.secured import Guarded
from tests.support.waiting import wait_for
from tests.support.workers import Worker
from web.routes import ROUTES

#: Every secret has it, at its beginning and at its end, so that a part is found as well.
MARK = "mArKeD"


def secret(name: str) -> str:
    return f"{MARK}-{name}-0123456789abcdef0123456789-{MARK}"


TOKENS = {
    "AUTH_MODE": "required",
    "API_KEY_CACHE": "0",
    "JWT_SECRET": secret("jwt"),
    "JWT_ISSUER": ISSUER,
    "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": secret("aws"),
    "AWS_SESSION_TOKEN": secret("session"),
}


@dataclass(frozen=True)
class Marked:
    """A worker at debug level with services of its own, or a login of its own, which can be taken from it."""

    worker: Worker
    environment: dict[str, str]
    mongo: Stack
    admin: redis.Redis
    user: str

    def log_in(self) -> None:
        self.admin.execute_command("ACL", "SETUSER", self.user, "on", f">{secret('redis')}", "~*", "&*", "+@all")

    def lock_out(self) -> None:
        self.admin.execute_command("ACL", "DELUSER", self.user)


@pytest.fixture
def marked(services: Stack, tmp_path: Path) -> Iterator[Marked]:
    with (
        Stack(tmp_path / "stack", [MONGO], "free", options=Options(mongo_in_memory=True)) as mongo,
        redis.Redis.from_url(services.environment()["REDIS_URI"]) as admin,
    ):
        user = f"u{uuid.uuid4().hex[:8]}"
        where = admin.connection_pool.connection_kwargs
        environment = {
            **namespace(services, tmp_path),
            **TOKENS,
            "MONGO_DB_URI": mongo.environment()["MONGO_DB_URI"],
            "REDIS_URI": f"redis://{user}:{secret('redis')}@{where['host']}:{where['port']}/0",
            "EVENT_STREAM_SECONDS": "0",
        }
        worker = Worker(environment, tmp_path / "worker", level="debug")
        found = Marked(worker, environment, mongo, admin, user)
        found.log_in()
        try:
            worker.start()
            yield found
        finally:
            worker.kill()
            worker.client.close()
            found.lock_out()


def everything(worker: Worker, **headers: str) -> list[httpx.Response]:
    """Ask every route, all at once, because a service that is away is waited for."""

    def ask(method: str, path: str) -> httpx.Response:
        content = b"--x\r\n" if method == "POST" else None
        sent = {"Content-Type": "multipart/form-data; boundary=x", **headers}
        return worker.client.request(method, path, headers=sent, content=content)

    with ThreadPoolExecutor(16) as pool:
        asked = [
            pool.submit(ask, method, re.sub(r"\{\w+\}", "6b04d285235ca65e4442eb33", route.path))
            for route in ROUTES
            for method in route.operations
        ]
        return [done.result() for done in asked]


#: Whose business is the inside: which services are up, the figures of a Python program, and the description of both.
TELL_OF_THE_INSIDE = {"/ready", "/metrics", "/openapi.json", "/docs"}


def assert_nothing_told(answers: list[httpx.Response]) -> None:
    for answer in answers:
        check(answer)
        assert MARK not in f"{answer.headers} {answer.text}"
        if answer.url.path not in TELL_OF_THE_INSIDE:
            assert not INSIDE.search(answer.text), answer.text
            if answer.status_code >= 400:
                error_of(answer)


@pytest.mark.timeout(120)
def test_no_secret_gets_out(marked: Marked) -> None:
    """No secret is logged or answered, whatever is sent and whatever is away."""
    worker = marked.worker
    key = Guarded(worker, marked.environment).key("marked", Role.ADMIN)
    signed = token(secret("jwt"), role="admin")
    forged = token(secret("forged"))
    presented = [
        {"X-API-Key": key},
        {"X-API-Key": f"bulk_{secret('key')}"},
        {"X-API-Key": secret("key")},
        {"Authorization": f"Bearer {signed}"},
        {"Authorization": f"Bearer {forged}"},
        {"Authorization": f"Bearer {secret('opaque')}"},
        {"Authorization": f"Basic {secret('basic')}"},
        {"Cookie": f"session={secret('cookie')}"},
    ]
    assert worker.client.get("/bulk-actions", headers=presented[0]).status_code == 200
    assert worker.client.get("/bulk-actions", headers=presented[3]).status_code == 200
    for headers in presented:
        assert_nothing_told(everything(worker, **headers))

    marked.lock_out()
    wait_for(lambda: worker.readiness().get("checks", {}).get("redis") == "DOWN", "Redis is away")
    assert_nothing_told(everything(worker, **presented[3]))
    marked.log_in()

    marked.mongo[MONGO].kill()
    answers = everything(worker, **presented[3])
    assert_nothing_told(answers)
    assert 503 in {answer.status_code for answer in answers}
    assert worker.client.get("/health").status_code == 200

    worker.kill()
    log = worker.log.read_text(errors="replace")
    assert '"level":"debug"' in log
    assert "the database is away" in log
    hidden = {"a mark": MARK, "the key": key[5:], "a token": signed, "its signature": signed.rpartition(".")[2]}
    for what, value in hidden.items():
        assert value not in log, f"{what}: {next(line for line in log.splitlines() if value in line)}"


def wrong(services: Stack, directory: Path) -> dict[str, str]:
    """Settings with passwords that the services do not take."""
    where = services.environment()
    return {
        **namespace(services, directory),
        **TOKENS,
        "MONGO_DB_URI": where["MONGO_DB_URI"].replace("://", f"://user:{secret('mongo')}@") + "?authSource=admin",
        "REDIS_URI": where["REDIS_URI"].replace("://", f"://nobody:{secret('redis')}@"),
        "STORAGE_URI": "s3://bucket/uploads",
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{free_port()}",
        "AWS_REGION": "us-east-1",
    }


@pytest.mark.parametrize("refusing", [("MongoDB", "Redis"), ("the storage",)], ids=" and ".join)
def test_refused_worker_hides_secrets(services: Stack, tmp_path: Path, refusing: tuple[str, ...]) -> None:
    """A worker that is refused does not say with what it came.

    The storage is asked for behind the database, which knows the right one.
    """
    right = {name: services.environment()[name] for name in ("MONGO_DB_URI", "REDIS_URI")}
    settings = wrong(services, tmp_path) | (right if refusing == ("the storage",) else {})
    worker = Worker(settings, tmp_path / "worker", level="debug").launch()
    try:
        for name in refusing:
            wait_for(lambda n=name: f"waiting for {n}" in worker.log.read_text(), f"it waits for {name}")  # type: ignore[misc]
    finally:
        worker.kill()
    log = worker.log.read_text(errors="replace")
    assert MARK not in log, next(line for line in log.splitlines() if MARK in line)


@pytest.mark.parametrize("command", [("verify",), ("keys", "list")], ids=" ".join)
def test_refused_command_hides_secrets(services: Stack, tmp_path: Path, command: tuple[str, ...]) -> None:
    """Commands that are refused do not say with what they came."""
    ended = subprocess.run(
        [sys.executable, "-m", "app", *command],
        env={**os.environ, **wrong(services, tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ended.returncode != 0
    assert ended.stderr
    assert MARK not in ended.stdout + ended.stderr
