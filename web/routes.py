"""Every route with its view: those of the API, and those of the dashboard."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from faust.web import Blueprint

from web.dashboard.assets import load_dashboard
from web.openapi.operations import Operation
from web.views.access import ApiKeysView, ApiKeyView, WhoAmIView
from web.views.actions import ActionStatisticsView, ActionsView, ActionView
from web.views.base import ApiView
from web.views.closing import ActionCloseView
from web.views.dashboard import DASHBOARD, DashboardAssetView, DashboardView
from web.views.dead_letters import DeadLetterReplayView, DeadLettersView, DeadLetterView
from web.views.documentation import DESCRIPTION, DescriptionView, DocsView, prepare
from web.views.entities import EntitiesView, EntityTemplateView, EntityView
from web.views.events import ActionEventsView, EventsView
from web.views.failures import ActionFailuresView
from web.views.health import HealthView, ReadyView
from web.views.lifecycle import ActionCancelView, ActionPauseView, ActionResumeView
from web.views.metrics import MetricsView
from web.views.record_history import RecordView
from web.views.records import ActionRecordsView
from web.views.results import ActionResultsView
from web.views.retries import ActionRetryView
from web.views.search import ActionLogsView, SearchView
from web.views.workers import WorkersView


class Route(NamedTuple):
    """A path and its view."""

    path: str
    view: type[ApiView]

    @property
    def operations(self) -> Mapping[str, Operation]:
        """The methods of the view, by name."""
        return self.view.operations


ROUTES: tuple[Route, ...] = (
    Route("/bulk-actions", ActionsView),
    Route("/bulk-actions/{action_id}", ActionView),
    Route("/bulk-actions/{action_id}/stats", ActionStatisticsView),
    Route("/bulk-actions/{action_id}/records", ActionRecordsView),
    Route("/bulk-actions/{action_id}/results", ActionResultsView),
    Route("/bulk-actions/{action_id}/failures", ActionFailuresView),
    Route("/bulk-actions/{action_id}/close", ActionCloseView),
    Route("/bulk-actions/{action_id}/cancel", ActionCancelView),
    Route("/bulk-actions/{action_id}/pause", ActionPauseView),
    Route("/bulk-actions/{action_id}/resume", ActionResumeView),
    Route("/bulk-actions/{action_id}/retry", ActionRetryView),
    Route("/bulk-actions/{action_id}/events", ActionEventsView),
    Route("/bulk-actions/{action_id}/logs", ActionLogsView),
    Route("/events", EventsView),
    Route("/search", SearchView),
    Route("/entities", EntitiesView),
    Route("/entities/{entity_type}", EntityView),
    Route("/entities/{entity_type}/template.csv", EntityTemplateView),
    Route("/records/{entity_type}/{record_id}", RecordView),
    Route("/dead-letters", DeadLettersView),
    Route("/dead-letters/{letter_id}", DeadLetterView),
    Route("/dead-letters/{letter_id}/replay", DeadLetterReplayView),
    Route("/whoami", WhoAmIView),
    Route("/api-keys", ApiKeysView),
    Route("/api-keys/{key_id}", ApiKeyView),
    Route("/workers", WorkersView),
    Route("/health", HealthView),
    Route("/ready", ReadyView),
    Route("/metrics", MetricsView),
    Route("/openapi.json", DescriptionView),
    Route("/docs", DocsView),
)

#: What browsers ask for: no part of the API, and of its description. A path of files goes on to the end.
PAGES: tuple[Route, ...] = (
    Route("/", DashboardView),
    Route("/assets/{version}/{path:.+}", DashboardAssetView),
)


def add_to(app: Any) -> None:
    """Serve the routes from the workers of ``app``."""
    blueprint = Blueprint("api")
    for route in (*ROUTES, *PAGES):
        # Any character may stand in a part of a path; aiohttp's own pattern leaves out braces.
        pattern = re.sub(r"\{(\w+)\}", r"{\1:[^/]+}", route.path)
        blueprint.route(pattern, name=route.view.__name__)(route.view)
    app.web.blueprints.add("", blueprint)
    app.web.web_app[DESCRIPTION] = prepare(ROUTES, credential_required=app.settings.auth_mode == "required")
    app.web.web_app[DASHBOARD] = load_dashboard()
