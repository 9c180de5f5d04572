"""Filters of ids: what is among them always passes, and of the rest one in a thousand."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.id_filter import IdFilter

IDS = st.lists(st.text(min_size=1, max_size=40).map(lambda text: text.encode(errors="replace")), max_size=200)


@given(IDS)
def test_members_always_pass(ids: list[bytes]) -> None:
    """There are no false negatives, whatever the ids are and however often they come."""
    made = IdFilter(IdFilter.of(ids).octets)
    assert all(map(made.may_have, ids))


@given(IDS, st.randoms(use_true_random=False))
def test_order_does_not_matter(ids: list[bytes], generator: random.Random) -> None:
    """The same ids in another order make the same filter: so a chunk that is run again has the same."""
    shuffled = list(ids)
    generator.shuffle(shuffled)
    assert IdFilter.of(shuffled) == IdFilter.of(ids)


def test_empty_filter_has_nothing() -> None:
    assert not IdFilter.of([]).may_have(b"")


@pytest.mark.parametrize("form", ["{:07}", "{}", "customer-{}@example.com", "0d3f{:020x}"])
@pytest.mark.parametrize("count", [1, 100, 2_000, 10_000])
def test_few_others_pass(form: str, count: int) -> None:
    """Of other ids of the same form one in 1,024 passes; three times as many would not be by chance."""
    made = IdFilter.of([form.format(number).encode() for number in range(count)])
    others = 20_000
    passed = sum(made.may_have(form.format(10**6 + number).encode()) for number in range(others))
    # Of a small filter the same few hashes are looked for again and again: that is chance enough.
    assert passed <= 3 * others / 1024 + 10


@pytest.mark.parametrize("count", [100, 2_000, 10_000])
def test_an_id_takes_twelve_bits(count: int) -> None:
    octets = IdFilter.of([str(number).encode() for number in range(count)]).octets
    assert len(octets) <= 12 * count / 8 + 8


def test_stored_filters_stay_readable() -> None:
    """The form is stored: what an older version wrote must be read for as long as its actions are kept."""
    stored = bytes.fromhex(STORED)
    assert IdFilter.of([b"1", b"2", b"3"]).octets == stored
    assert IdFilter(stored).may_have(b"2")
    assert not IdFilter(stored).may_have(b"4")


STORED = "0a030000006831565f2c"
