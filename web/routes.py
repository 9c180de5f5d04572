"""Every route of the API with its view and with the role that each of its methods needs: the one list."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from faust.web import Blueprint

from app.domain.access import Role
from web.openapi.operations import Operation, operation_of
from web.views.actions import ActionStatisticsView, ActionsView, ActionView
from web.views.base import ApiView
from web.views.dead_letters import DeadLetterReplayView, DeadLettersView
from web.views.documentation import DescriptionView, DocsView, prepare
from web.views.health import HealthView, ReadyView
from web.views.metrics import MetricsView
from web.views.records import ActionRecordsView

#: Needs no credential.
OPEN = None

#: Open as well with ``METRICS_AUTH=none``. Its figures are of all accounts, so they are not for every viewer of one.
METRICS = "/metrics"

Needs = Mapping[str, Role | None]


class Route(NamedTuple):
    """A path, its view, and the role that each method needs (HEAD: as GET)."""

    path: str
    view: type[ApiView]
    needs: Needs


ROUTES: tuple[Route, ...] = (
    Route("/bulk-actions", ActionsView, {"GET": Role.VIEWER, "POST": Role.OPERATOR}),
    Route("/bulk-actions/{action_id}", ActionView, {"GET": Role.VIEWER}),
    Route("/bulk-actions/{action_id}/stats", ActionStatisticsView, {"GET": Role.VIEWER}),
    Route("/bulk-actions/{action_id}/records", ActionRecordsView, {"GET": Role.VIEWER}),
    Route("/dead-letters", DeadLettersView, {"GET": Role.OPERATOR}),
    Route("/dead-letters/{letter_id}/replay", DeadLetterReplayView, {"POST": Role.ADMIN}),
    Route("/health", HealthView, {"GET": OPEN}),
    Route("/ready", ReadyView, {"GET": OPEN}),
    Route(METRICS, MetricsView, {"GET": Role.ADMIN}),
    Route("/openapi.json", DescriptionView, {"GET": OPEN}),
    Route("/docs", DocsView, {"GET": OPEN}),
)

_NEEDS: Mapping[tuple[str, str], Role | None] = {
    (method, route.path): need for route in ROUTES for method, need in route.needs.items()
}


def needed_role(method: str, path: str) -> Role | None:
    """Return the role that a method of a route (``/bulk-actions/{action_id}``) needs; None when it is open.

    What is served without being in the list, as a page of Faust's own, is for admins.
    """
    return _NEEDS.get(("GET" if method == "HEAD" else method, path), Role.ADMIN)


_VIEWS: Mapping[str, type[ApiView]] = {route.path: route.view for route in ROUTES}


def operation_at(method: str, path: str) -> Operation | None:
    """Return the description of a method of a route that needs a role; None for those that are open to everybody."""
    method = "GET" if method == "HEAD" else method
    return operation_of(_VIEWS[path], method) if _NEEDS.get((method, path)) is not None else None


def add_to(app: Any) -> None:
    """Serve the routes from the workers of ``app``."""
    blueprint = Blueprint("api")
    for route in ROUTES:
        blueprint.route(route.path, name=route.view.__name__)(route.view)
    app.web.blueprints.add("", blueprint)
    app.api_description = prepare(ROUTES, credential_required=app.settings.auth_mode == "required")
