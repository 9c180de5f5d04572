"""Roles, accounts and principals: the decisions."""

from __future__ import annotations

from typing import Any

import pytest

from app.domain.access import InvalidToken, Principal, Role, check_account, principal_of_claims


@pytest.mark.parametrize("has", Role)
@pytest.mark.parametrize("needed", Role)
def test_a_role_includes_those_before_it(has: Role, needed: Role) -> None:
    order = ["viewer", "operator", "admin"]
    assert has.covers(needed) == (order.index(has) >= order.index(needed))


@pytest.mark.parametrize("account", ["a", "default", "A-1_b.c@d", "0", "x" * 64, "507f1f77bcf86cd799439011"])
def test_an_account_is_a_short_word(account: str) -> None:
    assert check_account(account) == account


@pytest.mark.parametrize(
    "account",
    ["", "x" * 65, "a b", "a:b", "a/b", "a\n", "ä", "a\0", "$ne", "a,b", "\udcff", "٣", None, 7, True, ["a"], {"a": 1}],
)
def test_bad_account_is_refused(account: Any) -> None:
    """An account that is not valid is refused, and the message says why."""
    with pytest.raises(ValueError, match="must be 1 to 64 letters, digits or"):
        check_account(account)


def principal(**claims: Any) -> Principal:
    return principal_of_claims(claims, account_claim="org", role_claim="groups")


@pytest.mark.parametrize(
    ("groups", "role"),
    [
        ("viewer", Role.VIEWER),
        ("admin", Role.ADMIN),
        (["viewer"], Role.VIEWER),
        (["viewer", "operator"], Role.OPERATOR),
        (["operator", "viewer"], Role.OPERATOR),
        (["staff", "admin", "viewer"], Role.ADMIN),
        ([None, 1, {}, [], "viewer"], Role.VIEWER),
    ],
)
def test_highest_role_counts(groups: Any, role: Role) -> None:
    """The highest role of a token counts."""
    made = principal(org="acme", groups=groups, sub="somebody")
    assert (made.account_id, made.role) == ("acme", role)


@pytest.mark.parametrize(
    "groups", [None, "", "Admin", "ADMIN", "root", "admin ", 2, True, [], ["staff"], [["admin"]], {}]
)
def test_token_without_role(groups: Any) -> None:
    """A token without one of our roles is no credential."""
    with pytest.raises(InvalidToken, match="claim groups names none of the roles viewer, operator, admin"):
        principal(org="acme", groups=groups)


@pytest.mark.parametrize("org", [None, "", "a:b", 7, ["acme"], "x" * 65])
def test_token_without_account(org: Any) -> None:
    """A token without an account is no credential."""
    with pytest.raises(InvalidToken, match="claim org must be 1 to 64"):
        principal(org=org, groups="admin")
