"""A database that reports errors for the statements of a write, as a real server or a router does."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import pymongo
import pytest

from stack.samples import Sample
from tests.support.assertions import assert_verified
from tests.support.database_proxy import database_proxy
from tests.support.scenes import MakeScene
from tests.support.servers import port_of
from tests.support.waiting import wait_for

pytestmark = pytest.mark.timeout(600)

#: What a server reports for each statement of a write while it steps down, and a router of a shard that does.
STEP_DOWN: tuple[dict[str, Any], ...] = (
    {"code": 189, "codeName": "PrimarySteppedDown", "errmsg": "Not primary while writing to db.contacts"},
    {"code": 10107, "codeName": "NotWritablePrimary", "errmsg": "not primary"},
    {"code": 11602, "codeName": "InterruptedDueToReplStateChange", "errmsg": "operation was interrupted"},
    {"code": 91, "errmsg": "Write results unavailable from shard-1 :: caused by :: The server is in quiesce mode"},
    {"code": 133, "errmsg": "Write results unavailable from failing to target a host in the shard shard-1"},
)
#: Longer than a chunk is tried, with all its retries, seconds.
LONG = 10.0
REFUSED = "only21"


class SteppingDown:
    """From the second write on, each is answered by one of ``STEP_DOWN``: for its last statements or for all."""

    def __init__(self) -> None:
        self.writes = 0
        self.began: float | None = None

    @property
    def is_over(self) -> bool:
        every_way = self.writes > 4 * len(STEP_DOWN)
        return self.began is not None and time.monotonic() - self.began > LONG and every_way

    def __call__(self, ids: list[str]) -> Mapping[int, Mapping[str, Any]]:
        entry = {"code": 121, "errmsg": "Document failed validation"}
        refused = {position: entry for position, _id in enumerate(ids) if _id.endswith(f":{REFUSED}")}
        self.writes += 1
        if self.writes == 1 or self.is_over:
            return refused
        self.began = self.began or time.monotonic()
        turn, way = divmod(self.writes, len(STEP_DOWN))
        return dict.fromkeys(range(len(ids) // 2 if turn % 2 else 0, len(ids)), STEP_DOWN[way])


def test_a_step_down_refuses_no_row(make_scene: MakeScene) -> None:
    """Errors of the server fail no row and bury no chunk, however long they last; one of a document fails its row."""
    scene = make_scene(rows=4_000, RETRY_INLINE_SECONDS="1", RETRY_DELAYS="[1, 1, 1]")
    script = SteppingDown()
    uri, name = scene.environment["MONGO_DB_URI"], scene.environment["MONGO_DB_URI"].rpartition("/")[2]
    with database_proxy(port_of(uri.rpartition("/")[0]), "contacts", script) as proxy:
        worker = scene.worker(MONGO_DB_URI=f"mongodb://127.0.0.1:{proxy.port}/{name}")
        action = worker.submit(scene.file)
        wait_for(lambda: script.is_over, "the step-down is over")
        scene.struck()
        scene.assert_exact(worker, action)
        assert {row.get("code") for row in worker.records(action, status="FAILED")} == set(scene.expected.failures)

        sample = Sample(100, prefix="only", invalid=0, duplicates=0)
        expected = sample.write(scene.directory / "only.csv")
        action = worker.submit(scene.directory / "only.csv")
        ended = worker.wait_ended(action)
        assert (ended["status"], ended["createdCount"], ended["failureCount"]) == ("COMPLETED", expected.total - 1, 1)
        [row] = worker.records(action, status="FAILED")
        assert (row["row"], row["code"]) == (21, "WRITE_REFUSED")
        assert_verified(scene.environment, action)
        with pymongo.MongoClient[Any](uri) as client:
            assert client[name]["dead_letters"].count_documents({}) == 0
