"""Which known name was probably meant by one that nobody knows."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable

#: How alike two names must be, from 0 to 1 (``difflib``), and how much of a name is looked at, characters.
_ALIKE, _LOOKED_AT = 0.7, 64


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that is nearest to another one; None when none is near.

    Case, and what is neither a letter nor a digit, make no difference: ``scheduled_at`` is ``scheduledAt``.
    """
    folded = {fold(candidate): candidate for candidate in known}
    found = difflib.get_close_matches(fold(name), folded, n=1, cutoff=_ALIKE)
    return folded[found[0]] if found else None


def suggestion(name: str, known: Collection[str]) -> str:
    """Return the end of a sentence that says of a name that there is none: the nearest known one, or all of them."""
    meant = nearest(name, known)
    if meant is not None:
        return f": did you mean {meant}?"
    return f". There is: {', '.join(known)}." if known else ": there is none here."


def fold(name: str) -> str:
    """Return a name without what people write differently: case, blanks, hyphens, underscores."""
    return "".join(filter(str.isalnum, name[:_LOOKED_AT].casefold()))
