"""What a worker counts for Prometheus. No label ever holds what a client wrote: their number is fixed."""

from __future__ import annotations

from prometheus_client import Counter, Histogram, disable_created_metrics

# When a figure was first counted is of no use, and doubles the page.
disable_created_metrics()  # type: ignore[no-untyped-call]

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
REPLAYS = Counter("bulk_idempotent_replays", "Uploads answered with the action that their Idempotency-Key had made")

STREAM_CHUNKS = Counter(
    "bulk_stream_chunks", "Chunks with rows that came over Kafka, by what became of them", ["outcome"]
)

# A figure that is there with 0 can be watched before it first moves.
for _class in ("uploads", "reads"):
    RATE_LIMITED.labels(_class)
    RATE_LIMITER_FAILURES.labels(_class)
for _limit in ("active_actions", "active_rows", "stored_bytes"):
    ACCOUNT_LIMITED.labels(_limit)
