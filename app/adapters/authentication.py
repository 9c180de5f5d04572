"""From what a request sends along to the principal on whose behalf it is made."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

from multidict import MultiMapping

from app.adapters.mongo import ApiKeys
from app.domain.access import (
    DEFAULT_ACCOUNT,
    InvalidToken,
    MissingCredential,
    Principal,
    Role,
    Unauthenticated,
    check_account,
    principal_of_claims,
)
from app.domain.api_keys import ApiKey, InactiveKey, KeyState, fingerprint, is_key
from app.settings import Settings

if TYPE_CHECKING:
    from app.adapters.identity import TokenVerifier

ACCOUNT_HEADER = "accountid"
KEY_HEADER = "X-API-Key"

#: Another scheme of the header ``Authorization`` is a gateway's affair, not ours.
_BEARER = re.compile(r"bearer(?: +(.*))?", re.IGNORECASE | re.DOTALL)

#: Why a key is refused: which of these it is, is nobody's business who does not have a valid one.
INVALID_KEY = "The API key is not valid: it is unknown, expired or revoked."

#: Most keys that are remembered at once.
_MAX_KEYS = 1024


class Authenticator(Protocol):
    """Tells on whose behalf a request is made."""

    @property
    def takes_tokens(self) -> bool:
        """Whether a bearer token can be a credential."""

    async def principal(self, headers: MultiMapping[str]) -> Principal:
        """Return the principal of a request with these headers.

        Raises:
            Unauthenticated: it has no valid credential.
            ValueError: it names an account that cannot be.
            app.domain.access.KeysUnavailable: its token cannot be judged now.
            app.domain.faults.PassingFault: its key cannot be looked up now.
        """

    def forget(self, key: ApiKey) -> None:
        """Look a key up again before it is taken here the next time: it was changed."""


def open_authenticator(settings: Settings, keys: ApiKeys) -> Authenticator:
    """Return what the settings ask for."""
    if settings.auth_mode == "none":
        return AnonymousAuthenticator()
    return Credentials(
        ApiKeyCache(keys, lifetime=settings.api_key_cache),
        _verifier(settings),
        account_claim=settings.jwt_account_claim,
        role_claim=settings.jwt_role_claim,
    )


def _verifier(settings: Settings) -> TokenVerifier | None:
    if settings.jwt_issuer is None:
        return None
    # Only here: what verifies signatures takes long to import, and many do without tokens.
    from app.adapters.identity import JwksClient, SharedSecret, TokenVerifier

    if settings.jwt_jwks_url is not None:
        return TokenVerifier(
            JwksClient(settings.jwt_jwks_url, lifetime=settings.jwt_jwks_cache, stale_lifetime=settings.jwt_jwks_stale),
            settings.jwt_issuer,
            settings.jwt_audience,
            settings.jwt_leeway,
        )
    if settings.jwt_secret is not None:
        secret = SharedSecret(settings.jwt_secret.get_secret_value())
        return TokenVerifier(secret, settings.jwt_issuer, settings.jwt_audience, settings.jwt_leeway)
    return None


def what_to_send(*, takes_tokens: bool) -> str:
    """Return the sentence that asks for a credential."""
    token = " or a bearer token (Authorization)" if takes_tokens else ""
    return f"Please send an API key ({KEY_HEADER}){token}."


class AnonymousAuthenticator:
    """``AUTH_MODE=none``: everybody may do everything, for the account that they name."""

    takes_tokens = False

    async def principal(self, headers: MultiMapping[str]) -> Principal:
        """Take the account's word."""
        named = headers.getall(ACCOUNT_HEADER, [DEFAULT_ACCOUNT])
        if len(named) > 1:
            raise ValueError("must be sent once")
        return Principal(check_account(named[0]), Role.ADMIN, "nobody in particular")

    def forget(self, key: ApiKey) -> None:
        """Do nothing: no key is looked at."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """``AUTH_MODE=required``: an API key or a bearer token, exactly one of them."""

    keys: ApiKeyCache
    tokens: TokenVerifier | None
    account_claim: str
    role_claim: str

    @property
    def takes_tokens(self) -> bool:
        """Whether a bearer token can be a credential."""
        return self.tokens is not None

    async def principal(self, headers: MultiMapping[str]) -> Principal:
        """Check the credential; the account is the credential's, whatever the request says beside it."""
        keys: list[str] = headers.getall(KEY_HEADER, [])
        schemes = (_BEARER.fullmatch(value) for value in headers.getall("Authorization", []))
        tokens = [scheme[1] or "" for scheme in schemes if scheme]
        # With two of them, a proxy in front might have judged one, and this platform the other.
        if len(keys) + len(tokens) > 1:
            raise Unauthenticated("Please send one credential only.")
        if keys:
            return await self._key(keys[0])
        if tokens:
            return await self._token(tokens[0].rstrip(" "))
        raise MissingCredential(what_to_send(takes_tokens=self.takes_tokens))

    def forget(self, key: ApiKey) -> None:
        """Look a key up again before it is taken here the next time: it was changed."""
        self.keys.forget(key.fingerprint)

    async def _key(self, sent: str) -> Principal:
        key = await self.keys.get(fingerprint(sent)) if is_key(sent) else None
        if key is None:
            raise Unauthenticated(INVALID_KEY)
        if (state := key.state(datetime.now(UTC))) != KeyState.ACTIVE:
            raise InactiveKey(INVALID_KEY, key, state)
        return key.principal

    async def _token(self, sent: str) -> Principal:
        if self.tokens is None:
            raise InvalidToken(f"Bearer tokens are not taken here, please send an API key ({KEY_HEADER}).")
        claims = await self.tokens.claims(sent)
        return principal_of_claims(claims, account_claim=self.account_claim, role_claim=self.role_claim)


class ApiKeyCache:
    """Keys by fingerprint, remembered for ``lifetime`` seconds: so long can a revoked key still be taken.

    Only keys that exist are remembered, so that wrong ones cannot drive out the right ones.
    """

    def __init__(self, keys: ApiKeys, *, lifetime: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._keys = keys
        self._lifetime = lifetime
        self._clock = clock
        self._recent: dict[str, tuple[float, ApiKey]] = {}
        self._forgotten = 0

    async def get(self, name: str) -> ApiKey | None:
        """Return the key of that fingerprint, as it was at most ``lifetime`` seconds ago.

        Raises:
            app.domain.faults.PassingFault: it cannot be looked up.
        """
        # Read before the database is asked: what is remembered is never older than it seems.
        now = self._clock()
        if name in self._recent:
            read_at, key = self._recent[name]
            if now - read_at < self._lifetime:
                return key
            del self._recent[name]
        forgotten = self._forgotten
        found = await self._keys.get(name)
        # What was read while a key was forgotten may be that key, as it was before.
        if found is not None and forgotten == self._forgotten:
            if len(self._recent) >= _MAX_KEYS:
                del self._recent[next(iter(self._recent))]
            self._recent[name] = now, found
        return found

    def forget(self, name: str) -> None:
        """Look the key of that fingerprint up again the next time."""
        self._forgotten += 1
        self._recent.pop(name, None)
