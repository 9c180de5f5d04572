"""What is done about an action without new results: which chunks are sent again, and whether that is a stall.

A chunk that waits behind the chunks of others looks like one that Kafka has lost. So while anything moves a chunk is
sent again only after pauses that double, and an action stalls only if a chunk that was sent again has been begun since
and has no result all the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

#: A pause doubles at most so often: then it is 32 times the first one.
_DOUBLINGS = 5


@dataclass(frozen=True, slots=True)
class Opening:
    """How often a chunk was begun, and when last (None: not known)."""

    count: int
    at: datetime | None = None

    def may_be_in_hand(self, now: datetime, longest: timedelta) -> bool:
        """Tell whether somebody may be running the chunk, when no run takes longer than ``longest``."""
        # On either side: one that was begun in the future was begun by a clock that was wrong.
        return self.at is not None and abs(now - self.at) < longest


_NEVER_BEGUN = Opening(0)


@dataclass(frozen=True, slots=True)
class Reissue:
    """A chunk that was sent again: how often it had been begun by then, how often it was sent again, and when last."""

    index: int
    openings: int
    times: int
    at: datetime

    def to_document(self) -> dict[str, Any]:
        """Return what the action stores."""
        return {"index": self.index, "openings": self.openings, "times": self.times, "at": self.at}

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Reissue:
        """Read what the action stores."""
        return cls(**document)


@dataclass(frozen=True, slots=True)
class StallReview:
    """What a look at an action without new results has shown.

    Attributes:
        send: The chunks to be sent again now.
        reissues: What is to be remembered of missing chunks that were sent again, with those of ``send``.
        in_hand: Whether somebody may be running one of the missing chunks.
        begun: Whether a chunk was begun since it was last sent again, and nobody can be running it any more.
    """

    send: list[int]
    reissues: list[Reissue]
    in_hand: bool
    begun: bool


def pause(first: timedelta, times: int) -> timedelta:
    """Return the pause after something was sent again so many times."""
    return first * (1 << min(times, _DOUBLINGS))


def review(
    missing: Sequence[int],
    openings: Mapping[int, Opening],
    reissues: Iterable[Reissue],
    now: datetime,
    stall_timeout: timedelta,
    *,
    moving: bool,
) -> StallReview:
    """Decide what to do about missing chunks.

    Args:
        missing: the chunks without a result, as many of them as may be in flight.
        openings: those of them that were begun.
        reissues: what was remembered at the last look.
        now: the time.
        stall_timeout: how long an action has no new result before it is looked at; no run of a chunk takes longer.
        moving: whether any action has had new results within that time. If not, and nothing is in hand, a chunk that
            is not begun does not wait behind others: it is lost, and there is nothing to wait for.
    """
    known = {reissue.index: reissue for reissue in reissues}
    send: list[int] = []
    kept: list[Reissue] = []
    in_hand = any(opening.may_be_in_hand(now, stall_timeout) for opening in openings.values())
    begun = False
    for index in missing:
        opening, before = openings.get(index, _NEVER_BEGUN), known.get(index)
        if opening.may_be_in_hand(now, stall_timeout):
            pass
        elif before is None:
            send.append(index)
            kept.append(Reissue(index, opening.count, 1, now))
            continue
        else:
            begun = begun or opening.count > before.openings
            # On either side, as above.
            if abs(now - before.at) >= pause(stall_timeout, before.times if moving or in_hand else 0):
                send.append(index)
                kept.append(Reissue(index, opening.count, before.times + 1, now))
                continue
        if before is not None:
            kept.append(before)
    return StallReview(send, kept, in_hand, begun)
