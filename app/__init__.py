"""The bulk operations platform: an uploaded CSV becomes exact, accounted-for writes.

``app.app``, which ``faust -A app`` asks for, is put together when it is first asked for, so that importing a
part of the package reads no settings.
"""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    if name != "app":
        raise AttributeError(name)
    from app.settings import get_settings

    # First: what is wrong with them, or with an entity that is installed, is told in a line each.
    settings = get_settings()

    from app.kafka.worker import without_banner
    from app.main import create_app
    from app.observability.logs import redact_logs

    redact_logs(settings)
    if settings.log_faust == "quiet":
        without_banner()
    globals()["app"] = made = create_app(settings)
    return made
