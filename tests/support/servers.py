"""A Redis started by hand, for what the stack's own must not be, and an address that leads to one server or another."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from stack.addresses import free_port
from tests.support.waiting import wait_for


@contextmanager
def redis_server(directory: Path, *options: str, password: str | None = None) -> Iterator[str]:
    """A Redis with these options, in memory; its address (with the password, if there is one)."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("no redis-server")
    port = free_port()
    directory.mkdir(parents=True, exist_ok=True)
    arguments = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(directory), *options]
    if password is not None:
        arguments += ["--requirepass", password]
    if "--cluster-enabled" in options:
        # By default 10,000 above its port, where any client's own port may be.
        arguments += ["--cluster-port", str(free_port())]
    process = subprocess.Popen([program, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    uri = f"redis://{f':{password}@' if password else ''}127.0.0.1:{port}/0"

    def answers() -> bool:
        assert process.poll() is None, "redis-server has ended"
        with redis.Redis.from_url(uri) as client, contextlib.suppress(redis.ConnectionError):
            return bool(client.ping())
        return False

    try:
        wait_for(answers, "Redis answers")
        yield uri
    finally:
        process.kill()
        process.wait()


class Forwarder:
    """An address whose server can be exchanged, as behind a name whose entry changes: old connections stay."""

    def __init__(self, target: int) -> None:
        self.target = target
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self._open: list[socket.socket] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._server.accept()
                try:
                    server = socket.create_connection(("127.0.0.1", self.target))
                except OSError:
                    client.close()
                    continue
                self._open += [client, server]
                for source, sink in ((client, server), (server, client)):
                    threading.Thread(target=self._copy, args=(source, sink), daemon=True).start()

    @staticmethod
    def _copy(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        for one in (self._server, *self._open):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()


@contextmanager
def forwarder(target: int) -> Iterator[Forwarder]:
    """A forwarder to a port of this machine."""
    one = Forwarder(target)
    try:
        yield one
    finally:
        one.close()


def promote(primary: str, replica: str) -> None:
    """Swap the roles of two servers, as a failover does; nothing that was acknowledged is lost."""
    with redis.Redis.from_url(primary) as old, redis.Redis.from_url(replica) as new:
        old.wait(1, 10_000)
        new.replicaof("NO", "ONE")
        host, port = new.connection_pool.connection_kwargs["host"], new.connection_pool.connection_kwargs["port"]
        old.replicaof(host, port)


def follow(primary: str, replica: str) -> None:
    """Make one server the replica of another, and wait until it has everything."""
    with redis.Redis.from_url(primary) as old, redis.Redis.from_url(replica) as new:
        new.replicaof(old.connection_pool.connection_kwargs["host"], old.connection_pool.connection_kwargs["port"])
        wait_for(lambda: new.info("replication")["master_link_status"] == "up", "the replica follows")


def port_of(uri: str) -> int:
    """The port of an address."""
    return int(uri.rpartition(":")[2].partition("/")[0])
