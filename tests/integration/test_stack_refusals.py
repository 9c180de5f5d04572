"""A service that answers and does not let us in: `doctor` and `up` say so, and not that nothing runs there."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import bson
import pytest

from stack.addresses import free_port
from tests.support.paths import ROOT
from tests.support.secure_kafka import SecureKafka
from tests.support.waiting import wait_for


def launcher(*arguments: str, **environment: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "stack", *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )
    return done.returncode, done.stderr


def both(service: str, tmp_path: Path, **environment: str) -> str:
    """What doctor and up say together; each fails."""
    code, doctor = launcher("doctor", "--services", service, **environment)
    assert code == 1, doctor
    code, up = launcher("up", "--dir", str(tmp_path / "stack"), "--services", service, "--", "true", **environment)
    assert code == 1, up
    for said in (doctor, up):
        assert "answers and does not let us in" in said
        assert "does not run" not in said
        assert "occupied" not in said
        assert "wrong-password" not in said
    return doctor


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A Redis with a password; its port."""
    port = free_port()
    directory = tmp_path_factory.mktemp("redis")
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--requirepass", "right", "--save", ""]
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=directory, stdout=log, stderr=log)
    try:
        wait_for(lambda: "Ready to accept" in (directory / "log").read_text(), "Redis is there")
        yield port
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("login", ["", ":wrong-password@"])
def test_redis_reports_wrong_password(redis: int, tmp_path: Path, login: str) -> None:
    """Redis says that the password is wrong."""
    said = both("redis", tmp_path, REDIS_URI=f"redis://{login}127.0.0.1:{redis}/0")
    assert "REDIS_URI: " in said
    assert ("it asks for a password" if not login else "invalid username-password pair") in said


def test_redis_accepts_password(redis: int) -> None:
    """Redis lets in who has the password."""
    code, said = launcher("doctor", "--services", "redis", REDIS_URI=f"redis://:right@127.0.0.1:{redis}/0")
    assert (code, "answers at" in said) == (0, True)


@contextmanager
def guarded_mongo() -> Iterator[int]:
    """A server that speaks as a MongoDB with logins does, to everybody who has none; its port."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                threading.Thread(target=serve, args=(connection,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield server.getsockname()[1]


def serve(connection: socket.socket) -> None:
    with connection, connection.makefile("rb") as stream:
        while len(head := stream.read(16)) == 16:
            size, request, _, opcode = (int.from_bytes(head[n : n + 4], "little") for n in (0, 4, 8, 12))
            body = stream.read(size - 16)
            if opcode == 2004:  # OP_QUERY, of the first hello
                command = bson.decode(body[body.index(b"\0", 4) + 9 :])
                reply, opcode = bytes(16) + (1).to_bytes(4, "little"), 1
                reply += bson.encode(answer_to(command))
            else:
                reply, opcode = bytes(5) + bson.encode(answer_to(bson.decode(body[5:]))), 2013
            parts = (16 + len(reply), 1, request, opcode)
            connection.sendall(b"".join(part.to_bytes(4, "little") for part in parts) + reply)


def answer_to(command: dict[str, Any]) -> dict[str, Any]:
    name = next(iter(command))
    if name.lower() in {"hello", "ismaster"}:
        return {"ok": 1, "ismaster": True, "isWritablePrimary": True, "maxWireVersion": 21, "minWireVersion": 0}
    if name == "ping":
        return {"ok": 1}
    if name == "saslStart":
        return {"ok": 0, "code": 18, "codeName": "AuthenticationFailed", "errmsg": "Authentication failed."}
    return {"ok": 0, "code": 13, "codeName": "Unauthorized", "errmsg": f"Command {name} requires authentication"}


@pytest.mark.parametrize(
    ("login", "words"), [("", "requires authentication"), ("me:wrong-password@", "Authentication failed")]
)
def test_mongo_reports_wrong_password(tmp_path: Path, login: str, words: str) -> None:
    """MongoDB says that the password is wrong."""
    with guarded_mongo() as port:
        said = both("mongo", tmp_path, MONGO_DB_URI=f"mongodb://{login}127.0.0.1:{port}/bulk")
    assert "MONGO_DB_URI: " in said
    assert words in said


def test_kafka_reports_wrong_password(secure_kafka: SecureKafka, tmp_path: Path) -> None:
    """Kafka says that the password is wrong."""
    settings = secure_kafka.settings()
    said = both("kafka", tmp_path, **{**settings, "KAFKA_SASL_PASSWORD": "wrong-password"})
    assert "KAFKA_SASL_USERNAME or KAFKA_SASL_PASSWORD is wrong" in said
    code, said = launcher("doctor", "--services", "kafka", **settings)
    assert (code, "answers at" in said) == (0, True)
