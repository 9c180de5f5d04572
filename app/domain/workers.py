"""What a worker tells the others of itself, and what they make of it when it tells nothing any more."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from app.domain.dependencies import DependencyState

#: A worker is lost that has not announced itself for so many of its intervals: one may be late, two are not.
_MISSED = 3


class WorkerState(StrEnum):
    """How a worker is: what its ``/health`` and ``/ready`` say, in a word."""

    #: ``/health`` and ``/ready`` say UP.
    READY = "READY"
    #: Something that it depends on is away.
    NOT_READY = "NOT_READY"
    #: It recovers its tables, or partitions change hands.
    STARTING = "STARTING"
    #: ``/health`` says DOWN: it is to be started again.
    STUCK = "STUCK"
    #: It was told to stop, and finishes what it has in hand.
    STOPPING = "STOPPING"
    #: It has not announced itself for a while, and has not said that it stops.
    LOST = "LOST"


def state_of(*, stopping: bool, stuck: bool, recovered: bool, usable: bool) -> WorkerState:
    """Return the state of a worker that lives.

    Args:
        stopping: Whether it was told to stop.
        stuck: Whether its consumer is stuck.
        recovered: Whether it has its partitions, and their tables.
        usable: Whether all that the rows depend on can be used.
    """
    if stopping:
        return WorkerState.STOPPING
    if stuck:
        return WorkerState.STUCK
    if not recovered:
        return WorkerState.STARTING
    return WorkerState.READY if usable else WorkerState.NOT_READY


def patience_of(interval: float) -> timedelta:
    """Return how long nothing is heard of a worker before it is lost, of its interval in seconds."""
    return timedelta(seconds=_MISSED * interval)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerReport:
    """What a worker tells of itself.

    Attributes:
        worker_id: The process: whoever is started again has another.
        host: The name of its machine, or of its container.
        pid: Its process there.
        port: Where it serves the API.
        version: Of the platform.
        started_at: When it was started.
        interval: Seconds between two of its announcements.
        state: How it is.
        leader: Whether it runs what runs once: the dispatcher, the clean-up.
        partitions: How many partitions it has, by topic; empty while they change hands.
        chunks_in_hand: Chunks that it is running.
        rows_per_second: Rows that it has run lately, as a mean in which what is long past hardly counts.
        memory_bytes: Its resident size; None where the system does not tell.
        open_uploads: Uploads that it is taking.
        open_streams: Streams of events that it is sending.
        open_downloads: Results that it is sending.
        required: What the rows depend on; empty before it was first asked.
        optional: What they do not.
    """

    worker_id: str
    host: str
    pid: int
    port: int
    version: str
    started_at: datetime
    interval: float
    state: WorkerState
    leader: bool
    partitions: Mapping[str, int]
    chunks_in_hand: int
    rows_per_second: float
    memory_bytes: int | None
    open_uploads: int
    open_streams: int
    open_downloads: int
    required: tuple[DependencyState, ...]
    optional: tuple[DependencyState, ...]

    @property
    def patience(self) -> timedelta:
        """How long nothing is heard of it before it is lost."""
        return patience_of(self.interval)


@dataclass(frozen=True, slots=True)
class SeenWorker:
    """A worker, and when it was last heard of."""

    report: WorkerReport
    seen_at: datetime

    def state_at(self, now: datetime) -> WorkerState:
        """Return its state: what it said itself, unless that is too long ago."""
        return WorkerState.LOST if now - self.seen_at > self.report.patience else self.report.state


def in_order(workers: Iterable[SeenWorker]) -> tuple[SeenWorker, ...]:
    """Return workers in the order in which they were started."""
    return tuple(sorted(workers, key=lambda one: (one.report.started_at, one.report.worker_id)))


@dataclass(frozen=True, slots=True)
class Roll:
    """All workers that are known.

    Attributes:
        workers: In the order in which they were started.
        at: The time by which they were seen, of one clock for all.
        complete: Whether the others are known. If not, some may be missing, and some that live may be shown as lost.
    """

    workers: tuple[SeenWorker, ...]
    at: datetime
    complete: bool = True
