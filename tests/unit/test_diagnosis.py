"""The rules of the doctor: what was found, and what to do about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from app.domain.diagnosis import kafka, mongo, redis
from app.domain.diagnosis.clocks import judge_clock
from app.domain.diagnosis.disks import judge_disk
from app.domain.diagnosis.findings import Finding, Grade
from app.domain.diagnosis.kafka import KafkaFacts, TopicFacts
from app.domain.diagnosis.mongo import MongoFacts
from app.domain.diagnosis.redis import RedisFacts

GIB = 1024**3
REDIS = RedisFacts("7.0.15", False, True, "noeviction", 0, 1024**2, True, False)
MONGO = MongoFacts("7.0.14", (0, 21), (7, 29), False, "rs0", False, None)
TOPIC = TopicFacts(partitions=8, leaderless=0, replicas=3, in_sync=3)
NAMES = ["bulk", "bulk.feed"]
KAFKA = KafkaFacts(3, dict.fromkeys(NAMES, TOPIC), (), False)


def check(finding: Finding, grade: str, word: str) -> None:
    assert finding.grade == grade, finding
    assert word in finding.text
    assert bool(finding.advice) == (grade != Grade.OK)
    assert (finding.text + finding.advice).isprintable()


Rule = Callable[[Any], Finding]


@pytest.mark.parametrize(
    ("rule", "changes", "grade", "word"),
    [
        (redis.judge_server, {}, "ok", "7.0.15"),
        (redis.judge_server, {"version": "5.0.7"}, "warning", "5.0.7"),
        (redis.judge_server, {"cluster": True}, "problem", "cluster"),
        (redis.judge_server, {"primary": False}, "problem", "replica"),
        (redis.judge_eviction, {}, "ok", "noeviction"),
        (redis.judge_eviction, {"policy": "allkeys-lru"}, "warning", "allkeys-lru"),
        (redis.judge_eviction, {"policy": "allkeys-lru", "max_memory": GIB}, "problem", "allkeys-lru"),
        (redis.judge_memory, {}, "ok", "1.0 MiB"),
        (redis.judge_memory, {"max_memory": GIB}, "ok", "of 1.0 GiB"),
        (redis.judge_memory, {"max_memory": GIB, "used_memory": GIB - 1}, "warning", "of 1.0 GiB"),
        (redis.judge_persistence, {}, "ok", "appendonly"),
        (redis.judge_persistence, {"append_only": False}, "warning", "appendonly"),
        (redis.judge_persistence, {"write_failed": True}, "problem", "failed"),
    ],
)
def test_redis_is_judged(rule: Rule, changes: dict[str, Any], grade: str, word: str) -> None:
    check(rule(replace(REDIS, **changes)), grade, word)


@pytest.mark.parametrize(
    ("rule", "changes", "grade", "word"),
    [
        (mongo.judge_server, {}, "ok", "7.0.14"),
        (mongo.judge_server, {"stand_in": True}, "warning", "stand-in"),
        (mongo.judge_protocol, {}, "ok", "21"),
        (mongo.judge_protocol, {"wire_versions": (0, 6)}, "problem", "6"),
        (mongo.judge_protocol, {"wire_versions": (30, 31)}, "problem", "30"),
        (mongo.judge_replica_set, {}, "ok", "rs0"),
        (mongo.judge_replica_set, {"replica_set": None, "router": True}, "ok", "sharded"),
        (mongo.judge_replica_set, {"replica_set": None}, "warning", "alone"),
        (mongo.judge_write_concern, {}, "ok", "majority"),
        (mongo.judge_write_concern, {"version": "4.4.1"}, "warning", "rolled back"),
        (mongo.judge_write_concern, {"acknowledged_by": 1}, "warning", "w=1"),
        (mongo.judge_write_concern, {"acknowledged_by": "majority"}, "ok", "w=majority"),
        (mongo.judge_write_concern, {"acknowledged_by": 1, "replica_set": None}, "ok", "alone"),
    ],
)
def test_mongodb_is_judged(rule: Rule, changes: dict[str, Any], grade: str, word: str) -> None:
    check(rule(replace(MONGO, **changes)), grade, word)


def test_missing_indexes_are_named() -> None:
    check(mongo.judge_indexes({}), "ok", "all")
    check(mongo.judge_indexes({"dead_letters": ["lookAt_1"]}), "warning", "dead_letters.lookAt_1")


def topics(**changes: Any) -> KafkaFacts:
    return replace(KAFKA, topics={"bulk": TOPIC, "bulk.feed": replace(TOPIC, **changes)})


@pytest.mark.parametrize(
    ("facts", "grade", "word"),
    [
        (KAFKA, "ok", "2 topics with 8 partitions"),
        (replace(KAFKA, topics={}), "warning", "no topics"),
        (replace(KAFKA, topics={"bulk": TOPIC}), "problem", "missing: bulk.feed"),
        (topics(partitions=4), "problem", "bulk.feed (4)"),
        (topics(leaderless=1), "problem", "without a leader: bulk.feed"),
    ],
)
def test_topics_are_judged(facts: KafkaFacts, grade: str, word: str) -> None:
    check(kafka.judge_topics(facts, NAMES, 8), grade, word)


@pytest.mark.parametrize(
    ("facts", "grade", "word"),
    [
        (KAFKA, "ok", "3 brokers"),
        (topics(in_sync=2), "warning", "bulk.feed"),
        (replace(topics(replicas=1, in_sync=1), brokers=1), "warning", "one broker"),
        (topics(replicas=1, in_sync=1), "warning", "one replica only: bulk.feed"),
    ],
)
def test_replication_is_judged(facts: KafkaFacts, grade: str, word: str) -> None:
    check(kafka.judge_replication(facts, NAMES), grade, word)


@pytest.mark.parametrize(("auto_create", "grade"), [(False, "ok"), (None, "ok"), (True, "warning")])
def test_auto_creation_is_judged(auto_create: bool | None, grade: str) -> None:
    check(kafka.judge_auto_create(replace(KAFKA, auto_create=auto_create)), grade, "topic")


def test_forbidden_topics_are_named() -> None:
    check(kafka.judge_access(KAFKA, "bulk"), "ok", "sees")
    many = [f"bulk.{number}" for number in range(5)]
    check(kafka.judge_access(replace(KAFKA, forbidden=many), "bulk"), "problem", "bulk.2 and 2 more")


@pytest.mark.parametrize(
    ("theirs", "precision", "grade", "word"),
    [
        (100.2, 0, "ok", "agrees"),
        (101.5, 0, "ok", "within 1.0 s"),
        (103.0, 0, "warning", "2.5 s ahead"),
        (97.0, 0, "warning", "3.0 s behind"),
        (97.0, 1, "ok", "within 2.0 s"),
    ],
)
def test_clock_is_judged(theirs: float, precision: float, grade: str, word: str) -> None:
    """What it says is from between question and answer, however long that took."""
    check(judge_clock(theirs, 100.0, 100.5, precision=precision), grade, word)


@pytest.mark.parametrize(
    ("free", "reserve", "grade"),
    [(50, 1, "ok"), (1, 1, "problem"), (0, 0, "problem"), (5, 1, "warning"), (5, 0, "warning"), (12, 1, "ok")],
)
def test_disk_is_judged(free: int, reserve: int, grade: str) -> None:
    """Of a large disk ten GiB beyond the reserve are enough."""
    check(judge_disk(free * GIB, 1000 * GIB, reserve * GIB, setting="DATA_DIR"), grade, "free")
