"""The bulk operations platform: an uploaded CSV becomes exact, accounted-for writes.

``app.app``, which ``faust -A app`` asks for, is put together when it is first asked for, so that importing a
part of the package reads no settings.
"""

from __future__ import annotations

import gc
from typing import Any


def __getattr__(name: str) -> Any:
    if name != "app":
        raise AttributeError(name)
    # What modules are made of lives for ever: the collector, which would walk through all of it again and again, took
    # a sixth of the time of the imports.
    gc.disable()
    try:
        globals()["app"] = made = _put_together()
    finally:
        gc.freeze()
        gc.enable()
    return made


def _put_together() -> Any:
    from app.settings import get_settings

    # First: what is wrong with them, or with an entity that is installed, is told in a line each.
    settings = get_settings()

    from app.kafka.worker import without_banner
    from app.main import create_app
    from app.observability.logs import redact_logs

    redact_logs(settings)
    if settings.log_faust == "quiet":
        without_banner()
    return create_app(settings)
