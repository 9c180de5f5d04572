"""What a service is to the launcher. A service is declared in `services.py`; nothing else knows its name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from stack.addresses import LOOPBACK, Address
from stack.downloads import Download
from stack.errors import Cancellation
from stack.tools import Tool


@dataclass(frozen=True)
class Options:
    """What a user may choose about the services."""

    kafka_heap: str = "512m"
    mongo_heap: str = "1g"
    mongo_in_memory: bool = False
    """Faster, and empty after every start. Without effect where a real mongod is used."""
    mongo_for_minutes: bool = False
    """Its JVM compiles quickly, not well: half the processor time for the first 100,000 rows, twice for scans later."""
    workers: tuple[int, ...] = (3000,)
    """Ports of the workers, to which the gateway sends requests and whose figures Prometheus collects."""
    gateway_limits: Path | None = None
    """Instead of deploy/nginx/limits.conf."""
    gateway_tls: Path | None = None
    """A directory with certificate.pem and key.pem, to be served at a second port."""
    scrape_seconds: int = 15
    """How often Prometheus asks."""
    elasticsearch_heap: str = "512m"


@dataclass(frozen=True)
class Place:
    """Where one service runs: its own directory (kept between runs), its download, its ports."""

    directory: Path
    library: Path | None
    port: int
    extra_ports: Mapping[str, int]
    options: Options
    cancellation: Cancellation
    host: str = LOOPBACK

    @property
    def log(self) -> Path:
        """Where the service's output goes."""
        return self.directory / "log"


def _nothing(_: Place) -> None:
    pass


@dataclass(frozen=True)
class Program:
    """One way to run a service."""

    tools: tuple[Tool, ...]
    command: Callable[[Place], list[str]]
    """The command line; it must contain the place's directory, by which a leftover is recognised."""
    download: Download | None = None
    prepare: Callable[[Place], None] = _nothing
    """Runs before every start: write the configuration, format the storage when it is new."""
    extra_ports: tuple[str, ...] = ()
    """Names of ports it needs besides the one that clients use."""
    environment: Mapping[str, str] = field(default_factory=dict)
    user: str | None = None
    """Run as this user when the launcher runs as root, for programs that refuse root; owns the directory then."""
    ready_within: float = 120.0
    stop_within: float = 20.0

    def present(self) -> bool:
        """Tell whether the tools it takes are on this machine."""
        return all(tool.present() for tool in self.tools)

    def all_tools(self) -> tuple[Tool, ...]:
        """Return the tools it takes to run and to download."""
        return tuple(dict.fromkeys((*self.tools, *(self.download.tools if self.download else ()))))


@dataclass(frozen=True)
class Service:
    """A service: how clients find it, how one knows that it answers, and the ways to run it."""

    name: str
    variable: str
    """The environment variable with its URI: read to find it, set for those who use it."""
    default: str
    """The URI when nothing else is said."""
    probe: Callable[[Address, float], None]
    """Raises NotReady unless the service answers its protocol within so many seconds."""
    programs: tuple[Program, ...]
    """In order of preference; the last is the one that we can always get."""
    access: Mapping[str, str] = field(default_factory=dict)
    """More variables for those who use it, beside its address: credentials and the like."""

    def program(self) -> Program:
        """Return the first program whose tools are here, else the last."""
        return next((program for program in self.programs if program.present()), self.programs[-1])
