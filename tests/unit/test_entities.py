"""The registry of entities, and the rules of their fields."""

from __future__ import annotations

from typing import Annotated, TypedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import StringConstraints
from pydantic_core import ValidationError

from app.domain.csv.header import Columns
from app.domain.entities import ENTITIES, Entity, find_entity
from app.domain.rows import check_chunk

CONTACT = ENTITIES["Contact"]


def value(column: str, text: str) -> str:
    result = CONTACT.fields[CONTACT.columns.index(column)].value_validator.validate_python(text)
    assert isinstance(result, str)
    return result


class Deal(TypedDict):
    code: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


def test_contact_columns() -> None:
    """A contact is declared with its columns in order."""
    assert CONTACT.columns == ("id", "name", "email", "status")
    assert (CONTACT.key, CONTACT.unique, CONTACT.collection) == ("id", "email", "contacts")


def test_a_new_entity_is_one_declaration() -> None:
    deal = Entity(name="Deal", model=Deal, collection="deals", key="code")
    checked = check_chunk(deal, Columns(("code",)), b" a \n\nb\n", ",", 1)
    assert checked.records == [{"code": "a"}, {"code": "b"}]
    assert (checked.rows, checked.failures) == ([1, 2], [])


@pytest.mark.parametrize("options", [{"key": "id"}, {"key": "code", "unique": "email"}])
def test_key_fields_are_of_the_model(options: dict[str, str]) -> None:
    """Key and unique field must be fields of the model."""
    with pytest.raises(ValueError, match="must be required fields"):
        Entity(name="Deal", model=Deal, collection="deals", **options)


def test_a_part_of_an_entity() -> None:
    """An entity of which only some fields are known has these in its order, and its key among them."""
    part = CONTACT.only(["status", "id"])
    assert (part.columns, part.key_fields) == (("id", "status"), ("id",))
    assert [field.name for field in part.fields] == ["id", "status"]
    assert CONTACT.columns == ("id", "name", "email", "status")
    with pytest.raises(ValueError, match="nothing without id"):
        CONTACT.only(["name"])


@pytest.mark.parametrize("name", ["Contact", "contact", " CONTACT "])
def test_entity_name_ignores_case(name: str) -> None:
    """Entities are found whatever their case."""
    assert find_entity(name) is CONTACT


def test_an_unknown_entity_is_none() -> None:
    assert find_entity("Spaceship") is None


@pytest.mark.parametrize(
    ("given_text", "normalised"),
    [
        (" Ada.Lovelace@Example.COM ", "ada.lovelace@example.com"),
        ("a+tag@b.co", "a+tag@b.co"),
        ("a@sub.sub.example.museum", "a@sub.sub.example.museum"),
        ("o'neill_1@my-host.org", "o'neill_1@my-host.org"),
        ("jürgen@bücher.de", "jürgen@bücher.de"),
        ("a@xn--bcher-kva.xn--p1ai", "a@xn--bcher-kva.xn--p1ai"),
        ("1@2.io", "1@2.io"),
        ("x" * 242 + "@example.com", "x" * 242 + "@example.com"),
    ],
)
def test_good_addresses_are_lowered(given_text: str, normalised: str) -> None:
    """Ordinary addresses are accepted and put into lower case."""
    assert value("email", given_text) == normalised


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "@b.co",
        "a@",
        "a@b",
        "a@b.",
        "a@.co",
        "a@b..co",
        "a@-b.co",
        "a@b-.co",
        "a@b.c",
        "a@1.2.3.4",
        "a@b@c.co",
        ".a@b.co",
        "a.@b.co",
        "a..b@c.co",
        "a b@c.co",
        "a@b .co",
        "a\n@b.co",
        "a\0@b.co",
        "a,b@c.co",
        "<a@b.co>",
        "x" * 243 + "@example.com",
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        value("email", text)


@pytest.mark.parametrize("text", ["active", " Inactive", "PENDING", "archived "])
def test_status_ignores_case(text: str) -> None:
    """A status is accepted whatever its case."""
    assert value("status", text) == text.strip().lower()


@pytest.mark.parametrize("text", ["", "activ", "activee", "active\0", "actıve", "a|b"])
def test_any_other_status_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        value("status", text)


@pytest.mark.parametrize(("column", "limit"), [("id", 128), ("name", 256)])
def test_text_length_is_limited(column: str, limit: int) -> None:
    """Texts have at least one character and no more than the limit."""
    assert value(column, " é ") == "é"
    assert value(column, f" {'é' * limit} ") == "é" * limit
    for text in ("", "   ", "\u3000\t", "é" * (limit + 1)):
        with pytest.raises(ValidationError):
            value(column, text)


@given(st.sampled_from(CONTACT.columns), st.text(st.characters(exclude_categories=["Cs"])))
def test_normalising_is_idempotent(column: str, text: str) -> None:
    """A normalised value is valid and stays as it is."""
    try:
        once = value(column, text)
    except ValidationError:
        return
    assert value(column, once) == once
    assert "\0" not in once


@pytest.mark.parametrize("char", ["\0", "\n", "\t", "\x1f", "\x7f", "\x85"])
def test_an_id_has_no_control_characters(char: str) -> None:
    with pytest.raises(ValidationError):
        value("id", f"a{char}b")
