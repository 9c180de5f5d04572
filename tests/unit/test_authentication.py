"""From headers to a principal, as far as no service is needed for it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from multidict import CIMultiDict
from pydantic import SecretStr

from app.adapters.authentication import AnonymousAuthenticator, ApiKeyCache, Credentials, open_authenticator
from app.adapters.identity import TokenVerifier
from app.domain.access import InvalidToken, MissingCredential, Principal, Role, Unauthenticated
from app.domain.api_keys import new_key
from app.settings import Settings
from tests.support.issuer import AUDIENCE, ISSUER, SECRET, token
from tests.support.requests import request_to
from web.errors.problem import ApiError
from web.middleware.access import access_control
from web.views.actions import ActionsView

#: No test here may get as far as the database.
NO_DATABASE = cast(Any, None)


def settings(**changes: Any) -> Settings:
    return Settings(_env_file=None, auth_mode="required", jwt_secret=SecretStr(SECRET), jwt_issuer=ISSUER, **changes)


async def authenticate(*headers: tuple[str, str], **changes: Any) -> Principal:
    return await open_authenticator(settings(**changes), NO_DATABASE).principal(CIMultiDict(headers))


# Without authentication


@pytest.mark.parametrize("name", ["accountid", "AccountId", "ACCOUNTID"])
async def test_open_api_uses_account_header(name: str) -> None:
    """Without authentication the account is that of the header."""
    principal = await AnonymousAuthenticator().principal(CIMultiDict({name: "acme"}))
    assert (principal.account_id, principal.role) == ("acme", Role.ADMIN)


async def test_open_api_has_default_account() -> None:
    """Without authentication and without a header the account is the default one."""
    assert (await AnonymousAuthenticator().principal(CIMultiDict())).account_id == "default"


@pytest.mark.parametrize("values", [[""], ["a:b"], ["a", "a"], ["a", "b"], ["x" * 65]])
async def test_open_api_refuses_bad_account(values: list[str]) -> None:
    """Without authentication an account that is not valid is refused all the same."""
    with pytest.raises(ValueError, match="must be"):
        await AnonymousAuthenticator().principal(CIMultiDict([("accountid", value) for value in values]))


def test_api_is_open_by_default() -> None:
    """The API is open when nothing is configured."""
    assert isinstance(open_authenticator(Settings(_env_file=None), NO_DATABASE), AnonymousAuthenticator)


# With authentication


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "Bearer  "])
async def test_token_scheme_ignores_case(scheme: str) -> None:
    """A token is accepted whatever the case of its scheme."""
    principal = await authenticate(("authorization", f"{scheme} {token(account='acme', role='operator')}"))
    assert (principal.account_id, principal.role) == ("acme", Role.OPERATOR)


async def test_account_is_the_credentials() -> None:
    """The account is that of the credential, whatever the header says."""
    principal = await authenticate(("Authorization", f"Bearer {token(account='acme')}"), ("accountid", "other"))
    assert principal.account_id == "acme"


async def test_claim_names_follow_settings() -> None:
    """The claims have the names of the settings."""
    sent = token(account="wrong", role="admin", org="acme", groups=["staff", "viewer"])
    principal = await authenticate(
        ("Authorization", f"Bearer {sent}"), jwt_account_claim="org", jwt_role_claim="groups"
    )
    assert (principal.account_id, principal.role) == ("acme", Role.VIEWER)


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("accountid", "acme")],
        [("Authorization", "Basic YTpi")],
        [("Authorization", "Digest x")],
        [("Authorization", "Bearerx")],
        [("Authorization", "")],
        [("Cookie", f"token={token()}")],
    ],
)
async def test_missing_credential_is_asked_for(headers: list[tuple[str, str]]) -> None:
    """A request without a credential is asked for one."""
    with pytest.raises(MissingCredential, match=r"X-API-Key.*Authorization"):
        await authenticate(*headers)


async def test_other_scheme_beside_token() -> None:
    """Another scheme beside a token is the gateway's business, and is passed over."""
    principal = await authenticate(("Authorization", "Basic YTpi"), ("Authorization", f"Bearer {token()}"))
    assert principal.account_id == "acme"


@pytest.mark.parametrize(
    "headers",
    [
        [("X-API-Key", new_key()), ("Authorization", f"Bearer {token()}")],
        [("X-API-Key", "x"), ("X-API-Key", "x")],
        [("Authorization", f"Bearer {token()}"), ("Authorization", f"Bearer {token()}")],
    ],
)
async def test_two_credentials_are_one_too_many(headers: list[tuple[str, str]]) -> None:
    with pytest.raises(Unauthenticated, match="one credential only"):
        await authenticate(*headers)


@pytest.mark.parametrize(
    "key",
    ["", "x", "bulk_", '{"$ne": null}', pytest.param(f"{new_key()}, {new_key()}", id="two keys"), "\udcff" * 48],
)
async def test_malformed_key_skips_database(key: str) -> None:
    """What is no key is refused without asking the database."""
    with pytest.raises(Unauthenticated, match="The API key is not valid"):
        await authenticate(("X-API-Key", key))


async def test_tokens_need_configuration() -> None:
    """Tokens are refused where none are configured."""
    credentials = Credentials(ApiKeyCache(NO_DATABASE, lifetime=5), None, "account", "role")
    with pytest.raises(InvalidToken, match="not taken here"):
        await credentials.principal(CIMultiDict({"Authorization": f"Bearer {token()}"}))


async def test_keys_alone_are_enough() -> None:
    """Keys alone are enough of a configuration."""
    made = open_authenticator(Settings(_env_file=None, auth_mode="required"), NO_DATABASE)
    assert isinstance(made, Credentials)
    assert made.tokens is None


def test_token_checks_follow_settings() -> None:
    """Issuer, audience and leeway are those of the settings."""
    made = open_authenticator(settings(jwt_audience="others", jwt_leeway=7), NO_DATABASE)
    assert isinstance(made, Credentials)
    assert isinstance(made.tokens, TokenVerifier)
    assert (made.tokens.issuer, made.tokens.audience, made.tokens.leeway) == (ISSUER, "others", 7)
    assert Settings(_env_file=None).jwt_audience == AUDIENCE


# What a client without a credential is offered


async def challenge(auth: Any) -> ApiError:
    """The answer to a request without a credential."""
    request = request_to(ActionsView)
    context = cast(Any, SimpleNamespace(settings=settings(), authenticator=auth))
    with pytest.raises(ApiError) as error:
        await access_control(lambda: context)(request, NO_DATABASE)
    return error.value


@pytest.mark.parametrize("tokens", [True, False])
async def test_challenge_offers_enabled_schemes(tokens: bool) -> None:
    """Only what is switched on is offered.

    Who is told to send a token where none are taken looks for the mistake in the wrong place.
    """
    configured = settings() if tokens else Settings(_env_file=None, auth_mode="required")
    told = await challenge(open_authenticator(configured, NO_DATABASE))
    assert ("bearer token" in told.message) is tokens
    assert "X-API-Key" in told.message
    offered = told.headers["WWW-Authenticate"]
    assert ("Bearer" in offered, "ApiKey" in offered) == (tokens, True)
