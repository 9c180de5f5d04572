"""Names that look like settings and are none: a mistyped one has no effect, and nobody would notice."""

from __future__ import annotations

from collections.abc import Collection, Iterable

#: Others read these from the same ``.env``: the launcher, `docker compose`.
_OF_OTHERS = frozenset({"STACK", "GATEWAY_URI", "S3_ACCESS_KEY", "S3_SECRET_KEY", "PUBLISH"})
_PREFIXES_OF_OTHERS = ("COMPOSE_", "DOCKER_")
#: Variables of botocore (profiles, roles, ...) and of OpenTelemetry, of which there are many.
_OF_LIBRARIES = ("AWS_", "OTEL_")


def unknown_names(given: Iterable[str], settings: Collection[str]) -> dict[str, str | None]:
    """Return the names of a file that are no settings, each with the nearest that is one."""
    found: dict[str, str | None] = {}
    for name in given:
        if name in settings or name in _OF_OTHERS or name.startswith(_PREFIXES_OF_OTHERS):
            continue
        near = mistyped(name, settings)
        if near is None and name.startswith(_OF_LIBRARIES):
            continue
        found[name] = near or _most_alike(name, settings)
    return found


def mistyped(name: str, settings: Collection[str]) -> str | None:
    """Return the setting that was surely meant by a name: it differs by a letter or two."""
    if name in settings or name in _OF_OTHERS:
        return None
    # Of a short word, every other one is a letter away.
    limit = 2 if len(name) > 8 else 1 if len(name) > 4 else 0
    distance, nearest = min((_distance(name, setting, limit), setting) for setting in settings)
    return nearest if distance <= limit else None


def _most_alike(name: str, settings: Collection[str]) -> str | None:
    """Return the setting that has most in common with a name, if that is much."""
    words = set(name.split("_"))

    def likeness(setting: str) -> tuple[float, int]:
        longer = max(len(name), len(setting))
        return 1 - _distance(name, setting, longer) / longer, len(words & set(setting.split("_")))

    best = max(settings, key=likeness)
    return best if likeness(best)[0] >= 0.6 else None


def _distance(one: str, other: str, limit: int) -> int:
    """Return how many letters must be changed, added, left out or swapped; more than ``limit`` counts as one more."""
    if abs(len(one) - len(other)) > limit:
        return limit + 1
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, letter in enumerate(one, 1):
        earlier, before, row = before, row, [i]
        for j, another in enumerate(other, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (letter != another))
            if i > 1 and j > 1 and letter == other[j - 2] and one[i - 2] == another:
                cost = min(cost, earlier[j - 2] + 1)
            row.append(cost)
    return row[-1]
