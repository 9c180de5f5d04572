"""Which of several media types an answer is written in: what the client likes best (RFC 9110, section 12.5.1)."""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web

from web.errors.catalogue import NOT_ACCEPTABLE


def preferred(request: web.Request, offered: Sequence[str]) -> str:
    """Return the type that the header ``Accept`` prefers; the first one, where it does not say.

    Raises:
        ApiError: 406, it wants none of them.
    """
    accepted = ",".join(request.headers.getall("Accept", [])) or "*/*"
    wanted = [_range(part) for part in accepted.split(",") if part.strip()]
    weights = {media_type: _weight(media_type, wanted) for media_type in offered}
    best = max(offered, key=weights.__getitem__)
    if not weights[best]:
        raise NOT_ACCEPTABLE(offered=", ".join(offered))
    return best


def _range(text: str) -> tuple[str, float]:
    """Read one range; a weight that is none says that it is not wanted."""
    media_type, *parameters = (part.strip().lower() for part in text.split(";"))
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return media_type, min(max(float(value), 0.0), 1.0)
            except ValueError:
                return media_type, 0.0
    return media_type, 1.0


def _weight(media_type: str, wanted: list[tuple[str, float]]) -> float:
    """Return how much a type is wanted: as the narrowest range says that has it."""
    for form in (media_type, f"{media_type.partition('/')[0]}/*", "*/*"):
        found = [weight for name, weight in wanted if name == form]
        if found:
            return max(found)
    return 0.0
