"""Idempotency keys: which can be, whose they are, and what makes two requests the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.idempotency import check_key, request_digest, scoped
from tests.support.forms import REQUIRED


@pytest.mark.parametrize(
    "key", ["a", "x" * 255, '"8e03978e-40d5-43dd-bc93-6894a57f9324"', "a b", "~!$%&/()=?{}[]|<>:;,."]
)
def test_ascii_key_is_kept(key: str) -> None:
    """A key of printable ASCII characters is taken as it is."""
    assert check_key(key) == key


@pytest.mark.parametrize("key", ["", "x" * 256, "a\0b", "a\n", "\ta", "a\x7f", "é", "漢字", "\udcff", "a\r\nX: y"])
def test_anything_else_is_not(key: str) -> None:
    with pytest.raises(ValueError, match="must be 1 to 255 printable ASCII characters"):
        check_key(key)


@given(st.text())
def test_accepted_key_can_be_stored(key: str) -> None:
    """A key that is taken can be written and shown."""
    try:
        assert check_key(key).isprintable()
        assert 1 <= len(key) <= 255
    except ValueError:
        assert not key or len(key) > 255 or not (key.isascii() and key.isprintable())


def test_stored_keys_differ_by_account() -> None:
    """No two accounts have the same stored key."""
    assert scoped("a", "b:c") != scoped("a.b", "c")
    assert len({scoped(account, key) for account in ("a", "b") for key in ("a", "b", ":", "a:b")}) == 8


def test_field_order_does_not_matter() -> None:
    """The order of the fields does not make another request."""
    assert request_digest(REQUIRED, "u.csv", "0") == request_digest(dict(reversed(REQUIRED.items())), "u.csv", "0")


def test_fields_name_and_content_matter() -> None:
    """Every field, the name and the content make another request."""
    digests = {
        request_digest(REQUIRED, "u.csv", "0"),
        request_digest({**REQUIRED, "scheduledAt": "2030-01-01T00:00"}, "u.csv", "0"),
        request_digest({**REQUIRED, "entityType": "Lead"}, "u.csv", "0"),
        request_digest(REQUIRED, "v.csv", "0"),
        request_digest(REQUIRED, "u.csv", "1"),
    }
    assert len(digests) == 5


fields = st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3)


@given(fields, fields, st.text(max_size=5), st.text(max_size=5))
def test_what_differs_has_another_digest(one: dict[str, str], two: dict[str, str], name: str, other: str) -> None:
    same = (one, name) == (two, other)
    assert (request_digest(one, name, "0") == request_digest(two, other, "0")) == same
