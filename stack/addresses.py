"""Addresses of services, and the choice of free ports."""

from __future__ import annotations

import ipaddress
import random
import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from stack.errors import StackError

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Address:
    """Where a service is, or shall be: the URI that clients get, and the hosts and ports in it."""

    uri: str
    hosts: tuple[tuple[str, int], ...]
    startable: bool
    """One plain address on this machine: if nothing answers there, a service of ours can."""

    @property
    def host(self) -> str:
        """The first host."""
        return self.hosts[0][0]

    @property
    def port(self) -> int:
        """The port of the first host."""
        return self.hosts[0][1]

    def __str__(self) -> str:
        return ",".join(f"{host}:{port}" for host, port in self.hosts)


def parse(uri: str, *, default: str, variable: str) -> Address:
    """Read a service's URI; what it leaves out (scheme, port) comes from the default URI.

    `host:port` without a scheme is accepted, and several hosts separated by `,` or `;`.
    Raises StackError when it cannot be understood.
    """
    scheme, _, rest = default.partition("://")
    default_port = int(rest.partition("/")[0].rpartition(":")[2])
    given = uri.strip()
    if "://" not in given:
        given = f"{scheme}://{given}"
    given_scheme, _, rest = given.partition("://")
    authority = re.split(r"[/?](?!/)", re.sub(r"[,;]\s*\w+://", ",", rest), maxsplit=1)[0]
    credentials, _, names = authority.rpartition("@")
    try:
        hosts = tuple(_host_and_port(name, default_port) for name in re.split(r"[,;]\s*", names) if name)
    except ValueError:
        hosts = ()
    if not hosts:
        raise StackError(f"{variable}={uri} is not an address like {default}")
    startable = given_scheme == scheme and len(hosts) == 1 and not credentials and _is_loopback(hosts[0][0])
    return Address(given, hosts, startable)


def local(default: str, port: int) -> Address:
    """Return the default URI of a service, at another port of this machine."""
    scheme, _, rest = default.partition("://")
    path = rest.partition("/")[2]
    uri = f"{scheme}://{LOOPBACK}:{port}" + (f"/{path}" if path else "")
    return Address(uri, ((LOOPBACK, port),), startable=True)


def is_listening(host: str, port: int, timeout: float = 1.0) -> bool:
    """Tell whether anything accepts connections there."""
    try:
        with socket.create_connection((host, port), timeout):
            return True
    except OSError:
        return False


def is_free(port: int) -> bool:
    """Tell whether a service could listen on this port of 127.0.0.1 now."""
    with socket.socket() as probe:
        # As servers do it: connections of the last run that still linger in TIME_WAIT do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def free_port(avoid: Iterable[int] = (), *, count: int = 1) -> int:
    """Choose a port that is free (the first of ``count`` in a row), and hold it for as long as this process lives.

    Held rather than looked at: between the choice and the start of a service, and while a service is down, the port is
    free, and another launcher could choose it too. Raises StackError when there is none.
    """
    low, high = _range()
    taken = set(avoid)
    for port in random.sample(range(low, high - count + 1), k=min(500, high - count + 1 - low)):
        wanted = range(port, port + count)
        if taken.isdisjoint(wanted) and all(map(is_free, wanted)) and all(map(_hold, wanted)):
            return port
    raise StackError(f"no free port between {low} and {high}")


def _hold(port: int) -> bool:
    """Hold a port by a UDP socket of the same number, which one process alone can have. No service of ours uses UDP."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as holder:
        try:
            holder.bind((LOOPBACK, port))
        except OSError:
            return False
        # Given to the process, with which it ends: nothing closes it before.
        holder.detach()
    return True


def _range() -> tuple[int, int]:
    # Below the ports the kernel hands out for outgoing connections: otherwise any client could sit on the port of
    # a service that is down for a moment, and a client that reconnects in a loop even connects to itself.
    low, high = 20_000, 32_768
    source = Path("/proc/sys/net/ipv4/ip_local_port_range")
    ephemeral = int(source.read_text().split()[0]) if source.exists() else high
    return (low, min(high, ephemeral)) if ephemeral > low + 1_000 else (5_000, max(ephemeral, 6_000))


def _host_and_port(name: str, default_port: int) -> tuple[str, int]:
    match = re.fullmatch(r"(?:\[(?P<v6>[0-9a-fA-F:.]+)\]|(?P<host>[^:\s]+))(?::(?P<port>\d{1,5}))?", name)
    if match is None:
        raise ValueError(name)
    port = int(match["port"] or default_port)
    if not 0 < port < 65_536:
        raise ValueError(name)
    return match["v6"] or match["host"], port


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
