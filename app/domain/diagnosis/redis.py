"""What is right and wrong with a Redis."""

from __future__ import annotations

from dataclasses import dataclass

from app.domain.diagnosis.findings import Finding, ok, problem, size, warning

#: The oldest major version that is still mended by those who make it.
OLDEST_VERSION = (6, 2)
#: Part of its memory from which on it is nearly full.
_NEARLY_FULL = 0.9


@dataclass(frozen=True, slots=True)
class RedisFacts:
    """What a Redis says of itself.

    Attributes:
        version: as it says it.
        cluster: whether it is one part of a cluster.
        primary: whether it takes writes of clients.
        policy: what it does when its memory is full.
        max_memory: bytes; 0: no limit.
        used_memory: bytes.
        append_only: whether each write goes to its file.
        write_failed: whether its last attempt to save failed.
    """

    version: str
    cluster: bool
    primary: bool
    policy: str
    max_memory: int
    used_memory: int
    append_only: bool
    write_failed: bool


def evicts(policy: str, max_memory: int) -> bool:
    """Tell whether it forgets keys when it is full; ``max_memory`` is in bytes, 0: it has no limit."""
    return max_memory > 0 and policy != "noeviction"


def judge_server(facts: RedisFacts) -> Finding:
    """Judge what kind of server it is."""
    if facts.cluster:
        return problem("it is in cluster mode", "point REDIS_URI to a Redis without it")
    if not facts.primary:
        return problem("it is a replica", "point REDIS_URI to the primary")
    if _version(facts.version) < OLDEST_VERSION:
        return warning(f"version {facts.version} is not maintained any more", "use Redis 7")
    return ok(f"version {facts.version}")


def judge_eviction(facts: RedisFacts) -> Finding:
    """Judge what becomes of keys when it is full: claims that are gone let duplicates through."""
    advice = "set maxmemory-policy noeviction, in redis.conf too"
    if evicts(facts.policy, facts.max_memory):
        return problem(f"it forgets keys when it is full: maxmemory-policy is {facts.policy}", advice)
    if facts.policy != "noeviction":
        return warning(f"maxmemory-policy is {facts.policy}; without maxmemory it has no effect yet", advice)
    return ok("maxmemory-policy is noeviction")


def judge_memory(facts: RedisFacts) -> Finding:
    """Judge how much room there is."""
    if not facts.max_memory:
        return ok(f"uses {size(facts.used_memory)}, without a limit")
    told = f"uses {size(facts.used_memory)} of {size(facts.max_memory)}"
    if facts.used_memory >= _NEARLY_FULL * facts.max_memory:
        return warning(told, "raise maxmemory, or lower DEDUPE_TTL: chunks wait while it is full")
    return ok(told)


def judge_persistence(facts: RedisFacts) -> Finding:
    """Judge whether what it knows outlives it."""
    if facts.write_failed:
        return problem("its last attempt to save failed", "look at its log, and make room on its disk")
    if not facts.append_only:
        return warning(
            "appendonly is off: when it starts again, claims of running actions are gone until they are rebuilt",
            "set appendonly yes, in redis.conf too",
        )
    return ok("appendonly is on")


def _version(text: str) -> tuple[int, ...]:
    parts = text.split(".")[:2]
    return tuple(int(part) if part.isdecimal() else 0 for part in parts)
