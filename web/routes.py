"""Every route of the API with its view: the one list."""

from __future__ import annotations

from typing import Any

from faust.web import Blueprint

from web.actions import ActionStatisticsView, ActionsView, ActionView
from web.dead_letters import DeadLetterReplayView, DeadLettersView
from web.health import HealthView, ReadyView
from web.records import ActionRecordsView
from web.views import ApiView

ROUTES: tuple[tuple[str, type[ApiView]], ...] = (
    ("/bulk-actions", ActionsView),
    ("/bulk-actions/{action_id}", ActionView),
    ("/bulk-actions/{action_id}/stats", ActionStatisticsView),
    ("/bulk-actions/{action_id}/records", ActionRecordsView),
    ("/dead-letters", DeadLettersView),
    ("/dead-letters/{letter_id}/replay", DeadLetterReplayView),
    ("/health", HealthView),
    ("/ready", ReadyView),
)


def add_to(app: Any) -> None:
    """Serve the routes from the workers of ``app``."""
    blueprint = Blueprint("api")
    for path, view in ROUTES:
        blueprint.route(path, name=view.__name__)(view)
    app.web.blueprints.add("", blueprint)
