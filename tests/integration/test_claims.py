"""Claims on a real Redis: inside an action one row owns a record, whoever asks, however often and in what order."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence

import pytest
from bson import ObjectId
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from redis.asyncio import Redis
from xxhash import xxh3_128_digest

from app.adapters.redis import claims as claims_module
from app.adapters.redis.claims import Claims, ClaimsReleased
from app.settings import Settings
from tests.support.claims import owners_in, store_old_claims

TTL = 1234

#: What the values of a row begin with in these tests: its id, its unique field, and one more.
KINDS = "kuv"

Row = tuple[str, ...]


@pytest.fixture
async def redis(settings: Settings) -> AsyncIterator[Redis]:
    client = Redis.from_url(settings.redis_uri.get_secret_value())
    yield client
    await client.aclose()


class RowClaims:
    """The claims, asked row by row; a row is its number and its key values."""

    def __init__(self, redis: Redis, row_count: int) -> None:
        self._claims, self._row_count = Claims(redis, ttl=TTL), row_count
        self.release = self._claims.release

    async def claim(self, action: str, rows: Sequence[Row]) -> dict[int, int]:
        columns = [[value.partition(":")[2] for value in column] for column in list(zip(*rows, strict=True))[1:]]
        return await self._claims.claim(action, self._row_count, [int(number) for number, *_ in rows], columns)


@pytest.fixture(params=[1, 1_000], ids=["one bucket", "many buckets"])
def claims(redis: Redis, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> RowClaims:
    monkeypatch.setattr(claims_module, "_FEWEST_BUCKETS", request.param)
    return RowClaims(redis, 1)


@pytest.fixture
def action() -> str:
    return str(ObjectId())


def row(number: int, key: str, unique: str) -> Row:
    return (str(number), f"k:{key}", f"u:{unique}")


class Model:
    """What the script does, in Python: a row owns all of its values or none, and is told its first owner."""

    def __init__(self) -> None:
        self.owners: dict[str, int] = {}

    def claim(self, rows: Sequence[Row]) -> dict[int, int]:
        taken: dict[int, int] = {}
        for position, (number, *values) in enumerate(rows):
            others = [self.owners[value] for value in values if self.owners.get(value, int(number)) != int(number)]
            if others:
                taken[position] = min(others)
            else:
                self.owners.update(dict.fromkeys(values, int(number)))
        return taken


async def owners(redis: Redis, action: str) -> dict[bytes, int]:
    """The claims as Redis has them: digest of the value → row."""
    return owners_in([bucket for key in await redis.keys(f"dedupe:{action}:*") for bucket in await redis.hvals(key)])


def digests(owned: dict[str, int]) -> dict[bytes, int]:
    return {_digest(value): number for value, number in owned.items()}


def _digest(value: str) -> bytes:
    kind, _, text = value.partition(":")
    return xxh3_128_digest(text.encode(), KINDS.index(kind))[:12]


async def test_first_row_wins(claims: RowClaims, action: str) -> None:
    """The first row wins by id or unique field."""
    rows = [row(1, "a", "a@x"), row(2, "a", "b@x"), row(3, "c", "a@x"), row(4, "d", "d@x")]
    assert await claims.claim(action, rows) == {1: 1, 2: 1}


async def test_replay_finds_its_own_rows(claims: RowClaims, action: str) -> None:
    """A replay finds its own rows as the owners."""
    rows = [row(1, "a", "a@x"), row(2, "a", "b@x"), row(3, "c", "c@x")]
    first = await claims.claim(action, rows)
    for _ in range(3):
        assert await claims.claim(action, rows) == first == {1: 1}


async def test_first_chunk_to_claim_wins(claims: RowClaims, action: str) -> None:
    """The first chunk to claim wins, whatever the numbers of its rows."""
    assert await claims.claim(action, [row(1001, "a", "a@x")]) == {}
    assert await claims.claim(action, [row(1, "a", "other@x"), row(2, "b", "b@x")]) == {0: 1001}


async def test_a_row_that_loses_claims_nothing(claims: RowClaims, redis: Redis, action: str) -> None:
    rows = [row(1, "a", "a@x"), row(2, "b", "a@x"), row(3, "a", "c@x"), row(4, "b", "c@x")]
    assert await claims.claim(action, rows) == {1: 1, 2: 1}
    assert await owners(redis, action) == digests({"k:a": 1, "u:a@x": 1, "k:b": 4, "u:c@x": 4})


async def test_first_of_two_owners_is_named(claims: RowClaims, redis: Redis, action: str) -> None:
    """A row with two owners names the first of them, and claims nothing."""
    await claims.claim(action, [row(9, "a", "a@x"), row(10, "b", "b@x")])
    before = await owners(redis, action)
    assert await claims.claim(action, [row(11, "a", "b@x"), row(12, "b", "a@x")]) == {0: 9, 1: 9}
    assert await owners(redis, action) == before


async def test_ids_and_unique_values_differ(claims: RowClaims, action: str) -> None:
    """An id and a unique value that look alike are different."""
    assert await claims.claim(action, [row(1, "same", "same"), row(2, "other", "k:same")]) == {}


async def test_actions_do_not_see_each_other(claims: RowClaims, action: str) -> None:
    assert await claims.claim(action, [row(1, "a", "a@x")]) == {}
    assert await claims.claim(str(ObjectId()), [row(2, "a", "a@x")]) == {}


async def test_no_unique_field_claims_by_id(claims: RowClaims, action: str) -> None:
    """Entities without a unique field claim by id alone."""
    assert await claims.claim(action, [("1", "k:a"), ("2", "k:b"), ("3", "k:a")]) == {2: 1}


async def test_no_valid_rows_claim_nothing(claims: RowClaims, redis: Redis, action: str) -> None:
    """A chunk without valid rows claims nothing."""
    assert await claims.claim(action, []) == {}
    assert await owners(redis, action) == {}


async def test_values_may_hold_any_text(claims: RowClaims, redis: Redis, action: str) -> None:
    texts = ["", " ", '"', "\\", "\0", "漢字🙂", "a\nb", "{}", "\x7f", "x" * 10_000, "%s", "\u2028"]
    rows = [row(number, text, f"{text}@x") for number, text in enumerate(texts, 1)]
    assert await claims.claim(action, rows) == {}
    assert await owners(redis, action) == digests({value: int(number) for number, *values in rows for value in values})


async def test_large_chunk_can_be_claimed(redis: Redis, action: str) -> None:
    """A chunk of far more rows than were expected can be claimed like any other, with the largest row numbers."""
    claims, base = RowClaims(redis, 1), 2**32 - 20_000
    rows = [row(base + n, str(n), f"{n}@x") for n in range(20_000)]
    assert await claims.claim(action, rows) == {}
    assert await claims.claim(action, [row(1, "19999", "free@x")]) == {0: base + 19_999}


async def test_row_number_out_of_bounds(claims: RowClaims, redis: Redis, action: str) -> None:
    """A row number that does not fit into an entry is refused, and not cut short."""
    with pytest.raises(OverflowError):
        await claims.claim(action, [row(1, "a", "a@x"), row(2**32, "b", "b@x")])
    assert await redis.keys(f"dedupe:{action}*") == []


@pytest.mark.parametrize(("first", "later"), [(10, 5_000), (5_000, 10)])
async def test_first_claim_fixes_the_buckets(redis: Redis, action: str, first: int, later: int) -> None:
    """Later claims find the values, however many rows they are told of."""
    rows = [row(number, str(number), f"{number}@x") for number in range(1, 300)]
    assert await RowClaims(redis, first).claim(action, rows) == {}
    again = [row(1000 + position, key[2:], "new") for position, (_, key, _) in enumerate(rows)]
    assert await RowClaims(redis, later).claim(action, again) == {n - 1: n for n in range(1, 300)}


async def test_digest_across_two_entries(redis: Redis, action: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What looks like a digest, but begins in the middle of an entry, is none."""
    first = bytes(range(12))
    second = first[4:] + (7).to_bytes(4, "little")
    values = {"a": first, "b": second}
    monkeypatch.setattr(claims_module, "_digests", lambda columns: b"".join(values[v] + bytes(4) for v in columns[0]))
    claims = Claims(redis, ttl=TTL)
    assert await claims.claim(action, 1, [7], [["a"]]) == {}
    for _ in range(2):
        assert await claims.claim(action, 1, [8], [["b"]]) == {}
    assert await claims.claim(action, 1, [9, 10], [["b", "a"]]) == {0: 8, 1: 7}
    assert await owners(redis, action) == {first: 7, second: 8}


async def test_old_claims_are_swept(redis: Redis, action: str) -> None:
    """Claims of an action that never ends are swept once they are old."""
    claims = Claims(redis, ttl=1)
    await claims.claim(action, 1_000, [1, 2], [["a", "b"]])
    await claims.sweep()
    assert await owners(redis, action), "not yet"

    async def swept() -> bool:
        await claims.sweep()
        return not await owners(redis, action)

    async with asyncio.timeout(60):
        while not await swept():
            await asyncio.sleep(0.05)
    assert await redis.zscore("dedupe:expiry", f"dedupe:{action}") is None
    with pytest.raises(ClaimsReleased):
        await claims.claim(action, 1_000, [3], [["c"]])


@pytest.mark.parametrize("way", ["claim", "rebuild"])
async def test_sweep_spares_new_claims(redis: Redis, action: str, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    """Old claims that are made or rebuilt at the moment at which they are swept stay."""
    claims = Claims(redis, ttl=TTL)
    await claims.claim(action, 1_000, [1], [["a"]])
    await redis.zadd("dedupe:expiry", {f"dedupe:{action}": 1})

    async def meanwhile(_: Redis, key: str) -> None:
        if key == f"dedupe:{action}" and way == "claim":
            await claims.claim(action, 1_000, [2], [["b"]])
        elif key == f"dedupe:{action}":
            monkeypatch.undo()
            assert await claims.finish_rebuild(action, await claims.begin_rebuild(action))

    monkeypatch.setattr(claims_module, "unlink_old_claims", meanwhile)
    await claims.sweep()
    assert not await claims.are_gone(action)
    assert await claims.claim(action, 1_000, [3], [["b"]]) == ({0: 2} if way == "claim" else {})


async def test_each_claim_puts_the_sweep_off(claims: RowClaims, redis: Redis, action: str) -> None:
    async def expiry() -> float:
        return float(await redis.zscore("dedupe:expiry", f"dedupe:{action}"))

    await claims.claim(action, [row(1, "a", "a@x")])
    now = (await redis.time())[0]
    assert now + TTL - 5 <= await expiry() <= now + TTL
    await redis.zadd("dedupe:expiry", {f"dedupe:{action}": now + 10})
    await claims.claim(action, [row(1, "a", "a@x")])
    assert await expiry() >= now + TTL


async def test_claims_are_small(redis: Redis, action: str) -> None:
    """Claims take less than 100 bytes of a row."""
    count = 20_000
    numbers = range(1, count + 1)
    values = [[f"{n:07d}" for n in numbers], [f"ada.{n}@example.com" for n in numbers]]
    await Claims(redis, ttl=TTL).claim(action, count, numbers, values)
    used = [await redis.memory_usage(key, samples=0) for key in await redis.keys(f"dedupe:{action}*")]
    assert sum(used) / count < 100


@pytest.mark.parametrize("releases", [1, 2])
async def test_no_claims_after_release(claims: RowClaims, redis: Redis, action: str, releases: int) -> None:
    """Who comes after the release claims nothing, and is told so."""
    await claims.claim(action, [row(1, "a", "a@x")])
    for _ in range(releases):
        await claims.release(action)
    left = await redis.keys(f"dedupe:{action}*")
    assert len(left) == 1, "the claims themselves are forgotten"
    for late in ([row(1, "a", "a@x")], [row(2, "a", "a@x")], [row(3, "b", "b@x")]):
        with pytest.raises(ClaimsReleased):
            await claims.claim(action, late)
    assert await redis.keys(f"dedupe:{action}*") == left


async def test_release_without_claims(claims: RowClaims, action: str) -> None:
    """The claims of an action that claimed nothing can be released."""
    await claims.release(action)
    with pytest.raises(ClaimsReleased):
        await claims.claim(action, [row(1, "a", "a@x")])


async def test_release_is_of_one_action(claims: RowClaims, action: str) -> None:
    """The release of an action does not touch the claims of others."""
    other = str(ObjectId())
    await claims.claim(other, [row(1, "a", "a@x")])
    await claims.release(action)
    assert await claims.claim(other, [row(2, "a", "b@x"), row(3, "c", "c@x")]) == {0: 1}


async def test_no_value_looks_like_a_release(claims: RowClaims, action: str) -> None:
    """No value of a row looks like a release."""
    assert await claims.claim(action, [row(1, "released", "released")]) == {}
    assert await claims.claim(action, [row(2, "a", "released")]) == {0: 1}


async def test_remains_of_a_release_expire(claims: RowClaims, redis: Redis, action: str) -> None:
    """What a release leaves behind expires."""
    await claims.claim(action, [row(1, "a", "a@x")])
    await claims.release(action)
    assert TTL - 5 <= await redis.ttl(f"dedupe:{action}") <= TTL


async def test_claim_during_release_is_atomic(claims: RowClaims, redis: Redis, action: str) -> None:
    """Of chunks that claim while the action ends each claims as a whole or not at all."""
    chunks = [[row(n * 50 + i, f"{n}-{i}", f"{n}-{i}@x") for i in range(50)] for n in range(20)]
    steps = [claims.claim(action, chunk) for chunk in chunks]
    answers = await asyncio.gather(*steps[:10], claims.release(action), *steps[10:], return_exceptions=True)
    del answers[10]
    assert all(answer == {} or isinstance(answer, ClaimsReleased) for answer in answers)
    assert await redis.keys(f"dedupe:{action}*") == [f"dedupe:{action}".encode()]


async def test_restarted_redis_gets_the_script(claims: RowClaims, redis: Redis, action: str) -> None:
    """A restarted Redis that has forgotten the script is taught it again."""
    await claims.claim(action, [row(1, "a", "a@x")])
    await redis.script_flush()
    assert await claims.claim(action, [row(2, "a", "b@x")]) == {0: 1}


@pytest.mark.parametrize("generation", ["", "3"])
@pytest.mark.parametrize("state", ["", "closed", "released", "rebuilding"])
async def test_claims_of_version_0_1_are_gone(redis: Redis, action: str, state: str, generation: str) -> None:
    claims = Claims(redis, ttl=TTL)
    await store_old_claims(redis, action, state=state, generation=generation)
    assert await claims.are_gone(action)
    assert not await claims.reopen(action)
    await claims.close(action)
    with pytest.raises(ClaimsReleased):
        await claims.claim(action, 10, [1], [["a"]])
    assert await claims.are_gone(action)


@pytest.mark.parametrize("way", ["release", "sweep", "rebuild"])
@pytest.mark.parametrize("state", ["", "closed", "released"])
@pytest.mark.parametrize("generation", ["", "3"])
async def test_claims_of_version_0_1_are_deleted(
    redis: Redis, action: str, way: str, state: str, generation: str
) -> None:
    """Those that a deletion which was interrupted has left are found as well."""
    claims, key = Claims(redis, ttl=TTL), f"dedupe:{action}"
    await store_old_claims(redis, action, state=state, buckets=2_345, generation=generation)
    await redis.unlink(*(await redis.keys(f"{key}:*"))[:1_000])
    if way == "rebuild":
        await claims.finish_rebuild(action, await claims.begin_rebuild(action))
        assert await claims.claim(action, 10, [1], [["a"]]) == {}
        assert await redis.keys(f"{key}:*") == [f"{key}:claims:1".encode()]
    else:
        await (claims.release(action) if way == "release" else claims.sweep())
        assert await redis.keys(f"{key}*") == [key.encode()]
        assert await redis.zscore("dedupe:expiry", key) is None


def chunks_of(chance: random.Random, chunks: int, rows: int, values: int) -> list[list[Row]]:
    """Chunks with many rows in common: few values for many rows."""
    return [
        [row(chunk * rows + n + 1, str(chance.randrange(values)), f"{chance.randrange(values)}@x") for n in range(rows)]
        for chunk in range(chunks)
    ]


@st.composite
def histories(draw: st.DrawFn) -> list[list[Row]]:
    """Chunks in the order in which they claim, some more than once: few values for many rows."""
    kinds = KINDS[: draw(st.integers(1, len(KINDS)))]
    row_values = st.tuples(*(st.integers(0, 9).map(f"{kind}:{{}}".format) for kind in kinds))
    chunks = draw(st.lists(st.lists(row_values, min_size=1, max_size=12), min_size=1, max_size=4))
    numbered = [[(str(100 * n + i), *values) for i, values in enumerate(chunk, 1)] for n, chunk in enumerate(chunks)]
    return draw(st.lists(st.sampled_from(numbered), min_size=1, max_size=6))


@hypothesis_settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(histories(), st.sampled_from([1, 5, 1_000]), st.sampled_from([1, 5, 100]))
async def test_claims_match_the_model(
    redis: Redis, monkeypatch: pytest.MonkeyPatch, history: list[list[Row]], buckets: int, at_once: int
) -> None:
    """Chunks one after another, and repeated, do as the model does, in however many pieces the script takes them."""
    monkeypatch.setattr(claims_module, "_FEWEST_BUCKETS", buckets)
    monkeypatch.setattr(claims_module, "_VALUES_AT_ONCE", at_once)
    action, claims, model = str(ObjectId()), RowClaims(redis, 1), Model()
    for chunk in history:
        assert await claims.claim(action, chunk) == model.claim(chunk)
        assert await owners(redis, action) == digests(model.owners)


@pytest.mark.parametrize("seed", range(15))
async def test_every_value_has_one_owner(claims: RowClaims, redis: Redis, action: str, seed: int) -> None:
    """Of chunks that claim at once every value has exactly one owner."""
    chance = random.Random(seed)
    chunks = chunks_of(chance, 2 + seed % 4, 60, 80)
    answers = await asyncio.gather(*(claims.claim(action, chunk) for chunk in chunks))
    owned: dict[str, int] = {}
    for chunk, taken in zip(chunks, answers, strict=True):
        for position, (number, *values) in enumerate(chunk):
            if position not in taken:
                assert not set(values) & set(owned), "a value with two owners"
                owned.update(dict.fromkeys(values, int(number)))
    assert await owners(redis, action) == digests(owned)
    winners = set(owned.values())
    assert all(owner in winners for taken in answers for owner in taken.values())
    again = await asyncio.gather(*(claims.claim(action, chunk) for chunk in chunks))
    assert [set(taken) for taken in again] == [set(taken) for taken in answers], "a replay changes no outcome"
