"""What is wrong with an Elasticsearch that is to search the events, and what to do."""

from __future__ import annotations

from dataclasses import dataclass

from app.domain.diagnosis.findings import Finding, ok, problem, warning

#: The major version whose client is used.
MAJOR = "8"


@dataclass(frozen=True, slots=True)
class IndexFacts:
    """What an Elasticsearch says of itself.

    Attributes:
        status: green, yellow or red.
        versions: Of its nodes, each once.
        template: The version of our template; None: it is not there.
        blocked: Our indices that take no writes.
    """

    status: str
    versions: tuple[str, ...]
    template: int | None
    blocked: tuple[str, ...]


def judge_version(facts: IndexFacts) -> Finding:
    """Judge what kind of server it is."""
    told = ", ".join(facts.versions) or "unknown"
    if any(version.partition(".")[0] != MAJOR for version in facts.versions):
        return problem(f"version {told}", f"use Elasticsearch {MAJOR}")
    return ok(f"version {told}")


def judge_health(facts: IndexFacts) -> Finding:
    """Judge whether it has all of its parts."""
    if facts.status == "red":
        return problem("its health is red: a part of an index is not there", "look at the log of its nodes")
    return ok(f"its health is {facts.status}")


def judge_template(facts: IndexFacts) -> Finding:
    """Judge whether indices get their mapping."""
    if facts.template is None:
        return warning("the index template is not there yet", "start a worker, whose login may manage index templates")
    return ok(f"the index template is there, in version {facts.template}")


def judge_writes(facts: IndexFacts) -> Finding:
    """Judge whether events can be written."""
    if facts.blocked:
        return problem(
            f"closed to writes: {', '.join(facts.blocked)}",
            "make room on the disks of its nodes; below the flood stage it opens them by itself",
        )
    return ok("takes writes")
