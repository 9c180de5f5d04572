"""What a type says of its values beside its constraints: annotate the type with these.

All of them may also be annotations of a type that another package declares (docs/extending.md).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Mismatch:
    """What a value is told that has not the form of its type; a type without it has the words of its kind."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Damaged:
    """A value that has the form of its type, and is probably not what was meant.

    Attributes:
        code: For a program.
        message: For a person.
        mark: A text that is in every such value, to find the columns that are worth a look; empty: all are.
        pattern: What such a value is, from its beginning to its end.
    """

    code: str
    message: str
    mark: str
    pattern: re.Pattern[str]


@dataclass(frozen=True, slots=True)
class Rewritten:
    """How people write a value, and how it is meant: applied to the text before its form is looked at.

    Attributes:
        rewrite: Returns the text in the form that is looked at; what it does not know, as it is.
        mark: A text that is in every value with something to rewrite; empty: all are looked at.
    """

    rewrite: Callable[[str], str]
    mark: str = ""


@dataclass(frozen=True, slots=True)
class Needs:
    """A further field without which a value means nothing, as an amount without its currency."""

    field: str
