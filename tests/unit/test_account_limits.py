"""Tiers: what an operator may write, what that gives an account, and one clear reason for everything else."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.account_limits import AccountLimits, limits_of, parse_tiers

COMMON = AccountLimits(uploads=5, reads=600)


@pytest.mark.parametrize(
    "tiers",
    [
        {},
        {"acme": {}},
        {"acme": {"uploads": 100, "reads": 5000, "activeActions": 10, "storedBytes": 2**40}},
        {"default": {"uploads": 0}, "a.b_c@d-e": {"reads": 1}},
    ],
)
def test_tiers_round_trip(tiers: dict[str, Any]) -> None:
    """Tiers are read as they are written, and read again."""
    assert parse_tiers(json.dumps(tiers)) == parse_tiers(tiers) == tiers


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is not JSON"),
        ("{", "is not JSON"),
        ("null", "must be a JSON object such as"),
        ("5", "must be a JSON object such as"),
        ('{"": {}}', "names the account '', which must be 1 to 64 letters"),
        ('{"a b": {}}', "names the account 'a b', which must be"),
        ('{"acme": null}', "has no object of limits for acme"),
        (
            '{"acme": {"writes": 1}}',
            "has the limit 'writes' for acme; known are uploads, reads, activeActions, activeRows, storedB",
        ),
        ('{"acme": {"uploads": true}}', r"whole number from 0 \(no limit\) on as uploads of acme"),
        ('{"acme": {"uploads": 1.0}}', "whole number"),
        ('{"acme": {"uploads": null}}', "whole number"),
        ('{"acme": {"uploads": 9007199254740993}}', "whole number"),
        ('{"acme": {"uploads": NaN}}', "whole number"),
        ('{"acme": {"uploads": 1, "uploads": 2}}', "has 'uploads' twice"),
        ("[" * 100_000, "is nested too deeply|is not JSON"),
    ],
)
def test_bad_tiers_are_refused(text: str, reason: str) -> None:
    """What is not a valid set of tiers is refused with the reason."""
    with pytest.raises(ValueError, match=f"^(has |names |must |is ).*|{reason}") as refused:
        parse_tiers(text)
    assert refused.match(reason)
    assert len(str(refused.value)) < 300


@given(st.text() | st.recursive(st.none() | st.integers() | st.text(), st.lists, max_leaves=5).map(json.dumps))
def test_any_text_is_tiers_or_refused(text: str) -> None:
    """Whatever is written is read as tiers or refused."""
    try:
        parse_tiers(text)
    except ValueError as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("account", "limits"),
    [
        ("acme", AccountLimits(uploads=100, reads=50)),
        ("free", AccountLimits(uploads=0, reads=1)),
        ("other", AccountLimits(uploads=5, reads=50)),
        ("default", AccountLimits(uploads=5, reads=50)),
    ],
)
def test_tier_overrides_what_it_names(account: str, limits: AccountLimits) -> None:
    """A tier changes the limits that it names, and nothing else."""
    tiers = {"acme": {"uploads": 100}, "free": {"uploads": 0, "reads": 1}, "default": {"reads": 50}}
    assert limits_of(account, COMMON, tiers) == limits


def test_no_tiers_means_common_limits() -> None:
    """Without tiers everybody has the common limits."""
    assert limits_of("acme", COMMON, {}) == COMMON
