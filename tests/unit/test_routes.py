"""The route table says of every method that is served who may use it, and the documentation says the same."""

from __future__ import annotations

import re

import pytest

from app.domain.access import Role
from app.settings import Settings
from tests.support.paths import ROOT
from tests.support.requests import request_to
from web.requested import needed_role
from web.routes import ROUTES, Route
from web.views.base import ApiView
from web.views.health import HealthView
from web.views.metrics import MetricsView

SECURITY = ROOT / "docs" / "security.md"
SETTINGS = Settings(_env_file=None)
METHODS = ("get", "post", "put", "patch", "delete", "options", "search")


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.path)
def test_methods_have_roles(route: Route) -> None:
    """Every method of a view has its role, and no other has one."""
    answered = {name.upper() for name in METHODS if getattr(route.view, name) is not getattr(ApiView, name)}
    assert set(route.operations) == answered
    assert route.view.head is ApiView.head, "HEAD is answered by GET"


def test_open_routes() -> None:
    """Only health, readiness and the description are open."""
    opened = {route.path for route in ROUTES for operation in route.operations.values() if operation.role is None}
    assert opened == {"/health", "/ready", "/openapi.json", "/docs"}


@pytest.mark.parametrize("view", [route.view for route in ROUTES if "GET" in route.operations])
def test_head_needs_what_get_needs(view: type[ApiView]) -> None:
    get, head = (needed_role(request_to(view, method), SETTINGS) for method in ("GET", "HEAD"))
    assert head == get


@pytest.mark.parametrize(
    ("method", "view"), [("GET", None), ("POST", HealthView), ("PURGE", HealthView), ("SEARCH", HealthView)]
)
def test_undeclared_needs_admin(method: str, view: type[ApiView] | None) -> None:
    """What is not declared is for admins."""
    assert needed_role(request_to(view, method), SETTINGS) == Role.ADMIN


@pytest.mark.parametrize(("metrics_auth", "role"), [("required", Role.ADMIN), ("none", None)])
def test_metrics_open_by_a_setting(metrics_auth: str, role: Role | None) -> None:
    settings = SETTINGS.model_copy(update={"metrics_auth": metrics_auth})
    assert needed_role(request_to(MetricsView), settings) == role


def test_documented_roles_are_declared() -> None:
    """The documented table is the declared one."""
    rows = re.findall(r"^\| `([A-Z]+) (/[^`]*)` \| (\w+) \|", SECURITY.read_text(encoding="utf-8"), re.MULTILINE)
    declared = [
        (method, re.sub(r"\{\w+\}", "{id}", route.path), operation.role or "open")
        for route in ROUTES
        for method, operation in route.operations.items()
    ]
    assert rows == declared
