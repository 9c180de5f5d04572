"""What a worker counts for Prometheus. No label ever holds what a client wrote: their number is fixed.

``docs/reference/metrics.md`` says of each metric what it tells.
"""

from __future__ import annotations

import math

from prometheus_client import Counter, Gauge, Histogram, disable_created_metrics

from app.domain.dead_letters import Kind
from app.domain.entities import find_entity
from app.domain.outcomes import Counts
from app.observability.read_gauge import ReadGauge

# When a figure was first counted is of no use, and doubles the page.
disable_created_metrics()  # type: ignore[no-untyped-call]

#: What an entity is called that nobody has declared.
OTHER = "other"
#: The steps of a chunk, in their order.
STAGES = ("read", "parse", "claim", "compare", "write", "ledger")

# Requests

REQUESTS = Counter("bulk_http_requests", "Requests, by route, method and status", ["route", "method", "status"])
REQUEST_SECONDS = Histogram(
    "bulk_http_request_seconds",
    "Seconds from the head of a request to its answer, by route and method",
    ["route", "method"],
    buckets=(0.005, 0.025, 0.1, 0.5, 2.5, 10, 60),
)
RATE_LIMITED = Counter("bulk_rate_limit_refusals", "Requests refused by a rate limit, by its class", ["class"])
RATE_LIMITER_FAILURES = Counter(
    "bulk_rate_limiter_failures", "Requests whose rate limit could not be told, because Redis is away", ["class"]
)
ACCOUNT_LIMITED = Counter("bulk_account_limit_refusals", "Uploads refused by a limit of their account", ["limit"])
LIMITS_HIT = Counter("bulk_limits_hit", "Requests refused by a limit of any kind, by the code of the error", ["code"])
REPLAYS = Counter("bulk_idempotent_replays", "Uploads answered with the action that their Idempotency-Key had made")
UPLOAD_BYTES = Counter("bulk_upload_bytes", "Bytes of uploads, as they came")

# Actions and rows

DISPATCH_DELAY = Histogram(
    "bulk_dispatch_delay_seconds",
    "Seconds from when an action should have begun until it did",
    buckets=(0.1, 0.5, 1, 5, 15, 60, 300),
)
OLDEST_WAITING = Gauge(
    "bulk_oldest_waiting_action_seconds",
    "Seconds for which the oldest action of a status has made no progress; 0: none waits",
    ["status"],
)
ACTIONS_ENDED = Counter("bulk_actions_ended", "Actions that have ended, by status and entity", ["status", "entity"])
ROWS = Counter("bulk_rows", "Rows with an outcome, by entity", ["entity", "outcome"])

# Chunks

STREAM_CHUNKS = Counter(
    "bulk_stream_chunks", "Chunks with rows that came over Kafka, by what became of them", ["outcome"]
)
FORGED_CHUNKS = Counter("bulk_forged_chunks", "Messages of chunks that none of our workers has made")
STAGE_SECONDS = Histogram(
    "bulk_chunk_stage_seconds",
    "Seconds that a chunk has spent in a stage",
    ["stage"],
    buckets=(0.002, 0.01, 0.05, 0.2, 1, 5, 20),
)
CHUNKS_IN_HAND = Gauge("bulk_chunks_in_hand", "Chunks that are being run now")
WINDOW_USE = Histogram(
    "bulk_window_use_ratio",
    "Chunks of an action that were asked for and have no result, per FEED_WINDOW, at each result",
    buckets=(0.25, 0.5, 0.75, 1, 1.25, 1.5),
)
RETRIES = Counter("bulk_retries", "Messages that are tried again, by agent and where they wait", ["agent", "tier"])
DEAD_LETTERS = Counter("bulk_dead_letters", "Dead letters that were stored, by kind", ["kind"])
REISSUES = Counter("bulk_watchdog_reissues", "Chunks that the watchdog has sent again")

# Kafka

CONSUMER_LAG = ReadGauge(
    "bulk_consumer_lag_messages",
    "Messages of a partition of this worker that are not done yet",
    ("topic", "partition"),
)
KAFKA_SEND_SECONDS = Histogram(
    "bulk_kafka_send_seconds",
    "Seconds until the broker has acknowledged a message",
    buckets=(0.005, 0.025, 0.1, 0.5, 2.5, 10),
)
KAFKA_SEND_FAILURES = Counter("bulk_kafka_send_failures", "Messages that the broker has not acknowledged")
KAFKA_COMMIT_SECONDS = Histogram(
    "bulk_kafka_commit_seconds", "Seconds that a commit of offsets takes", buckets=(0.005, 0.025, 0.1, 0.5, 2.5, 10)
)
KAFKA_REBALANCES = Counter("bulk_kafka_rebalances", "Rebalances in which this worker has taken part")
BUFFER_FULL = Counter("bulk_topic_buffer_full", "Times that a full buffer of an agent held up the others", ["topic"])

# The index of events

INDEX_BACKLOG = Gauge("bulk_index_backlog_actions", "Actions of which something is not in the index yet; up to 10,000")
INDEX_OLDEST = Gauge("bulk_index_backlog_seconds", "Seconds for which the first of these waits; 0: none waits")
INDEXED_EVENTS = Counter("bulk_indexed_events", "Events that the index has taken")
INDEX_REJECTED = Counter("bulk_index_rejected_events", "Events that the index has refused for what is in them")
INDEX_SECONDS = Histogram(
    "bulk_index_write_seconds", "Seconds that the index took for a batch of events", buckets=(0.05, 0.2, 1, 5, 10, 30)
)

# The worker, and what it depends on

EVENT_LOOP_LAG = Histogram(
    "bulk_event_loop_lag_seconds",
    "Seconds by which the event loop is late, measured four times a second",
    buckets=(0.005, 0.025, 0.1, 0.25, 0.5, 1, 5),
)
DEPENDENCY_UP = Gauge("bulk_dependency_up", "Whether a dependency takes writes: 1, or 0", ["dependency"])
DEPENDENCY_SECONDS = Histogram(
    "bulk_dependency_probe_seconds",
    "Seconds that a small write to a dependency takes",
    ["dependency"],
    buckets=(0.002, 0.01, 0.05, 0.2, 1, 3),
)
STORAGE_FREE = Gauge("bulk_storage_free_bytes", "Room on the disk of the storage; +Inf where it has no end")
STORAGE_FREE.set(math.nan)


def entity_label(name: str) -> str:
    """Return what a metric calls an entity: a message may name any."""
    entity = find_entity(name)
    return OTHER if entity is None else entity.name


def sum_of(metric: Counter | Gauge) -> float:
    """Return the sum of a metric over all its labels."""
    return sum(sample.value for family in metric.collect() for sample in family.samples)


def count_rows(entity: str, counts: Counts) -> None:
    """Count the rows of a chunk by their outcomes."""
    label = entity_label(entity)
    outcomes = {
        "created": counts.created,
        "updated": counts.updated,
        "unchanged": counts.unchanged,
        "deleted": counts.deleted,
        "failed": counts.failure,
        "duplicate": counts.duplicate,
    }
    for outcome, number in outcomes.items():
        # With 0 as well: a figure that is there can be watched before it first moves.
        ROWS.labels(label, outcome).inc(number)


# Likewise for all labels that are known before anything happens.
for _class in ("uploads", "reads"):
    RATE_LIMITED.labels(_class)
    RATE_LIMITER_FAILURES.labels(_class)
for _limit in ("active_actions", "active_rows", "stored_bytes"):
    ACCOUNT_LIMITED.labels(_limit)
for _kind in Kind:
    DEAD_LETTERS.labels(_kind)
for _stage in STAGES:
    STAGE_SECONDS.labels(_stage)
