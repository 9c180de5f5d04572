"""How fast an action is now: an exponentially weighted mean, in which what is long past hardly counts."""

from __future__ import annotations

import math
from dataclasses import dataclass

#: After so many seconds an observation weighs 1/e of a new one.
_MEMORY = 15.0
#: Observations nearer to each other than this are one, seconds: chunks that ran side by side end together.
_APART = 0.5


@dataclass(frozen=True, slots=True)
class Speed:
    """The recent speed of something that counts up.

    Attributes:
        count: The last observed count.
        at: When that was, seconds since 1970.
        rate: Counts per second; None: too little was seen.
    """

    count: int
    at: float
    rate: float | None = None

    def observe(self, count: int, at: float) -> Speed:
        """Return the speed after a further observation; a count that has gone back begins anew."""
        elapsed = at - self.at
        if count < self.count or elapsed < 0:
            return Speed(count, at)
        if elapsed < _APART:
            return self
        seen = (count - self.count) / elapsed
        if self.rate is None:
            return Speed(count, at, seen)
        kept = math.exp(-elapsed / _MEMORY)
        return Speed(count, at, self.rate * kept + seen * (1 - kept))


@dataclass(frozen=True, slots=True)
class Rate:
    """How fast something was when it was last observed.

    Attributes:
        value: Counts per second.
        observed_at: When that was, seconds since 1970.
    """

    value: float
    observed_at: float

    def at(self, now: float) -> float:
        """Return what is left of the rate by now, when nothing was counted since it was observed."""
        return self.value * math.exp(-max(0.0, now - self.observed_at) / _MEMORY)
