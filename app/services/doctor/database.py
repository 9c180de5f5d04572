"""What is looked at of the database."""

from __future__ import annotations

import time

from app.adapters.mongo import Store
from app.domain.diagnosis import mongo
from app.domain.diagnosis.clocks import judge_clock
from app.domain.diagnosis.findings import Finding, ok
from app.services.doctor.check import Check

_REACH = "start MongoDB, or correct MONGO_DB_URI"
_MAY_WRITE = "give its user the role readWrite on the database; it needs a primary with room on its disk"


def database_checks(store: Store) -> list[Check]:
    """Return the checks of a database."""
    inspection = store.inspection

    async def connects() -> Finding:
        began = time.monotonic()
        await store.check()
        return ok(f"answers within {(time.monotonic() - began) * 1000:.0f} ms")

    async def writes() -> Finding:
        await store.check_write()
        return ok("takes writes")

    async def server() -> Finding:
        return mongo.judge_server(await inspection.facts())

    async def protocol() -> Finding:
        return mongo.judge_protocol(await inspection.facts())

    async def replica_set() -> Finding:
        return mongo.judge_replica_set(await inspection.facts())

    async def write_concern() -> Finding:
        return mongo.judge_write_concern(await inspection.facts())

    async def indexes() -> Finding:
        return mongo.judge_indexes(await inspection.missing_indexes())

    async def clock() -> Finding:
        before = time.time()
        theirs = await inspection.time()
        return judge_clock(theirs, before, time.time(), precision=0.001)

    return [
        Check("MongoDB", connects, _REACH),
        Check("MongoDB server", server),
        Check("MongoDB protocol", protocol),
        Check("MongoDB replica set", replica_set),
        Check("MongoDB write concern", write_concern),
        Check("MongoDB permissions", writes, _MAY_WRITE),
        Check("MongoDB indexes", indexes, "give its user the role readWrite on the database"),
        Check("MongoDB clock", clock),
    ]
