"""A Redis that is full, fails over, or will not do: nothing half done, and no connection to yesterday's primary."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis as blocking
from redis.asyncio import Redis
from redis.exceptions import AuthenticationError

from app.adapters.redis.claims import Claims
from app.adapters.redis.client import UnfitRedis, open_redis, refuse_unfit
from app.adapters.redis.rate_limits import RateLimits, RateLimitsUnavailable
from app.adapters.redis.snapshots import Snapshots
from app.domain.faults import PassingFault
from app.domain.live_counters import LiveCounters
from app.domain.outcomes import Counts
from tests.support.claims import owners_in
from tests.support.servers import follow, forwarder, port_of, promote, redis_server

ACTION = "0" * 24


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    with redis_server(tmp_path) as uri:
        yield uri


@pytest.mark.parametrize(
    ("options", "fits"),
    [
        ((), True),
        (("--maxmemory", "100mb", "--maxmemory-policy", "noeviction"), True),
        (("--maxmemory-policy", "allkeys-lru"), True),
        (("--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"), False),
        (("--maxmemory", "100mb", "--maxmemory-policy", "volatile-ttl"), False),
        (("--cluster-enabled", "yes"), False),
    ],
    ids=["plain", "bounded", "unbounded", "evicting", "evicting some", "cluster"],
)
async def test_a_redis_that_forgets_is_refused(tmp_path: Path, options: tuple[str, ...], fits: bool) -> None:
    with redis_server(tmp_path, *options) as uri:
        async with open_redis(uri) as redis:
            if fits:
                await refuse_unfit(redis)
            else:
                with pytest.raises(UnfitRedis) as refused:
                    await refuse_unfit(redis)
                assert "\n" not in str(refused.value)


@pytest.mark.parametrize("password", ["", ":wrong@"], ids=["none", "wrong"])
async def test_a_wrong_password_is_called_so(tmp_path: Path, password: str) -> None:
    with redis_server(tmp_path, password="right") as uri:
        async with open_redis(f"redis://{password}127.0.0.1:{port_of(uri)}/0") as redis:
            with pytest.raises(AuthenticationError, match="password of REDIS_URI"):
                await refuse_unfit(redis)


async def test_silent_redis_is_used(tmp_path: Path) -> None:
    """A Redis that does not tell is used. A managed one may forbid to look at its configuration."""
    with redis_server(tmp_path, password="right") as uri:
        with blocking.Redis.from_url(uri) as client:
            client.acl_setuser("worker", enabled=True, passwords=["+word"], keys="*", commands=["+@all", "-info"])
        async with open_redis(f"redis://worker:word@127.0.0.1:{port_of(uri)}/0") as redis:
            await refuse_unfit(redis)


def rows_of(chunk: int) -> tuple[list[int], list[list[str]]]:
    rows = list(range(chunk * 1000 + 1, chunk * 1000 + 1001))
    return rows, [[f"id{row}" for row in rows], [f"person{row}@example.com" for row in rows]]


def claimed(uri: str) -> set[int]:
    """The rows that own anything."""
    with blocking.Redis.from_url(uri) as client:
        hashes = client.scan_iter(f"dedupe:{ACTION}:*", count=10_000)
        return set(owners_in(bucket for key in hashes for bucket in client.hvals(key)).values())


async def test_a_full_redis_has_no_half_claims(server: str) -> None:
    """A chunk has claimed for all of its rows or for none, and goes on when there is room again."""
    async with open_redis(server) as redis:
        claims = Claims(redis, ttl=600)
        used = (await redis.info("memory"))["used_memory"]
        await redis.config_set("maxmemory", used + 1024**2)
        done = 0
        with pytest.raises(PassingFault, match="maxmemory"):
            while True:
                assert await claims.claim(ACTION, 500_000, *rows_of(done)) == {}
                done += 1
        assert done > 1
        assert claimed(server) == set(range(1, done * 1000 + 1))
        await redis.config_set("maxmemory", 0)
        assert await claims.claim(ACTION, 500_000, *rows_of(done)) == {}
        assert await claims.claim(ACTION, 500_000, *rows_of(0)) == {}
        assert claimed(server) == set(range(1, done * 1000 + 1001))


async def test_a_full_redis_gives_memory_back(server: str) -> None:
    """The claims of an action that ends can be released although there is no memory for anything."""
    async with open_redis(server) as redis:
        claims = Claims(redis, ttl=600)
        await claims.claim(ACTION, 100_000, *rows_of(0))
        await redis.config_set("maxmemory", 1)
        await claims.release(ACTION)
        assert claimed(server) == set()
        assert (await redis.get(f"dedupe:{ACTION}") or b"").startswith(b"RELEASED")


async def test_a_promoted_replica_is_found(tmp_path: Path) -> None:
    """Connections to what was the primary are given up with the first write that it refuses."""
    with (
        redis_server(tmp_path / "a") as first,
        redis_server(tmp_path / "b") as second,
        forwarder(port_of(first)) as address,
    ):
        follow(first, second)
        uri = f"redis://127.0.0.1:{address.port}/0"
        async with open_redis(uri) as redis, open_redis(uri) as another:
            claims, snapshots = Claims(redis, ttl=600), Snapshots(another)
            limits = RateLimits(uri, window_ms=60_000, namespace="t")
            await asyncio.gather(*(claims.claim(ACTION, 10_000, *rows_of(chunk)) for chunk in range(5)))
            await snapshots.publish(ACTION, LiveCounters(Counts(success=1)))
            assert (await limits.hit("acme", "reads", 10)).remaining == 9
            address.target = port_of(second)
            promote(first, second)
            # Several connections lead to the old primary still.
            found = await asyncio.gather(*(claims.claim(ACTION, 10_000, *rows_of(chunk)) for chunk in range(6)))
            assert found == [{}] * 6
            await snapshots.publish(ACTION, LiveCounters(Counts(success=2)))
            await snapshots.publish(ACTION, LiveCounters(Counts(success=3)))
            assert (await limits.hit("acme", "reads", 10)).remaining == 8
            await limits.close()
        with blocking.Redis.from_url(second) as client:
            assert b'"processedCount":3,' in client.get(f"progress:{ACTION}")
        assert claimed(second) == set(range(1, 6001))


@pytest.mark.parametrize("fault", ["full", "replica"])
async def test_reads_work_without_writes(server: str, fault: str) -> None:
    """Limits and snapshots live without writes. No error of Redis is an error of a request."""
    async with open_redis(server) as redis:
        limits = RateLimits(server, window_ms=60_000, namespace="t")
        if fault == "full":
            await redis.config_set("maxmemory", 1)
        else:
            await redis.replicaof("127.0.0.1", 1)
        snapshots = Snapshots(redis)
        await snapshots.publish(ACTION, LiveCounters(Counts(success=1)))
        assert await snapshots.get(ACTION) is None
        await snapshots.drop(ACTION)
        with pytest.raises(RateLimitsUnavailable):
            await limits.hit("acme", "reads", 10)
        await limits.close()


async def test_bad_snapshot_is_ignored(server: str) -> None:
    """A snapshot that is none is nothing. Whoever shares the Redis may have written anything there."""
    async with Redis.from_url(server) as redis:
        await redis.set(f"progress:{ACTION}", b"\xff not JSON")
        await redis.lpush("progress:" + "1" * 24, b"a list")
        snapshots = Snapshots(redis)
        assert await snapshots.get(ACTION) is None
        assert await snapshots.get("1" * 24) is None
