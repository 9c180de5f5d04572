"""Bearer tokens (JWT): verified with a shared secret, or with the published keys of an identity provider.

The algorithms are pinned by what the settings configure, never by what a token says of itself, and a key that a token
brings along or points to (``jwk``, ``jku``, ``x5u``) is not looked at.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import jwt
import orjson
from aiohttp import ClientError, ClientSession, ClientTimeout
from jwt import PyJWK

from app.domain.access import InvalidToken, KeysUnavailable

log = logging.getLogger(__name__)

SECRET_ALGORITHMS = ("HS256",)
#: All of them asymmetric, so that a public key can never be taken for a shared secret.
PUBLISHED_ALGORITHMS = ("RS256", "PS256", "ES256", "EdDSA")

#: Longest wait for the identity provider, seconds, and largest answer of it that is read, bytes.
_FETCH_TIMEOUT, _MAX_KEY_SET = 5.0, 256 * 1024
#: Shortest time between two requests to it, seconds, however many tokens name keys that nobody knows.
_FETCH_PAUSE = 5.0

#: What PyJWT raises for what a client may have put into a token.
_MALFORMED = (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError)


class KeySource(Protocol):
    """Where the key comes from that a token must be signed with."""

    @property
    def algorithms(self) -> Sequence[str]:
        """The only algorithms that a token may be signed with."""

    async def key(self, header: Mapping[str, Any]) -> str | PyJWK:
        """Return the key for a token of this (untrusted) header.

        Raises:
            InvalidToken: there is no such key.
            KeysUnavailable: it cannot be said now whether there is.
        """


@dataclass(frozen=True, slots=True)
class SharedSecret:
    """The one secret that issuer and platform share."""

    secret: str
    algorithms: Sequence[str] = SECRET_ALGORITHMS

    async def key(self, header: Mapping[str, Any]) -> str:
        """Return the secret, whatever the token says."""
        return self.secret


class JwksClient:
    """The key set (JWKS) at a URL, fetched when it is needed and kept for ``lifetime`` seconds.

    One request at a time goes to the provider, and none sooner than ``pause`` seconds after the last: neither a
    crowd at the start nor tokens with made-up key ids reach it. A key that the provider withdraws is refused
    after ``lifetime``. While the provider cannot be asked, the keys that were there are used for ``stale_lifetime``
    seconds more, without waiting for it; after that tokens cannot be judged, and that is said.
    """

    algorithms: Sequence[str] = PUBLISHED_ALGORITHMS

    def __init__(
        self,
        url: str,
        *,
        lifetime: float,
        stale_lifetime: float = 0.0,
        pause: float = _FETCH_PAUSE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url = url
        self._lifetime = lifetime
        self._stale_lifetime = stale_lifetime
        self._pause = pause
        self._clock = clock
        self._keys: dict[str, PyJWK] = {}
        self._fetched = self._attempted = float("-inf")
        self._failed = False
        self._one_at_a_time = asyncio.Lock()
        self._in_background: asyncio.Task[None] | None = None

    async def key(self, header: Mapping[str, Any]) -> PyJWK:
        """Return the published key that the token names by its ``kid``; asks the provider when need be."""
        name = header.get("kid")
        if not isinstance(name, str):
            raise InvalidToken("The token does not say which key it is signed with (kid).")
        if not self._fresh or name not in self._keys:
            await self._refresh(name)
        if not self._fresh and not (self._usable and name in self._keys):
            raise KeysUnavailable
        if name not in self._keys:
            raise InvalidToken("The token is signed with a key that the issuer does not publish.")
        return self._keys[name]

    async def _refresh(self, name: str) -> None:
        if self._failed and self._usable and name in self._keys:
            # The provider is known to be away: whoever has a key that can be used does not wait for it.
            if self._in_background is None or self._in_background.done():
                self._in_background = asyncio.create_task(self._fetch_if_due(name))
            return
        await self._fetch_if_due(name)

    async def _fetch_if_due(self, name: str) -> None:
        async with self._one_at_a_time:
            if (not self._fresh or name not in self._keys) and self._clock() - self._attempted >= self._pause:
                await self._fetch()

    @property
    def _fresh(self) -> bool:
        return self._clock() - self._fetched < self._lifetime

    @property
    def _usable(self) -> bool:
        """Whether the keys may be used although they are too old, because newer ones cannot be had."""
        return self._failed and self._clock() - self._fetched < self._lifetime + self._stale_lifetime

    async def _fetch(self) -> None:
        """Ask the provider; what goes wrong is logged, and leaves the keys as they are."""
        self._attempted = self._clock()
        try:
            self._keys = usable_keys(orjson.loads(await self._read()))
        except (ClientError, OSError, ValueError) as error:
            log.warning("no keys from %s: %r", self._url, error)
            self._failed = True
        else:
            self._failed = False
            self._fetched = self._clock()

    async def _read(self) -> bytes:
        timeout = ClientTimeout(total=_FETCH_TIMEOUT)
        # Fetches are too rare to keep a connection. A redirect could lead away from what the settings trust.
        async with ClientSession(timeout=timeout) as session, session.get(self._url, allow_redirects=False) as answer:
            if answer.status != 200:
                raise ValueError(f"status {answer.status}")
            body = bytearray()
            async for block in answer.content.iter_any():
                body += block
                if len(body) > _MAX_KEY_SET:
                    raise ValueError(f"more than {_MAX_KEY_SET} bytes")
            return bytes(body)


def usable_keys(document: Any) -> dict[str, PyJWK]:
    """Return the keys of a key set that can verify a signature with one of our algorithms, by their ``kid``.

    Raises:
        ValueError: it is no key set, or none of its keys is of use.
    """
    entries = document.get("keys") if isinstance(document, dict) else None
    found: dict[str, PyJWK] = {}
    for entry in entries if isinstance(entries, list) else ():
        if not isinstance(entry, dict) or entry.get("use", "sig") != "sig" or not isinstance(entry.get("kid"), str):
            continue
        try:
            key = PyJWK(entry)
        except (*_MALFORMED, NotImplementedError, KeyError):
            continue
        if key.algorithm_name in PUBLISHED_ALGORITHMS:
            found[entry["kid"]] = key
    if not found:
        raise ValueError("there is no usable key in the key set")
    return found


@dataclass(frozen=True, slots=True)
class TokenVerifier:
    """Tells the claims of a token that is genuine, meant for this platform, and valid now."""

    keys: KeySource
    issuer: str
    audience: str
    #: By how much the issuer's clock may differ, seconds.
    leeway: float

    async def claims(self, token: str) -> dict[str, Any]:
        """Return the claims of a token.

        Raises:
            InvalidToken: it is not valid; the message says why.
            KeysUnavailable: it cannot be judged now.
        """
        try:
            key = await self.keys.key(jwt.get_unverified_header(token))
            return _JWT.decode(
                token,
                key,
                algorithms=list(self.keys.algorithms),
                issuer=self.issuer,
                audience=self.audience,
                leeway=self.leeway,
                options={"require": ["exp", "iss", "aud"]},
            )
        except _MALFORMED as error:
            raise InvalidToken(_reason(error)) from None


_JWT = jwt.PyJWT(options={"enforce_minimum_key_length": True})

#: What the holder of a token may know. Everything but the signature is said only of tokens that are genuine.
_REASONS: tuple[tuple[type[Exception], str], ...] = (
    (jwt.ExpiredSignatureError, "The token has expired."),
    (jwt.ImmatureSignatureError, "The token is not valid yet."),
    (jwt.InvalidAudienceError, "The token is meant for another audience."),
    (jwt.InvalidIssuerError, "The token is from another issuer."),
    (jwt.MissingRequiredClaimError, "The token needs the claims exp, iss and aud."),
)


def _reason(error: Exception) -> str:
    return next((reason for kind, reason in _REASONS if isinstance(error, kind)), "The token is not valid.")
