"""Progress: a fold in which each chunk counts once, whatever is delivered, how often and in what order."""

from __future__ import annotations

import json
from collections import deque
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.outcomes import Counts
from app.domain.progress import Progress
from app.domain.streams import MOST_CHUNKS

CHUNKS = st.integers(1, 300)


def counts_of(index: int) -> Counts:
    """Counts that differ from chunk to chunk, so that no wrong sum is right by chance."""
    return Counts(index + 1, 3 * index, 7 * index + 2, index, index, 1)


def sum_of(indexes: set[int]) -> Counts:
    return sum(map(counts_of, indexes), Counts())


@st.composite
def deliveries(draw: st.DrawFn) -> tuple[int, list[int]]:
    """A number of chunks, and their results as they may come: repeated, missing, in any order."""
    count = draw(CHUNKS)
    return count, draw(st.lists(st.integers(0, count - 1), max_size=2 * count))


@given(deliveries())
def test_each_chunk_is_counted_once(delivery: tuple[int, list[int]]) -> None:
    """Results in any order, and repeated, count each chunk once."""
    count, indexes = delivery
    progress = Progress(count)
    for index in indexes:
        progress = progress.count(index, counts_of(index))
    assert progress.counts == sum_of(set(indexes))
    assert progress.counted_chunks == len(set(indexes))
    assert progress.complete == (set(indexes) == set(range(count)))
    assert [progress.has(index) for index in range(count)] == [index in set(indexes) for index in range(count)]


@given(deliveries(), st.integers(0, 600))
def test_recount_equals_counting(delivery: tuple[int, list[int]], split: int) -> None:
    """Folding the ledger gives what counting one by one gives."""
    count, indexes = delivery
    one_by_one = Progress(count, fed=2)
    for index in indexes:
        one_by_one = one_by_one.count(index, counts_of(index))
    begun = Progress(count, fed=2).fold((index, counts_of(index)) for index in indexes[:split])
    assert begun.fold((index, counts_of(index)) for index in indexes) == one_by_one


def test_first_result_stays() -> None:
    """The first result of a chunk stays when another follows."""
    progress = Progress(2).count(1, Counts(success=5)).count(1, Counts(failure=5))
    assert progress.counts == Counts(success=5)


@given(deliveries())
def test_chunks_are_missing_or_counted(delivery: tuple[int, list[int]]) -> None:
    """Each chunk of an action is either missing or counted."""
    count, indexes = delivery
    progress = Progress(count).fold((index, counts_of(index)) for index in indexes)
    missing = progress.missing(count)
    assert missing == sorted(set(range(count)) - set(indexes))
    assert len(missing) + progress.counted_chunks == count
    for limit in (0, 1, 7):
        assert progress.missing(limit) == missing[:limit]


@pytest.mark.parametrize("index", [-1, -300, 3, 4, 10**6])
def test_unknown_index_changes_nothing(index: int) -> None:
    """An index that the action does not have changes nothing."""
    progress = Progress(3).count(1, counts_of(1))
    assert progress.count(index, counts_of(9)) == progress
    assert progress.fold([(index, counts_of(9))]) == progress


@given(deliveries(), st.integers(0, 400))
def test_progress_survives_its_table(delivery: tuple[int, list[int]], fed: int) -> None:
    count, indexes = delivery
    progress = Progress(count).advanced(fed).fold((index, counts_of(index)) for index in indexes)
    assert Progress.from_value(json.loads(json.dumps(progress.to_value()))) == progress


def test_large_state_is_small() -> None:
    """The state of a million chunks is small."""
    progress = Progress(1_000_000, counted=(1 << 1_000_000) - 1)
    assert progress.complete
    assert len(json.dumps(progress.to_value())) < 260_000


@given(CHUNKS, st.integers(0, 400), st.integers(0, 400))
def test_asked_for_only_grows(count: int, first: int, second: int) -> None:
    """What has been asked for only grows, and ends with the last chunk."""
    progress = Progress(count).advanced(first).advanced(second)
    assert progress.fed == min(max(first, second), count)


@given(CHUNKS, st.integers(2, 40), st.integers(0, 2**32))
def test_windows_reach_the_end(count: int, window: int, seed: int) -> None:
    """Windows reach the end with at most one and a half of them in flight.

    What the feeder, the processors and the progress agent do, with results in any order and repeated.
    """
    chance = Random(seed)
    progress = Progress(count).advanced(window)
    in_flight = deque(range(min(window, count)))
    asked = list(in_flight)
    while in_flight:
        assert len(in_flight) <= window + window // 2
        chance.shuffle(in_flight)
        index = in_flight.popleft()
        for _ in range(chance.randint(1, 2)):
            progress = progress.count(index, counts_of(index))
        first = progress.next_window(window)
        if first is not None:
            following = range(first, min(first + window, count))
            asked += following
            in_flight.extend(following)
            progress = progress.advanced(first + window)
    assert progress.complete
    assert asked == list(range(count))
    assert progress.counts == sum_of(set(range(count)))
    assert progress.next_window(window) is None


def test_next_window_comes_at_half() -> None:
    """The next window is asked for when half of the one under way is done."""
    progress = Progress(100).advanced(8)
    firsts = []
    for index in range(4):
        firsts.append(progress.next_window(8))
        progress = progress.count(index, Counts())
    assert (firsts, progress.next_window(8)) == ([None] * 4, 8)


@given(st.lists(st.integers(0, 300), min_size=1))
def test_an_open_action_is_never_complete(indexes: list[int]) -> None:
    """While nobody knows how many chunks there will be each counts once, and none is asked for."""
    progress = Progress(0).unfinished()
    for index in indexes:
        progress = progress.count(index, counts_of(index))
    assert (progress.counts, progress.complete) == (sum_of(set(indexes)), False)
    assert (progress.chunk_count, progress.next_window(16)) == (max(indexes) + 1, None)
    assert Progress.from_value(json.loads(json.dumps(progress.to_value()))) == progress
    known = Progress(progress.chunk_count).fold((index, counts_of(index)) for index in set(indexes))
    assert known.counts == progress.counts


def test_numbers_of_open_actions_are_bounded() -> None:
    """Whatever a message says, an open action does not grow beyond what may be."""
    progress = Progress(0).unfinished()
    assert progress.count(MOST_CHUNKS, counts_of(1)) == progress
    assert progress.count(-1, counts_of(1)) == progress
    assert progress.count(MOST_CHUNKS - 1, counts_of(1)).counted_chunks == 1


def test_what_came_in_a_pause_is_asked_for() -> None:
    """Window by window, also while further chunks come."""
    progress = Progress(40).unfinished().advanced(16)
    assert progress.in_flight() == list(range(16))
    for index in range(8):
        progress = progress.count(index, counts_of(index))
    assert progress.next_window(16) == 16
    progress = progress.advanced(32).count(40, counts_of(40))
    assert (progress.chunk_count, progress.fed) == (41, 32)
