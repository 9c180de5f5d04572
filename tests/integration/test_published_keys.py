"""The keys of an identity provider: fetched rarely, kept for their time, and missed in words."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator

import pytest
from jwt import PyJWK

from app.adapters.identity import JwksClient
from app.domain.access import InvalidToken, KeysUnavailable
from tests.support.clocks import ManualClock
from tests.support.issuer import KeyProvider, ec_signer

LIFETIME, PAUSE = 300.0, 5.0
FIRST, SECOND = ec_signer("first"), ec_signer("second")


@pytest.fixture
def provider() -> Iterator[KeyProvider]:
    provider = KeyProvider()
    provider.publish(FIRST)
    yield provider
    provider.close()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def keys(provider: KeyProvider, clock: ManualClock) -> JwksClient:
    return JwksClient(provider.url, lifetime=LIFETIME, pause=PAUSE, clock=clock)


async def find(keys: JwksClient, kid: str) -> PyJWK:
    return await keys.key({"alg": "ES256", "kid": kid})


async def test_keys_are_fetched_once_and_kept(provider: KeyProvider, keys: JwksClient, clock: ManualClock) -> None:
    for _ in range(5):
        assert (await find(keys, "first")).key_id == "first"
        clock.now += LIFETIME / 5
    assert provider.requests == 1
    await find(keys, "first")
    assert provider.requests == 2


async def test_crowd_is_one_request(provider: KeyProvider, keys: JwksClient) -> None:
    """A crowd at the start is one request."""
    found = await asyncio.gather(*(find(keys, "first") for _ in range(50)))
    assert {key.key_id for key in found} == {"first"}
    assert provider.requests == 1


async def test_new_key_is_found_at_once(provider: KeyProvider, keys: JwksClient, clock: ManualClock) -> None:
    """A new key is found without waiting for the lifetime."""
    await find(keys, "first")
    provider.publish(FIRST, SECOND)
    clock.now += PAUSE
    assert (await find(keys, "second")).key_id == "second"


async def test_invented_keys_are_rate_limited(provider: KeyProvider, keys: JwksClient, clock: ManualClock) -> None:
    """Made-up key names do not reach the provider more often than the pause allows."""
    await find(keys, "first")
    clock.now += PAUSE
    for n in range(100):
        with pytest.raises(InvalidToken, match="does not publish"):
            await find(keys, f"made up {n}")
    assert provider.requests == 2


async def test_withdrawn_key_is_refused(provider: KeyProvider, keys: JwksClient, clock: ManualClock) -> None:
    """A withdrawn key is refused after the lifetime."""
    await find(keys, "first")
    provider.publish(SECOND)
    clock.now += LIFETIME
    with pytest.raises(InvalidToken):
        await find(keys, "first")


@pytest.mark.parametrize(
    "instead",
    [
        (500, b"broken"),
        (404, b"{}"),
        (302, b""),
        (200, b""),
        (200, b"<html>"),
        (200, b'{"keys": []}'),
        (200, b'{"keys": [{"kty": "oct", "kid": "first", "k": "c2VjcmV0"}]}'),
        (200, b"[" * 100_000),
        (200, b" " * 300_000 + b"{}"),
        (200, b"\xff\xfe"),
    ],
    ids=["500", "404", "redirect", "empty", "html", "no keys", "useless", "deep", "large", "not UTF-8"],
)
async def test_wrong_answer_counts_as_absent(
    provider: KeyProvider, keys: JwksClient, clock: ManualClock, instead: tuple[int, bytes]
) -> None:
    """A provider that answers something else is a provider that is away."""
    provider.instead = instead
    with pytest.raises(KeysUnavailable):
        await find(keys, "first")
    provider.instead = None
    clock.now += PAUSE
    assert (await find(keys, "first")).key_id == "first"


async def test_absent_provider_is_asked_rarely(provider: KeyProvider, keys: JwksClient) -> None:
    """A provider that is away is not asked by every request."""
    provider.instead = (500, b"")
    for _ in range(20):
        with pytest.raises(KeysUnavailable):
            await find(keys, "first")
    assert provider.requests == 1


async def test_kept_keys_outlast_an_absence(provider: KeyProvider, keys: JwksClient, clock: ManualClock) -> None:
    """Keys that are kept outlast a short absence of the provider."""
    await find(keys, "first")
    provider.instead = (500, b"")
    clock.now += LIFETIME - 1
    with pytest.raises(InvalidToken):
        await find(keys, "unknown")
    assert (await find(keys, "first")).key_id == "first"
    clock.now += 1
    with pytest.raises(KeysUnavailable):
        await find(keys, "first")


async def test_no_listener_counts_as_absent(clock: ManualClock) -> None:
    """Nobody listening is a provider that is away."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/keys"
        with pytest.raises(KeysUnavailable):
            await find(JwksClient(url, lifetime=LIFETIME, clock=clock), "first")


async def test_slow_provider_blocks_nothing(provider: KeyProvider, keys: JwksClient, clock: ManualClock) -> None:
    """The loop turns while the provider is slow, and known keys are found."""
    await find(keys, "first")
    provider.publish(FIRST, SECOND)
    clock.now += PAUSE
    with provider.holding():
        waiting = asyncio.create_task(find(keys, "second"))
        while provider.requests < 2:
            await asyncio.sleep(0.01)
        assert (await find(keys, "first")).key_id == "first"
        assert not waiting.done()
    assert (await waiting).key_id == "second"


async def test_token_without_key_id(provider: KeyProvider, keys: JwksClient) -> None:
    """A token that names no key reaches nobody."""
    for header in ({}, {"kid": None}, {"kid": 1}, {"kid": ["first"]}):
        with pytest.raises(InvalidToken, match="kid"):
            await keys.key(header)
    assert provider.requests == 0


# While the provider is away

STALE = 1000.0


@pytest.fixture
def lasting(provider: KeyProvider, clock: ManualClock) -> JwksClient:
    """Keys that are used on for a time while their provider is away."""
    return JwksClient(provider.url, lifetime=LIFETIME, stale_lifetime=STALE, pause=PAUSE, clock=clock)


async def test_known_keys_outlive_an_outage(provider: KeyProvider, lasting: JwksClient, clock: ManualClock) -> None:
    """For a bounded time; a key that nobody knows cannot be judged meanwhile."""
    await find(lasting, "first")
    provider.instead = (500, b"")
    clock.now += LIFETIME
    for _ in range(3):
        assert (await find(lasting, "first")).key_id == "first"
        clock.now += PAUSE
    with pytest.raises(KeysUnavailable):
        await find(lasting, "second")
    clock.now += STALE
    with pytest.raises(KeysUnavailable):
        await find(lasting, "first")


async def test_known_key_does_not_wait(
    provider: KeyProvider, lasting: JwksClient, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who has a known key does not wait.

    Once the provider is known to be away, it is asked again beside the requests.
    """
    await find(lasting, "first")
    provider.instead = (500, b"")
    clock.now += LIFETIME
    await find(lasting, "first")
    asked = asyncio.Event()

    async def never() -> bytes:
        asked.set()
        await asyncio.Event().wait()
        return b""

    monkeypatch.setattr(lasting, "_read", never)
    clock.now += PAUSE
    async with asyncio.timeout(60):
        for _ in range(3):
            assert (await find(lasting, "first")).key_id == "first"
        await asked.wait()
    assert lasting._in_background is not None
    lasting._in_background.cancel()


async def test_key_withdrawn_meanwhile(provider: KeyProvider, lasting: JwksClient, clock: ManualClock) -> None:
    """A key withdrawn meanwhile is refused."""
    await find(lasting, "first")
    provider.instead = (500, b"")
    clock.now += LIFETIME
    await find(lasting, "first")
    provider.publish(SECOND)
    provider.instead = None
    clock.now += PAUSE
    await find(lasting, "first")
    assert lasting._in_background is not None
    await lasting._in_background
    with pytest.raises(InvalidToken):
        await find(lasting, "first")
