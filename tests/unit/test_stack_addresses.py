"""Addresses as people write them, and ports that nobody uses."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from stack.addresses import free_port, is_free, is_listening, local, parse
from stack.errors import StackError

KAFKA = "kafka://127.0.0.1:9092"
MONGO = "mongodb://127.0.0.1:27017/bulk"
REDIS = "redis://127.0.0.1:6379/0"


@pytest.mark.parametrize(
    ("uri", "default", "hosts", "startable"),
    [
        (KAFKA, KAFKA, (("127.0.0.1", 9092),), True),
        ("localhost:9092", KAFKA, (("localhost", 9092),), True),
        ("kafka://a:1;kafka://b:2", KAFKA, (("a", 1), ("b", 2)), False),
        ("a:1,b", KAFKA, (("a", 1), ("b", 9092)), False),
        ("redis.example:7000", REDIS, (("redis.example", 7000),), False),
        ("localhost", REDIS, (("localhost", 6379),), True),
        ("redis://:secret@localhost:6379/1", REDIS, (("localhost", 6379),), False),
        ("rediss://localhost:6379/1", REDIS, (("localhost", 6379),), False),
        ("mongodb://[::1]:27018/bulk?w=1", MONGO, (("::1", 27018),), True),
        ("mongodb://user:p%40ss@a:1,b:2/bulk?replicaSet=r", MONGO, (("a", 1), ("b", 2)), False),
        ("mongodb+srv://cluster.example/bulk", MONGO, (("cluster.example", 27017),), False),
    ],
)
def test_address_as_clients_read_it(
    uri: str, default: str, hosts: tuple[tuple[str, int], ...], startable: bool
) -> None:
    """An address is understood as clients understand it."""
    address = parse(uri, default=default, variable="X")
    assert address.hosts == hosts
    assert address.startable is startable
    assert address.uri.endswith(uri)


def test_missing_scheme_is_added() -> None:
    """A missing scheme is added for the clients."""
    assert parse("localhost:6379", default=REDIS, variable="REDIS_URI").uri == "redis://localhost:6379"


@pytest.mark.parametrize("uri", ["kafka://", "kafka://:9092", "kafka://host:99999", "two words:1", "host:port"])
def test_bad_address_names_variable(uri: str) -> None:
    """What is not an address is refused with the name of its variable."""
    with pytest.raises(StackError, match=r"KAFKA_BROKER=.* is not an address like kafka://"):
        parse(uri, default=KAFKA, variable="KAFKA_BROKER")


def test_local_address_keeps_path() -> None:
    """A local address keeps the path of the default."""
    assert local(MONGO, 20_001).uri == "mongodb://127.0.0.1:20001/bulk"
    assert local(KAFKA, 20_002).uri == "kafka://127.0.0.1:20002"


def test_port_in_use() -> None:
    """A port in use is neither free nor silent."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert not is_free(port)
        assert is_listening("127.0.0.1", port)
    assert is_free(port)
    assert not is_listening("127.0.0.1", port)


def test_free_ports() -> None:
    """Free ports differ, and stay clear of those of outgoing connections."""
    ports = [free_port() for _ in range(50)]
    assert len(set(ports)) == 50
    source = Path("/proc/sys/net/ipv4/ip_local_port_range")
    if source.exists():
        low, high = map(int, source.read_text().split())
        assert not [port for port in ports if low <= port <= high]


def test_port_is_given_once() -> None:
    """A port is given to one process only.

    A port that one launcher was given is not given to another, although nothing listens there yet.
    """
    port = free_port()
    narrow = f"import stack.addresses as a; a._range = lambda: ({port}, {port + 1}); a.free_port()"
    other = subprocess.run([sys.executable, "-c", narrow], capture_output=True, text=True, check=False)
    assert is_free(port)
    assert f"no free port between {port} and {port + 1}" in other.stderr


def test_ports_in_a_row_are_all_held() -> None:
    first = free_port(count=3)
    for port in range(first, first + 3):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other, pytest.raises(OSError, match="in use"):
            other.bind(("127.0.0.1", port))
