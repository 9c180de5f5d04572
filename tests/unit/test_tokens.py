"""Tokens of a shared secret, and which published keys are of use: what needs no service."""

from __future__ import annotations

import time
from typing import Any

import pytest

from app.adapters.identity import SharedSecret, TokenVerifier, usable_keys
from app.domain.access import InvalidToken
from tests.support.issuer import AUDIENCE, ISSUER, SECRET, ec_signer, ed_signer, rsa_signer, token

LEEWAY = 10


def verifier(secret: str = SECRET) -> TokenVerifier:
    return TokenVerifier(SharedSecret(secret), ISSUER, AUDIENCE, LEEWAY)


async def test_a_good_token_tells_its_claims() -> None:
    claims = await verifier().claims(token(account="acme", more=[1, 2]))
    assert (claims["account"], claims["more"]) == ("acme", [1, 2])


@pytest.mark.parametrize("audience", [AUDIENCE, [AUDIENCE], ["another", AUDIENCE]])
async def test_token_with_many_audiences(audience: Any) -> None:
    """A token may be meant for others as well."""
    assert (await verifier().claims(token(aud=audience)))["aud"] == audience


@pytest.mark.parametrize("seconds", [-2 * LEEWAY, -LEEWAY - 1, LEEWAY + 2, 2 * LEEWAY])
async def test_leeway_is_exact(seconds: int) -> None:
    """Clocks may differ by the leeway, and not by more."""
    now = int(time.time())
    expired = token(exp=now - abs(seconds))
    early = token(nbf=now + abs(seconds))
    for sent, words in ((expired, "has expired"), (early, "not valid yet")):
        with pytest.raises(InvalidToken, match=words):
            await verifier().claims(sent)


async def test_token_within_leeway_is_valid() -> None:
    """Within the leeway a token is valid."""
    now = int(time.time())
    assert await verifier().claims(token(exp=now - LEEWAY + 5, nbf=now + LEEWAY - 5, iat=now + LEEWAY - 5))


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        (token(aud="another"), "another audience"),
        (token(iss="another"), "another issuer"),
        (token(exp=None), "needs the claims"),
        (token(aud=None), "needs the claims"),
        (token(iss=None), "needs the claims"),
        (token("another secret, also long enough for HS256"), r"The token is not valid\.$"),
        ("", r"The token is not valid\.$"),
    ],
)
async def test_bad_token_says_why(sent: str, words: str) -> None:
    """The message says what is wrong with a token."""
    with pytest.raises(InvalidToken, match=words):
        await verifier().claims(sent)


async def test_forged_token_hides_claims() -> None:
    """Nothing is said about the claims of a forged token."""
    forged = token("another secret, also long enough for HS256", exp=1, aud="another", iss="another")
    with pytest.raises(InvalidToken, match=r"^The token is not valid\.$"):
        await verifier().claims(forged)


RSA, EC, ED = rsa_signer("rsa"), ec_signer("ec"), ed_signer("ed")


def test_usable_keys_are_found_by_name() -> None:
    """The usable keys of a key set are found by their name."""
    assert set(usable_keys({"keys": [RSA.jwk, EC.jwk, ED.jwk]})) == {"rsa", "ec", "ed"}


def test_key_has_algorithm_of_its_kind() -> None:
    """A key without an algorithm has that of its kind."""
    bare = {name: value for name, value in RSA.jwk.items() if name not in ("alg", "use")}
    assert usable_keys({"keys": [bare]})["rsa"].algorithm_name == "RS256"


USELESS: dict[str, Any] = {
    "a shared secret": {"kty": "oct", "kid": "x", "k": "c2VjcmV0", "alg": "HS256"},
    "a shared secret without algorithm": {"kty": "oct", "kid": "x", "k": "c2VjcmV0"},
    "a key for encryption": {**RSA.jwk, "use": "enc"},
    "a key without name": {name: value for name, value in RSA.jwk.items() if name != "kid"},
    "a key with a number for a name": {**RSA.jwk, "kid": 1},
    "an algorithm that is not pinned": {**RSA.jwk, "alg": "RS512"},
    "no algorithm": {**RSA.jwk, "alg": "none"},
    "an algorithm of another kind": {**RSA.jwk, "alg": "HS256"},
    "an unknown algorithm": {**RSA.jwk, "alg": "RS1"},
    "an unknown kind": {"kty": "magic", "kid": "x"},
    "no kind": {"kid": "x"},
    "no modulus": {"kty": "RSA", "kid": "x", "e": "AQAB"},
    "a broken modulus": {**RSA.jwk, "n": "!"},
    "numbers": {"kty": 1, "kid": "x", "alg": 2},
    "a point beside the curve": {**EC.jwk, "x": EC.jwk["y"]},
    "no object": "key",
    "nothing": None,
}


@pytest.mark.parametrize("kind", USELESS)
def test_useless_key_is_skipped(kind: str) -> None:
    """A key that is of no use is passed over."""
    assert set(usable_keys({"keys": [USELESS[kind], EC.jwk]})) == {"ec"}


@pytest.mark.parametrize("document", [None, [], "keys", 7, {}, {"keys": None}, {"keys": {}}, {"keys": []}])
def test_what_is_no_key_set_is_refused(document: Any) -> None:
    with pytest.raises(ValueError, match="no usable key"):
        usable_keys(document)
