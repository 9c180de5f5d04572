"""Elasticsearch dies or hangs, and workers die while they index: no row waits, and every event comes once."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import httpx
import pymongo
import pytest

from stack import ELASTICSEARCH, Instance, Stack
from tests.support.files import contacts_csv
from tests.support.indexing import index_settings
from tests.support.outages import hanging, killed
from tests.support.scenes import MakeScene, Scene
from tests.support.waiting import wait_for
from tests.support.workers import Worker

WAYS: dict[str, Callable[[Instance], AbstractContextManager[None]]] = {
    "killed": killed,
    "hangs": hanging,
}


class Index:
    """The index of a scene, as anybody sees it."""

    def __init__(self, scene: Scene, search: Stack) -> None:
        self.scene, self.service = scene, search[ELASTICSEARCH]
        self.url = f"{self.service.uri}/{scene.environment['ELASTICSEARCH_PREFIX']}-events-*"

    def by_type(self, action_id: str) -> dict[str, int]:
        """How many documents of an action there are of each type."""
        httpx.post(f"{self.url}/_refresh", timeout=60)
        asked = {
            "size": 0,
            "query": {"term": {"actionId": action_id}},
            "aggs": {"types": {"terms": {"field": "type", "size": 50}}},
        }
        answer = httpx.post(f"{self.url}/_search", json=asked, timeout=60)
        if answer.status_code == 503:  # it is being made
            return {}
        buckets = answer.raise_for_status().json().get("aggregations", {}).get("types", {}).get("buckets", ())
        return {bucket["key"]: bucket["doc_count"] for bucket in buckets}

    def caught_up(self, action_id: str) -> bool:
        """Whether nothing of an action waits for the index."""
        with pymongo.MongoClient[Any](self.scene.environment["MONGO_DB_URI"]) as client:
            action = client.get_default_database()["bulk_operations"].find_one({"_id": action_id}, {"indexAt": 1})
        return action is not None and "indexAt" not in action

    def assert_complete(self, worker: Worker, action_id: str) -> None:
        """Every event of an action is there, once."""
        wait_for(lambda: self.caught_up(action_id), "all of the action is indexed", timeout=120)
        action = worker.action(action_id)
        found = self.by_type(action_id)
        with pymongo.MongoClient[Any](self.scene.environment["MONGO_DB_URI"]) as client:
            chunks = client.get_default_database()["bulk_operations"].find_one({"_id": action_id})["chunkCount"]
        wanted = {
            "row.failed": action["failureCount"],
            "row.skipped": action["skippedCount"],
            "chunk.completed": chunks,
            "action.created": 1,
            "action.queued": 1,
            "action.processing": 1,
            "action.completed": 1,
        }
        reissued = found.pop("chunk.reissued", 0)
        assert found == {name: count for name, count in wanted.items() if count}, reissued


@pytest.mark.parametrize("how", WAYS)
def test_index_is_away_in_the_middle(make_scene: MakeScene, elasticsearch: Stack, how: str) -> None:
    """The action ends meanwhile, exactly; when the index is back it has every event, once, by itself."""
    scene = make_scene(rows=15_000, **index_settings(elasticsearch))
    index = Index(scene, elasticsearch)
    worker = scene.worker()
    action = worker.submit(scene.file)
    wait_for(lambda: index.by_type(action).get("chunk.completed"), "the first chunks are indexed")
    with WAYS[how](index.service):
        scene.assert_exact(worker, action)
        assert not index.caught_up(action)
        assert worker.readiness()["status"] == "UP"
    index.assert_complete(worker, action)
    assert worker.dead_letters() == []


@pytest.mark.parametrize("point", ["indexing", "indexed"])
def test_worker_dies_while_it_indexes(make_scene: MakeScene, elasticsearch: Stack, point: str) -> None:
    """Just before, or just after, a batch is written: another one goes on, and no event is missing or there twice."""
    scene = make_scene(rows=1, **index_settings(elasticsearch))
    index = Index(scene, elasticsearch)
    scene.file.write_bytes(contacts_csv(*(f"{number},,nobody,active" for number in range(5_000))))
    doomed = scene.worker(inject={"kill": {"point": point, "nth": 4}})
    action = doomed.submit(scene.file)
    doomed.wait_dead()
    survivor = scene.worker()
    survivor.wait_ended(action, 120)
    index.assert_complete(survivor, action)
