"""Before a worker starts: what it waits for is told, and what no waiting mends ends it at once."""

from __future__ import annotations

import json
import logging
import socket
import subprocess
import sys
from types import SimpleNamespace

import pytest

from app import runtime as startup
from app.adapters.redis.client import UnfitRedis
from app.kafka.admin import PartitionsWithoutLeader, WrongPartitions
from app.runtime import _until_ready, port_is_free
from tests.support.paths import ROOT


def bound(host: str, *, listen: bool) -> socket.socket:
    server = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    # As every server on this system does.
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind((host, 0))
    if listen:
        server.listen()
    return server


@pytest.mark.parametrize("asked", ["127.0.0.1", "0.0.0.0", "localhost"])
@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_port_is_free_after_its_listener(host: str, asked: str) -> None:
    """A port on which somebody listens is not free, and is free again afterwards."""
    with bound(host, listen=True) as server:
        port = server.getsockname()[1]
        assert not port_is_free(asked, port)
    assert port_is_free(asked, port)


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_look_does_not_take_port(host: str) -> None:
    """Looking at a port does not take it."""
    with bound(host, listen=False) as server:
        port = server.getsockname()[1]
    assert port_is_free(host, port)
    assert port_is_free(host, port)


def test_port_is_free_for_restart() -> None:
    """A port that was just in use is free for a worker that is started again."""
    with bound("127.0.0.1", listen=True) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client:
            accepted, _ = server.accept()
            # The side that closes first keeps the address for a while.
            accepted.close()
            assert client.recv(1) == b""
    assert port_is_free("127.0.0.1", port)


def test_ipv6_port_has_its_own_family() -> None:
    """An IPv6 port is looked at in its own family."""
    try:
        server = bound("::1", listen=True)
    except OSError:
        pytest.skip("this machine has no IPv6")
    with server:
        port = server.getsockname()[1]
        assert not port_is_free("::1", port)
    assert port_is_free("::1", port)


def test_foreign_address_is_not_free() -> None:
    """An address of another machine is not free."""
    assert not port_is_free("192.0.2.1", 3000)


async def test_each_attempt_is_told(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Each attempt to reach what is away is told."""
    monkeypatch.setattr(startup, "_PAUSE", 0)
    caplog.set_level(logging.INFO, "app.runtime")
    faults: list[Exception] = [PartitionsWithoutLeader("no leader for bulk partition 3")] * 3

    async def step() -> None:
        if faults:
            raise faults.pop()

    await _until_ready("Kafka", step, SimpleNamespace(should_yield=lambda: False))  # type: ignore[arg-type]
    assert [record.getMessage() for record in caplog.records] == [
        *["waiting for Kafka: no leader for bulk partition 3"] * 3,
        "Kafka is there",
    ]


@pytest.mark.parametrize("fault", [WrongPartitions("a"), UnfitRedis("b")], ids=repr)
async def test_hopeless_wait_ends_the_start(fault: Exception) -> None:
    """What no waiting can mend ends the start."""

    async def step() -> None:
        raise fault

    with pytest.raises(type(fault)):
        await _until_ready("it", step, SimpleNamespace(should_yield=lambda: False))  # type: ignore[arg-type]


def test_start_imports_what_is_needed() -> None:
    """A worker imports nothing for what few of them do, builds no schema of answers, and leaves the collector on."""
    script = (
        "import gc, json, sys; from app import app; from web.openapi.models import Action\n"
        "print(json.dumps([list(sys.modules), Action.__pydantic_complete__, gc.isenabled(), gc.get_freeze_count()]))"
    )
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, cwd=ROOT)
    modules, built, collecting, frozen = json.loads(told.stdout)
    assert not {"jwt", "charset_normalizer", "elasticsearch", "aiobotocore"} & set(modules)
    assert not built and collecting
    assert frozen > 50_000, "the collector walks through all modules whenever it looks at everything"
