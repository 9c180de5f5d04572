"""How many commands a server is given at once: as many as make it do more in the same time, and no more.

A server that works on one command after the other, or that writes to one file, does not get faster by being asked for
several things at once, and may get slower. Nobody can tell beforehand, so it is measured: hill climbing on the
throughput, one step up or down at a time, within a bound (the family of rules to which TCP Vegas and the gradient
limits of adaptive concurrency belong: Brakmo and Peterson, 1995).
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final

#: Observations at a level before it is judged.
_ENOUGH: Final = 8
#: By which factor one more command at once must raise the throughput.
_WORTH: Final = 1.05
#: Observations until a level is tried again that was not worth it: doubled each time, up to the second.
_FIRST_PAUSE, _LAST_PAUSE = 32, 1024
#: Observations after which the time of a command that is alone is measured again: doubled each time, up to the second,
#: because a server that has just been started gets faster.
_FIRST_REFRESH, _LAST_REFRESH = 64, 1024
#: Weight of a new observation in the time of a command that is alone.
_SMOOTHING: Final = 0.3


class AdaptiveLimit:
    """The number of commands that may be under way at once, between 1 and a bound.

    Throughput is told in units of one command after the other: two at once that take each twice as long do as much.
    So commands of different kinds can be compared.
    """

    def __init__(self, most: int) -> None:
        self._most = max(1, most)
        self._level = 1
        #: Seconds per row of a command that is alone, by kind.
        self._alone: dict[Hashable, float] = {}
        #: Throughput at each level, as it was found last.
        self._throughput = {1: 1.0}
        self._samples: list[float] = []
        #: Observations until the next level is tried, and how long the pause before that is.
        self._pause, self._next_pause = 0, _FIRST_PAUSE
        #: Observations until all is measured anew, and how long until the time after that.
        self._refresh, self._next_refresh = _FIRST_REFRESH, 2 * _FIRST_REFRESH

    @property
    def value(self) -> int:
        """How many commands may be under way at once."""
        return self._level

    def observe(self, kind: Hashable, rows: int, seconds: float, at_once: int) -> None:
        """Take note of a command.

        Args:
            kind: what costs about the same per row; commands of a kind are compared with each other.
            rows: how many rows it was about.
            seconds: how long it took.
            at_once: how many were under way when it began, itself included.
        """
        if rows < 1 or seconds <= 0 or at_once != self._level:
            # With fewer at once than there may be nothing is learnt about the limit.
            return
        kind = kind, rows.bit_length()
        per_row = seconds / rows
        if self._level == 1:
            known = self._alone.get(kind, per_row)
            self._alone[kind] = known + _SMOOTHING * (per_row - known)
            self._samples.append(1.0)
        elif kind in self._alone:
            self._samples.append(self._level * self._alone[kind] / per_row)
        else:
            # Not known how long it takes alone: that is worth finding out soon.
            self._refresh -= _LAST_REFRESH // _ENOUGH
        self._refresh -= 1
        self._pause -= 1
        if len(self._samples) >= _ENOUGH:
            self._judge()

    def _judge(self) -> None:
        level, found = self._level, sum(self._samples) / len(self._samples)
        self._samples.clear()
        self._throughput[level] = found
        if level > 1 and found < _WORTH * self._throughput[level - 1]:
            self._level = level - 1
            self._pause, self._next_pause = self._next_pause, min(2 * self._next_pause, _LAST_PAUSE)
        elif level > 1 and self._refresh <= 0:
            self._level, self._throughput, self._pause = 1, {1: 1.0}, 0
            self._refresh, self._next_refresh = self._next_refresh, min(2 * self._next_refresh, _LAST_REFRESH)
        elif level < self._most and self._pause <= 0:
            self._level = level + 1
