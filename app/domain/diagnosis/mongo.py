"""What is right and wrong with a MongoDB."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.domain.diagnosis.findings import Finding, ok, problem, warning

#: The version from which on a write without more is acknowledged by the majority of a replica set.
_MAJORITY_BY_DEFAULT = (5, 0)


@dataclass(frozen=True, slots=True)
class MongoFacts:
    """What a database says of itself.

    Attributes:
        version: as it says it.
        wire_versions: the oldest and the newest form of the protocol that it speaks.
        ours: the same of the driver.
        stand_in: whether it is the server that the launcher brings for development.
        replica_set: its name; None: it stands alone.
        router: whether it is the router of a sharded cluster.
        acknowledged_by: the ``w`` that the URI asks for; None: it asks for none.
    """

    version: str
    wire_versions: tuple[int, int]
    ours: tuple[int, int]
    stand_in: bool
    replica_set: str | None
    router: bool
    acknowledged_by: int | str | None


def judge_server(facts: MongoFacts) -> Finding:
    """Judge what kind of server it is."""
    if facts.stand_in:
        return warning(
            f"it is the stand-in for development, which calls itself version {facts.version}",
            "use a MongoDB of your own for what must stay",
        )
    return ok(f"version {facts.version}")


def judge_protocol(facts: MongoFacts) -> Finding:
    """Judge whether it speaks the protocol of the driver."""
    oldest, newest = facts.wire_versions
    told = f"speaks wire version {oldest} to {newest}, the driver {facts.ours[0]} to {facts.ours[1]}"
    if newest < facts.ours[0]:
        return problem(told, "use a newer server")
    if oldest > facts.ours[1]:
        return problem(told, "use a newer driver (PyMongo)")
    return ok(told)


def judge_replica_set(facts: MongoFacts) -> Finding:
    """Judge whether what it has outlives a machine."""
    if facts.router:
        return ok("a sharded cluster")
    if facts.replica_set is None:
        return warning(
            "it stands alone: what it has goes with its disk, and nobody takes over",
            "run a replica set of three, and name it in MONGO_DB_URI (replicaSet=…)",
        )
    return ok(f"replica set {facts.replica_set}")


def judge_write_concern(facts: MongoFacts) -> Finding:
    """Judge whether what was acknowledged can still be rolled back."""
    alone = facts.replica_set is None and not facts.router
    if alone:
        return ok("of a server alone")
    if facts.acknowledged_by is None:
        if _version(facts.version) >= _MAJORITY_BY_DEFAULT:
            return ok("the server's, which is majority unless it was changed")
        return warning("one server acknowledges a write, and it may be rolled back", "add w=majority to MONGO_DB_URI")
    if facts.acknowledged_by in (1, "1"):
        return warning("w=1: a write that was acknowledged may be rolled back", "write w=majority in MONGO_DB_URI")
    return ok(f"w={facts.acknowledged_by}")


def judge_indexes(missing: Mapping[str, Sequence[str]]) -> Finding:
    """Judge whether the indexes are there; ``missing``: the names of those that are not, by collection."""
    lacking = [f"{collection}.{name}" for collection, names in missing.items() for name in names]
    if lacking:
        return warning(f"without {', '.join(lacking)}", "start a worker, which makes them")
    return ok("all are there")


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) if part.isdecimal() else 0 for part in text.split(".")[:2])
