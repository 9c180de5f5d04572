"""API keys: random, recognised by form and hash, valid for their time."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from app.domain.access import Role
from app.domain.api_keys import (
    ApiKey,
    KeyState,
    check_key_name,
    fingerprint,
    fit_key_name,
    is_key,
    is_key_id,
    new_key,
    parse_expiry,
)

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
KEY = ApiKey(fingerprint("bulk_x"), "acme", Role.OPERATOR, "nightly", NOW)


def test_keys_are_long_and_never_the_same() -> None:
    made = {new_key() for _ in range(1000)}
    assert len(made) == 1000
    assert all(is_key(key) and len(key) == len("bulk_") + 43 for key in made), "43 characters are 256 bits in base64"


@pytest.mark.parametrize("text", ["", "bulk_", "x" * 48, "bulk_" + "x" * 42, "bulk_" + "x" * 44, "BULK_" + "x" * 43])
def test_malformed_key_is_not_looked_up(text: str) -> None:
    """What does not have the form of a key is not looked for in the database."""
    assert not is_key(text)


@pytest.mark.parametrize("odd", ["\n", " ", "\0", "ä", "\udcff", "$", "+", "/"])
def test_odd_characters_are_in_no_key(odd: str) -> None:
    assert not is_key("bulk_" + "x" * 42 + odd)
    assert not is_key("bulk_" + "x" * 43 + odd)


def test_fingerprint_is_stable_and_opaque() -> None:
    """A fingerprint tells nothing of its key, and is always the same."""
    key = new_key()
    assert fingerprint(key) == fingerprint(key) != fingerprint(new_key())
    assert len(fingerprint(key)) == 64
    assert key not in repr(replace(KEY, fingerprint=fingerprint(key)))


@pytest.mark.parametrize(
    ("expires", "revoked", "state"),
    [
        (None, None, KeyState.ACTIVE),
        (NOW + timedelta(microseconds=1), None, KeyState.ACTIVE),
        (NOW, None, KeyState.EXPIRED),
        (NOW - timedelta(days=1), None, KeyState.EXPIRED),
        (None, NOW, KeyState.REVOKED),
        (NOW + timedelta(days=1), NOW - timedelta(days=1), KeyState.REVOKED),
        (NOW - timedelta(days=1), NOW - timedelta(days=1), KeyState.REVOKED),
    ],
)
def test_key_ends_by_expiry_or_revocation(expires: datetime | None, revoked: datetime | None, state: KeyState) -> None:
    """A key is active until it expires or is revoked."""
    assert replace(KEY, expires_at=expires, revoked_at=revoked).state(NOW) == state


def test_key_has_account_and_role() -> None:
    """The holder of a key acts for its account with its role."""
    assert (KEY.principal.account_id, KEY.principal.role) == ("acme", Role.OPERATOR)
    assert KEY.id in KEY.principal.name
    assert KEY.principal.key_id == KEY.id


def test_id_is_no_key_and_no_fingerprint() -> None:
    key = new_key()
    assert is_key_id(fingerprint(key)[:16])
    for other in ("", key, fingerprint(key), "0" * 15, "0" * 17, "G" * 16, "F" * 16, "\u0663" * 16, "0" * 16 + "\n"):
        assert not is_key_id(other)


@pytest.mark.parametrize("name", ["", "nightly", "x" * 100, "Müller & Söhne", "<b>", "\N{PILE OF POO}"])
def test_printable_name_is_a_name(name: str) -> None:
    assert check_key_name(name) == fit_key_name(name) == name


@pytest.mark.parametrize(
    ("name", "fit"),
    [("x" * 101, "x" * 100), ("a\nb", "ab"), ("\x1b[2J", "[2J"), ("a\u202eb", "ab"), ("\udcff\0", "")],
)
def test_other_name_is_refused_or_cut(name: str, fit: str) -> None:
    """The API refuses what the command makes fit."""
    with pytest.raises(ValueError, match="must be printable text of at most 100 characters"):
        check_key_name(name)
    assert fit_key_name(name) == fit


@pytest.mark.parametrize("name", [None, 1, True, ["x"], {"$ne": None}])
def test_name_of_another_type_is_refused(name: object) -> None:
    with pytest.raises(ValueError, match="must be printable text"):
        check_key_name(name)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("90d", NOW + timedelta(days=90)),
        ("12h", NOW + timedelta(hours=12)),
        ("2030-01-31", datetime(2030, 1, 31, tzinfo=UTC)),
        ("2030-01-31T09:00:00Z", datetime(2030, 1, 31, 9, tzinfo=UTC)),
        ("2030-01-31T09:00:00", datetime(2030, 1, 31, 9, tzinfo=UTC)),
        ("2030-01-31T09:00:00+02:00", datetime(2030, 1, 31, 7, tzinfo=UTC)),
    ],
)
def test_expiry_is_duration_or_moment(text: str, moment: datetime) -> None:
    """An expiry is a duration or a moment."""
    assert parse_expiry(text, NOW) == moment


@pytest.mark.parametrize(
    "text", ["", "soon", "90", "d", "-1d", "1.5d", "٣d", "999999999d", "2030-13-01", "9d ", "90d\n"]
)
def test_bad_expiry_is_refused(text: str) -> None:
    """What is not an expiry is refused with examples."""
    with pytest.raises(ValueError, match="must be 90d, 12h or a moment such as"):
        parse_expiry(text, NOW)


@pytest.mark.parametrize("value", [None, 90, 1.5, True, [], {"$gt": ""}])
def test_expiry_of_another_type_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"must be 90d.*no text"):
        parse_expiry(value, NOW)


@pytest.mark.parametrize("text", ["9" * 10_000, "\x1b[2J", "2020-01-01\x1b12:00", "a\nb"])
def test_refused_expiry_is_quoted_safely(text: str) -> None:
    """Short, and without what a terminal would obey."""
    with pytest.raises(ValueError, match="must be") as refused:
        parse_expiry(text, NOW)
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 200


@pytest.mark.parametrize("text", ["0d", "0h", "2025-12-31", "2026-01-01T12:00:00Z", "0001-01-01"])
def test_an_expiry_in_the_past_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be in the future"):
        parse_expiry(text, NOW)


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"])
def test_expiry_beyond_calendar_is_refused(text: str) -> None:
    """A moment beyond what a calendar can hold is refused."""
    with pytest.raises(ValueError, match="must be 90d"):
        parse_expiry(text, NOW)
