"""What is said of values that a field refuses, beside the constraints of its type."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mismatch:
    """What a value is told that its field's pattern refuses: annotate the type with it, beside the
    constraints."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Damaged:
    """A value that is valid, and not what was meant: annotate the type with it, beside the constraints.

    Attributes:
        mark: A text that is in every such value, to find the columns that are worth a look.
        pattern: What such a value is, from its beginning to its end.
    """

    code: str
    message: str
    mark: str
    pattern: re.Pattern[str]
