"""Which chunks are sent again, and what counts as a stall."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from app.domain.stalls import Opening, Reissue, StallReview, pause, review

NOW = datetime(2026, 1, 1, tzinfo=UTC)
TIMEOUT = timedelta(seconds=20)
LONG_AGO = NOW - timedelta(hours=1)


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def test_lost_chunks_are_sent_again() -> None:
    """Neither begun nor sent again before: Kafka may have lost them."""
    found = review([3, 5], {}, [], NOW, TIMEOUT, moving=True)
    assert found == StallReview([3, 5], [Reissue(3, 0, 1, NOW), Reissue(5, 0, 1, NOW)], in_hand=False, begun=False)


def test_chunk_in_hand_is_not_resent() -> None:
    """A chunk in hand is not sent again. Whoever began it less than the longest run ago may still be running it."""
    found = review([3, 5], {3: Opening(1, ago(19.9)), 5: Opening(1, ago(20))}, [], NOW, TIMEOUT, moving=True)
    assert (found.send, found.in_hand, found.begun) == ([5], True, False)


def test_old_opening_is_not_in_hand() -> None:
    """An opening of an unknown time is not in hand. Openings of an older version have no time."""
    assert review([3], {3: Opening(2)}, [], NOW, TIMEOUT, moving=True).send == [3]


def test_times_in_the_future_hold_up_nothing() -> None:
    """A clock that was wrong has begun one chunk and sent another again."""
    ahead = NOW + timedelta(hours=1)
    found = review([3, 5], {3: Opening(1, ahead)}, [Reissue(5, 0, 1, ahead)], NOW, TIMEOUT, moving=True)
    assert (found.send, found.in_hand) == ([3, 5], False)


def test_a_waiting_chunk_is_no_stall() -> None:
    """It was sent again, and nobody has begun it since."""
    found = review([3], {3: Opening(1, LONG_AGO)}, [Reissue(3, 1, 1, ago(20))], NOW, TIMEOUT, moving=True)
    assert found == StallReview([], [Reissue(3, 1, 1, ago(20))], in_hand=False, begun=False)


def test_a_chunk_begun_in_vain_is_a_stall() -> None:
    """It was begun after it was sent again, nobody can be running it, and it has no result."""
    assert review([3], {3: Opening(2, ago(21))}, [Reissue(3, 1, 1, ago(25))], NOW, TIMEOUT, moving=True).begun
    assert not review([3], {3: Opening(2, ago(5))}, [Reissue(3, 1, 1, ago(25))], NOW, TIMEOUT, moving=True).begun


@pytest.mark.parametrize(("times", "seconds"), [(0, 20), (1, 40), (2, 80), (5, 640), (6, 640), (1000, 640)])
def test_pauses_double_up_to_a_limit(times: int, seconds: float) -> None:
    """So what Kafka has lost is found at last, and copies stay few."""
    assert pause(TIMEOUT, times) == timedelta(seconds=seconds)
    before = Reissue(3, 0, times, ago(seconds) + timedelta(milliseconds=1))
    assert review([3], {}, [before], NOW, TIMEOUT, moving=True).send == []
    due = Reissue(3, 0, times, ago(seconds))
    assert review([3], {}, [due], NOW, TIMEOUT, moving=True) == StallReview(
        [3], [Reissue(3, 0, times + 1, NOW)], in_hand=False, begun=False
    )


def test_lost_chunk_is_sent_at_once() -> None:
    """Nothing is waited for where nothing moves.

    A chunk that is not begun then is lost again, and is sent at the next look, unless one is in hand.
    """
    before = [Reissue(3, 0, 4, ago(20))]
    assert review([3], {}, before, NOW, TIMEOUT, moving=False).send == [3]
    assert review([3], {}, before, NOW, TIMEOUT, moving=True).send == []
    assert review([3, 5], {5: Opening(1, ago(1))}, before, NOW, TIMEOUT, moving=False).send == []


def test_finished_chunks_are_forgotten() -> None:
    """Chunks with a result are forgotten. The memory is never larger than what may be in flight."""
    found = review([4], {}, [Reissue(3, 0, 2, ago(1)), Reissue(4, 0, 2, ago(1))], NOW, TIMEOUT, moving=True)
    assert found.reissues == [Reissue(4, 0, 2, ago(1))]


def test_copies_of_an_hour_are_few() -> None:
    """One look every 20 seconds, and nothing begins the chunk."""
    reissues: list[Reissue] = []
    sent = 0
    for seconds in range(0, 3600, 20):
        found = review([3], {}, reissues, LONG_AGO + timedelta(seconds=seconds), TIMEOUT, moving=True)
        reissues, sent = found.reissues, sent + len(found.send)
    assert sent == 9


def test_reissue_round_trip() -> None:
    """A reissue is stored and read back, as the database keeps it."""
    reissue = Reissue(3, 1, 2, NOW)
    assert Reissue.from_document(reissue.to_document()) == reissue
