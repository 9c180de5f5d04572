"""Tokens of an identity provider at a running worker, and the provider away."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import httpx
import pytest

from app.domain.access import Role
from tests.support.assertions import error_of
from tests.support.issuer import SECRET, KeyProvider, claims, encoded, forged, rsa_signer, token
from tests.support.secured import ENCRYPTION, SIGNERS, WEAK, Guarded
from tests.support.waiting import wait_for

RS256, PS256, ES256, EDDSA = (SIGNERS[name] for name in ("RS256", "PS256", "ES256", "EdDSA"))
ATTACKER = rsa_signer("attacker")


def ask(guarded: Guarded, sent: str, path: str = "/bulk-actions") -> httpx.Response:
    return guarded.worker.client.get(path, headers={"Authorization": f"Bearer {sent}"})


@pytest.mark.parametrize("algorithm", SIGNERS)
def test_published_key_lets_in(federated: Guarded, algorithm: str) -> None:
    """A token that is signed with a published key is let in."""
    answer = ask(federated, SIGNERS[algorithm].sign())
    assert (answer.status_code, answer.json()) == (200, [])


@pytest.mark.parametrize("algorithm", SIGNERS)
def test_insufficient_role_is_forbidden(federated: Guarded, algorithm: str) -> None:
    """A role that is not enough is forbidden."""
    assert error_of(ask(federated, SIGNERS[algorithm].sign(role="viewer"), "/dead-letters"))[:2] == (403, "FORBIDDEN")


def test_keys_work_beside_tokens(federated: Guarded) -> None:
    key = federated.key("acme", Role.VIEWER)
    assert federated.worker.client.get("/bulk-actions", headers={"X-API-Key": key}).status_code == 200


def confused(kid: str, secret: str | bytes, algorithm: str = "HS256") -> str:
    """A token that is signed with what everybody can read, as if it were a secret."""
    return forged({"alg": algorithm, "kid": kid}, claims(role="admin"), secret)


HOSTILE: dict[str, str] = {
    # Algorithm confusion
    "HS256 with the public key": confused("rsa", RS256.pem),
    "HS256 with the public key, trimmed": confused("rsa", RS256.pem.strip()),
    "HS256 with the modulus": confused("rsa", RS256.jwk["n"]),
    "HS256 with the public key of a curve": confused("ec", ES256.pem),
    "HS256 with the published shared secret": confused("oct", "a secret that everybody can read here"),
    "HS256 with a secret of other tests": token(SECRET, header={"kid": "rsa"}),
    "RS256 said, HMAC done": confused("rsa", RS256.pem, "RS256"),
    "ES256 said, HMAC done": confused("ec", ES256.pem, "ES256"),
    "EdDSA said, HMAC done": confused("ed", EDDSA.pem, "EdDSA"),
    "alg none": f"{encoded({'alg': 'none', 'kid': 'rsa'})}.{encoded(claims(role='admin'))}.",
    "alg none, in capitals": f"{encoded({'alg': 'NONE', 'kid': 'rsa'})}.{encoded(claims(role='admin'))}.",
    "RS512, which is not pinned": RS256.sign(algorithm="RS512"),
    "RS384, which is not pinned": RS256.sign(algorithm="RS384"),
    "PS256 with a key for RS256": RS256.sign(algorithm="PS256"),
    "RS256 with a key for PS256": PS256.sign(algorithm="RS256"),
    # Whose key
    "an attacker's key": ATTACKER.sign(role="admin"),
    "an attacker's key under a good name": ATTACKER.sign(role="admin", header={"kid": "rsa"}),
    "an attacker's key, brought along": ATTACKER.sign(header={"kid": "rsa", "jwk": ATTACKER.jwk}),
    "a good key under another's name": RS256.sign(header={"kid": "ec"}),
    "a good key under an unknown name": RS256.sign(header={"kid": "unknown"}),
    "a good key under an empty name": RS256.sign(header={"kid": ""}),
    "a good key in capitals": RS256.sign(header={"kid": "RSA"}),
    "a key for encryption": ENCRYPTION.sign(),
    "a weak key": WEAK.sign(),
    # What it says
    "expired": RS256.sign(exp=1),
    "not valid yet": RS256.sign(nbf=4_000_000_000),
    "another audience": RS256.sign(aud="another"),
    "another issuer": RS256.sign(iss="https://attacker.example"),
    "no expiry": RS256.sign(exp=None),
    "no account": RS256.sign(account=None),
    "no role": RS256.sign(role=None),
    # Broken signatures
    "the signature cut": RS256.sign()[:-10],
    "no signature": RS256.sign().rpartition(".")[0] + ".",
    "an ES256 signature of zeros": ES256.sign().rpartition(".")[0] + "." + encoded(bytes(64)),
    "an EdDSA signature of zeros": EDDSA.sign().rpartition(".")[0] + "." + encoded(bytes(64)),
    "an RS256 signature of zeros": RS256.sign().rpartition(".")[0] + "." + encoded(bytes(256)),
    "a signature of another token": RS256.sign(role="admin").rpartition(".")[0] + "." + RS256.sign().rpartition(".")[2],
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_bad_token_is_refused(federated: Guarded, kind: str) -> None:
    """A token that is not valid is refused."""
    answer = ask(federated, HOSTILE[kind])
    assert error_of(answer)[:2] == (401, "INVALID_CREDENTIAL")
    assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]


def test_token_without_key_is_refused(federated: Guarded) -> None:
    """A token that names no key is refused."""
    for kid in (None, 7, ["rsa"], {"rsa": 1}):
        sent = f"{encoded({'alg': 'RS256', 'kid': kid})}.{RS256.sign().partition('.')[2]}"
        assert error_of(ask(federated, sent))[:2] == (401, "INVALID_CREDENTIAL")


@pytest.fixture
def attackers_provider() -> Iterator[KeyProvider]:
    provider = KeyProvider()
    provider.publish(ATTACKER)
    yield provider
    provider.close()


@pytest.mark.parametrize("header", ["jku", "x5u"])
def test_address_in_token_is_not_visited(federated: Guarded, attackers_provider: KeyProvider, header: str) -> None:
    """An address in a token is not visited."""
    for kid in ("attacker", "rsa"):
        sent = ATTACKER.sign(role="admin", header={"kid": kid, header: attackers_provider.url})
        assert error_of(ask(federated, sent))[:2] == (401, "INVALID_CREDENTIAL")
    assert attackers_provider.requests == 0


def test_invented_keys_are_not_passed_on(federated: Guarded, provider: KeyProvider) -> None:
    """Made-up key names are not passed on to the provider one by one."""
    before = provider.requests
    for n in range(50):
        assert ask(federated, ATTACKER.sign(header={"kid": f"made up {n}"})).status_code == 401
    assert provider.requests - before <= 5


def test_keys_are_rotated(federated: Guarded, provider: KeyProvider) -> None:
    """A new key is taken, and a withdrawn one is refused."""
    published = provider.keys
    new = rsa_signer("new")
    try:
        provider.keys = [*published, new.jwk]
        wait_for(lambda: ask(federated, new.sign()).status_code == 200, "the new key is taken")
        provider.keys = published
        wait_for(lambda: ask(federated, new.sign()).status_code == 401, "the withdrawn key is refused")
        assert ask(federated, RS256.sign()).status_code == 200
    finally:
        provider.keys = published


def test_slow_provider_blocks_nobody(federated: Guarded, provider: KeyProvider) -> None:
    """A slow provider holds nobody else up."""
    key = federated.key("acme", Role.VIEWER)
    before = provider.requests
    with provider.holding():
        asked = threading.Event()

        def ask_until_the_provider_is_asked() -> None:
            while not asked.is_set():
                with httpx.Client(base_url=federated.worker.client.base_url, timeout=60) as client:
                    client.get("/bulk-actions", headers={"Authorization": f"Bearer {ATTACKER.sign()}"})

        asking = threading.Thread(target=ask_until_the_provider_is_asked)
        asking.start()
        try:
            wait_for(lambda: provider.requests > before, "the provider is asked")
            for _ in range(10):
                for headers in ({}, {"X-API-Key": key}):
                    path = "/bulk-actions" if headers else "/health"
                    assert federated.worker.client.get(path, headers=headers, timeout=4).status_code == 200
        finally:
            asked.set()
    asking.join()


@pytest.mark.parametrize("instead", [(500, b""), (200, b"<html>")], ids=["broken", "another page"])
def test_provider_outage(federated: Guarded, provider: KeyProvider, instead: tuple[int, bytes]) -> None:
    """A provider that is away is reported, and it is over when the provider is back."""
    key = federated.key("acme", Role.VIEWER)
    wait_for(lambda: ask(federated, RS256.sign()).status_code == 200, "the provider is there")
    provider.instead = instead
    try:
        wait_for(lambda: ask(federated, RS256.sign()).status_code != 200, "the keys are too old")
        answer = ask(federated, RS256.sign())
        assert error_of(answer) == (
            503,
            "TOKEN_KEYS_UNAVAILABLE",
            "The token cannot be checked now, because the keys of its issuer are not to be had.",
        )
        assert answer.headers["Retry-After"] == "5"
        assert federated.worker.client.get("/bulk-actions", headers={"X-API-Key": key}).status_code == 200
        assert federated.worker.client.get("/health").status_code == 200
        assert federated.worker.client.get("/ready").status_code == 200
    finally:
        provider.instead = None
    wait_for(lambda: ask(federated, RS256.sign()).status_code == 200, "tokens are taken again")
