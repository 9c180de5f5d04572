"""The route table says of every method that is served who may use it, and the documentation says the same."""

from __future__ import annotations

import re

import pytest

from app.domain.access import Role
from tests.support.paths import ROOT
from web.routes import ROUTES, Route, needed_role
from web.views.base import ApiView

SECURITY = ROOT / "docs" / "security.md"
METHODS = ("get", "post", "put", "patch", "delete", "options", "search")


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.path)
def test_every_method_of_a_view_has_its_role_and_no_other_has(route: Route) -> None:
    answered = {name.upper() for name in METHODS if getattr(route.view, name) is not getattr(ApiView, name)}
    assert set(route.needs) == answered
    assert route.view.head is ApiView.head, "HEAD is answered by GET"


def test_only_health_readiness_and_the_description_are_open() -> None:
    opened = {route.path for route in ROUTES if None in route.needs.values()}
    assert opened == {"/health", "/ready", "/openapi.json", "/docs"}


@pytest.mark.parametrize("path", [route.path for route in ROUTES if "GET" in route.needs])
def test_head_needs_what_get_needs(path: str) -> None:
    assert needed_role("HEAD", path) == needed_role("GET", path)


@pytest.mark.parametrize(("method", "path"), [("GET", "/"), ("GET", "/new"), ("PURGE", "/health"), ("get", "/health")])
def test_what_is_not_declared_is_for_admins(method: str, path: str) -> None:
    assert needed_role(method, path) == Role.ADMIN


def test_the_documented_table_is_the_declared_one() -> None:
    rows = re.findall(r"^\| `([A-Z]+) (/[^`]*)` \| (\w+) \|", SECURITY.read_text(encoding="utf-8"), re.MULTILINE)
    declared = [
        (method, re.sub(r"\{\w+\}", "{id}", route.path), need or "open")
        for route in ROUTES
        for method, need in route.needs.items()
    ]
    assert rows == declared
