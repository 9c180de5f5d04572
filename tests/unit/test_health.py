"""Whether a worker is ready is looked at once for all who ask, and said in full only to those who are near."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import orjson
import pytest
from aiohttp.test_utils import make_mocked_request

from app.observability.dependencies import Dependencies
from web.views.health import HealthView, ReadyView


class Probes:
    """Dependencies that count how often they are asked, and answer when they are let."""

    def __init__(self, away: str = "") -> None:
        self.asked = 0
        self.away = away

    async def ask(self, name: str) -> None:
        self.asked += name == "Redis"
        await asyncio.sleep(0)
        if name == self.away:
            raise ConnectionError("redis-0.internal:6379")

    def open(self) -> Dependencies:
        names = ("MongoDB", "Redis", "the storage", "Kafka")
        return Dependencies({name: lambda name=name: self.ask(name) for name in names}, clock=lambda: 100.0)


def ready_view(probes: Probes, optional: Dependencies | None = None) -> ReadyView:
    view = ReadyView.__new__(ReadyView)
    completed = asyncio.Event()
    completed.set()
    tables = SimpleNamespace(recovery=SimpleNamespace(completed=completed), actives_ready=True)
    context = SimpleNamespace(dependencies=probes.open(), optional_dependencies=optional or Dependencies({}))
    view.app = cast(Any, SimpleNamespace(context=context, tables=tables, rebalancing=False, should_stop=False))
    return view


async def ask(view: ReadyView, **headers: str) -> tuple[int, dict[str, Any]]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    response = await ReadyView.get(view, make_mocked_request("GET", "/ready", headers=named))
    return response.status, orjson.loads(cast(bytes, response.body))


async def test_a_crowd_that_asks_is_one_look() -> None:
    probes = Probes()
    view = ready_view(probes)
    answers = await asyncio.gather(*(ask(view) for _ in range(50)))
    assert {status for status, _ in answers} == {200}
    assert probes.asked == 1


@pytest.mark.parametrize(("away", "status"), [("", 200), ("Redis", 503)])
async def test_a_gateway_tells_the_status_only(away: str, status: int) -> None:
    """What a worker depends on is nobody's business who asks from outside."""
    view = ready_view(Probes(away))
    state = "UP" if status == 200 else "DOWN"
    assert await ask(view, X_Forwarded_For="192.0.2.1") == (status, {"status": state})
    told_status, body = await ask(view)
    assert (told_status, body["checks"]["redis"]) == (status, state)
    assert [one["name"] for one in body["dependencies"]] == ["mongodb", "redis", "storage", "kafka"]
    redis = body["dependencies"][1]
    assert (redis["ok"], redis["latencyMs"]) == (not away, 0)
    assert redis["lastError"] == ("Redis could not be used: ConnectionError." if away else None)
    assert "internal" not in str(body)


async def test_ready_without_the_index() -> None:
    """An Elasticsearch that is away is told, and keeps no worker from its work."""
    absent = Probes("Elasticsearch")
    view = ready_view(Probes(), Dependencies({"Elasticsearch": lambda: absent.ask("Elasticsearch")}))
    status, body = await ask(view)
    assert (status, body["status"], body["checks"].keys()) == (
        200,
        "UP",
        {"mongodb", "redis", "storage", "kafka", "worker"},
    )
    told = body["dependencies"][-1]
    assert (told["name"], told["ok"], told["required"]) == ("elasticsearch", False, False)


@pytest.mark.parametrize(("stuck", "status", "told"), [(False, 200, "UP"), (True, 503, "DOWN")])
async def test_stuck_worker_is_not_healthy(stuck: bool, status: int, told: str) -> None:
    view = HealthView.__new__(HealthView)
    view.app = cast(Any, SimpleNamespace(watch=SimpleNamespace(stuck=stuck)))
    response = await HealthView.get(view, make_mocked_request("GET", "/health"))
    assert (response.status, orjson.loads(cast(bytes, response.body))) == (status, {"status": told})
