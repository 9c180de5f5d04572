"""What is right and wrong with a Kafka and its topics."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from app.domain.diagnosis.findings import Finding, ok, problem, warning

_MOST_NAMES = 3


@dataclass(frozen=True, slots=True)
class TopicFacts:
    """What is seen of a topic.

    Attributes:
        partitions: how many it has.
        leaderless: those that nobody can read or write.
        replicas: of the partition that has fewest.
        in_sync: replicas that are up to date, of the partition that has fewest.
    """

    partitions: int
    leaderless: int
    replicas: int
    in_sync: int


@dataclass(frozen=True, slots=True)
class KafkaFacts:
    """What is seen of a cluster.

    Attributes:
        brokers: how many there are.
        topics: those of the platform that are there.
        forbidden: the names of topics and groups that this login may not use.
        auto_create: whether a topic is made when somebody names it; None: this login may not see that.
    """

    brokers: int
    topics: Mapping[str, TopicFacts] = field(default_factory=dict)
    forbidden: Collection[str] = ()
    auto_create: bool | None = None


def judge_access(facts: KafkaFacts, prefix: str) -> Finding:
    """Judge what the login may do, as far as that shows without writing anything."""
    if facts.forbidden:
        return problem(
            f"this login may not use {_some(facts.forbidden)}",
            f"allow create, describe, read and write on topics with the prefix {prefix}, and read on the groups",
        )
    return ok("this login sees the topics and the consumer groups")


def judge_topics(facts: KafkaFacts, expected: Collection[str], partitions: int) -> Finding:
    """Judge whether the topics are there, each with its partitions.

    Args:
        facts: what is seen.
        expected: their names.
        partitions: TOPIC_PARTITIONS.
    """
    there = {name: facts.topics[name] for name in expected if name in facts.topics}
    if not there:
        return warning("no topics yet", "start a worker, which makes them")
    if missing := [name for name in expected if name not in there]:
        return problem(f"missing: {_some(missing)}", "start the workers again, which make them")
    if other := [f"{name} ({topic.partitions})" for name, topic in there.items() if topic.partitions != partitions]:
        return problem(
            f"TOPIC_PARTITIONS is {partitions}, but not of {_some(other)}",
            "set TOPIC_PARTITIONS to what the topics have: it cannot be changed later",
        )
    if leaderless := [name for name, topic in there.items() if topic.leaderless]:
        return problem(f"partitions without a leader: {_some(leaderless)}", "start the brokers that are away")
    return ok(f"{len(there)} topics with {partitions} partitions each")


def judge_replication(facts: KafkaFacts, expected: Collection[str]) -> Finding:
    """Judge whether messages outlive a broker."""
    there = {name: facts.topics[name] for name in expected if name in facts.topics}
    if behind := [name for name, topic in there.items() if topic.in_sync < topic.replicas]:
        return warning(f"replicas are behind or away: {_some(behind)}", "look at the brokers")
    if facts.brokers == 1:
        return warning("one broker, one replica", "run three brokers, with TOPIC_REPLICATION=3 before the first start")
    if single := [name for name, topic in there.items() if topic.replicas < 2]:
        return warning(
            f"one replica only: {_some(single)}",
            "add replicas (kafka-reassign-partitions), and set TOPIC_REPLICATION=3 for new topics",
        )
    return ok(f"{facts.brokers} brokers")


def judge_auto_create(facts: KafkaFacts) -> Finding:
    """Judge whether a mistyped name makes a topic."""
    if facts.auto_create is None:
        return ok("this login may not see whether topics are made by naming them")
    if facts.auto_create:
        return warning(
            "a topic is made when somebody names it, with other partitions than ours",
            "set auto.create.topics.enable=false on the brokers",
        )
    return ok("topics are made on purpose only")


def _some(names: Collection[str]) -> str:
    shown = sorted(names)[:_MOST_NAMES]
    rest = len(names) - len(shown)
    return ", ".join(shown) + (f" and {rest} more" if rest else "")
