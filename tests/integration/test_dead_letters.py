"""Dead letters on a real server: a letter is kept once, found by those it concerns, and replayed by one of many."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import Any

import pytest

from app.adapters.mongo import DeadLetters, Store
from app.settings import Settings
from tests.support.clocks import PAST
from tests.support.factories import make_dead_letter


@pytest.fixture
async def letters(settings: Settings) -> AsyncIterator[DeadLetters]:
    store = Store(settings.mongo_db_uri.get_secret_value())
    await store.prepare()
    yield store.dead_letters
    await store.close()


async def all_ids(
    letters: DeadLetters, size: int, accounts: Sequence[str | None] = ("default",), **asked: Any
) -> list[str]:
    """The ids on all pages."""
    found: list[str] = []
    before = None
    while page := await letters.page(accounts, size, before=before, **asked):
        assert len(page) <= size
        found += [one.id for one in page]
        assert len(found) == len(set(found)), "a letter is repeated"
        before = (page[-1].at, page[-1].id)
    return found


async def test_letter_round_trip(letters: DeadLetters) -> None:
    """A letter comes back as it was put."""
    await letters.put(make_dead_letter())
    assert await letters.get("a:1") == make_dead_letter()
    assert await letters.get("a:2") is None


async def test_last_of_equal_letters_stands(letters: DeadLetters) -> None:
    """A letter that is put twice is there once, and the last one stands."""
    await letters.put(make_dead_letter(error="one", message="first"))
    for _ in range(2):
        await letters.put(make_dead_letter(error="two"))
    assert await letters.page(["default"], 10) == [make_dead_letter(error="two")]


async def test_equal_letters_at_once_are_one(letters: DeadLetters) -> None:
    """Letters that are put at once are there once."""
    await asyncio.gather(*(letters.put(make_dead_letter(_id=f"a:{n % 5}")) for n in range(40)))
    assert await all_ids(letters, 100) == [f"a:{n}" for n in (4, 3, 2, 1, 0)]


async def test_pages_are_complete(letters: DeadLetters) -> None:
    """Pages are newest first, and their cursor leaves out and repeats nothing."""
    # Some died in the same millisecond: there the id decides.
    made = [(PAST + timedelta(milliseconds=n * 7 % 20 // 3), f"a:{n:02}") for n in range(20)]
    for moment, name in made:
        await letters.put(make_dead_letter(_id=name, at=moment))
    expected = [name for _, name in sorted(made, reverse=True)]
    for size in (1, 3, 20, 50):
        assert await all_ids(letters, size) == expected


async def test_page_is_filtered(letters: DeadLetters) -> None:
    """A page shows only what was asked for."""
    await letters.put(make_dead_letter(_id="mine"))
    await letters.put(make_dead_letter(_id="replayed", status="REPLAYED"))
    await letters.put(make_dead_letter(_id="other action", actionId="1" * 24))
    await letters.put(make_dead_letter(_id="other account", accountId="other"))
    await letters.put(make_dead_letter(_id="poison", kind="POISON", accountId=None, actionId=None))
    everybody = ["default", "other", None]
    action = "0" * 24
    assert set(await all_ids(letters, 2, everybody, action_id=action)) == {"mine", "replayed", "other account"}
    assert set(await all_ids(letters, 1, action_id=action)) == {"mine", "replayed"}
    assert set(await all_ids(letters, 1, ["default", None], status="DEAD")) == {"mine", "other action", "poison"}


async def test_one_of_many_claims_a_replay(letters: DeadLetters) -> None:
    """A replay is claimed by one of many."""
    for number in range(10):
        name = f"a:{number}"
        await letters.put(make_dead_letter(_id=name, payload=b"\x00\xff"))
        claimed = await asyncio.gather(*(letters.claim_replay(name, PAST) for _ in range(8)))
        assert claimed.count(True) == 1
        assert not await letters.claim_replay(name, PAST)
        found = await letters.get(name)
        assert found is not None
        assert (found.status, found.replayed_at is not None, found.payload) == ("REPLAYED", True, b"\x00\xff")


async def test_unknown_letter_cannot_be_claimed(letters: DeadLetters) -> None:
    """A letter that is not there cannot be claimed."""
    assert not await letters.claim_replay("nobody", PAST)
    await letters.return_replay("nobody")
    assert await letters.page(["default"], 10) == []


async def test_returned_replay_is_free_again(letters: DeadLetters) -> None:
    """A replay that is returned can be claimed again by one."""
    await letters.put(make_dead_letter(_id="a:1"))
    assert await letters.claim_replay("a:1", PAST)
    await letters.return_replay("a:1")
    found = await letters.get("a:1")
    assert found is not None
    assert found.status == "DEAD"
    assert (await asyncio.gather(*(letters.claim_replay("a:1", PAST) for _ in range(4)))).count(True) == 1


async def test_replayed_chunk_may_die_again(letters: DeadLetters) -> None:
    """A chunk that dies again after its replay can be replayed again."""
    await letters.put(make_dead_letter(_id="a:1"))
    assert await letters.claim_replay("a:1", PAST)
    await letters.put(make_dead_letter(_id="a:1", at=PAST + timedelta(seconds=1)))
    assert await letters.claim_replay("a:1", PAST)


async def test_returned_replay_shows_no_time(letters: DeadLetters) -> None:
    """A letter whose replay was returned shows no time of a replay."""
    await letters.put(make_dead_letter(_id="a:1"))
    assert await letters.claim_replay("a:1", PAST)
    await letters.return_replay("a:1")
    assert await letters.get("a:1") == make_dead_letter()
