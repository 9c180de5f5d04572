"""The start with a broker that has not all of its partitions: it waits, and says for what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from aiokafka.admin import NewTopic

from app.kafka import admin as broker
from app.kafka.admin import PartitionsWithoutLeader, create_topics


class Admin:
    """An admin client that shows topics as it was told to; each look is the next in the list, the last for ever."""

    looks: list[dict[str, Sequence[int]]]
    closed = 0

    def __init__(self, **options: Any) -> None:
        assert options["bootstrap_servers"] == ["broker:9092"]

    async def start(self) -> None: ...

    async def close(self) -> None:
        Admin.closed += 1

    async def list_topics(self) -> list[str]:
        return list(Admin.looks[0])

    async def describe_topics(self, names: Sequence[str]) -> list[Mapping[str, Any]]:
        look = Admin.looks.pop(0) if len(Admin.looks) > 1 else Admin.looks[0]
        return [
            {
                "topic": name,
                "error_code": 0,
                "partitions": [{"partition": number, "leader": leader} for number, leader in enumerate(look[name])],
            }
            for name in names
            if name in look
        ]


@pytest.fixture(autouse=True)
def admin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broker, "AIOKafkaAdminClient", Admin)
    monkeypatch.setattr(broker, "_PAUSE", 0)
    Admin.closed = 0


async def create(*names: str, internal: Sequence[NewTopic] = ()) -> None:
    await create_topics(["broker:9092"], names, partitions=3, replication=1, internal=internal, timeout=0.05)


async def test_leaderless_partition_is_named() -> None:
    """A partition without leader is named."""
    Admin.looks = [{"a": [1, 1, 1], "b": [1, -1, -1]}]
    with pytest.raises(PartitionsWithoutLeader, match=r"^no leader for b partition 1, 2$"):
        await create("a", "b")
    assert Admin.closed == 1


async def test_late_leader_is_enough() -> None:
    """A leader that is elected in time is enough."""
    Admin.looks = [{"a": [1, -1, 1]}, {"a": [1, -1, 1]}, {"a": [1, 2, 1]}]
    await create("a")


async def test_internal_topics_need_leaders() -> None:
    """The topics of Faust's own need leaders as well."""
    Admin.looks = [{"a": [1, 1, 1], "changelog": [-1]}]
    with pytest.raises(PartitionsWithoutLeader, match=r"^no leader for changelog partition 0$"):
        await create("a", internal=[NewTopic("changelog", 1, 1)])
