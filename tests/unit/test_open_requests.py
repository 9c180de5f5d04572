"""Uploads at the same time: so many of a worker, so many of an account, and each place is free again afterwards."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from app.domain.open_requests import OpenRequests, TooManyOpen


def test_an_account_has_its_places() -> None:
    uploads = OpenRequests()
    with ExitStack() as open_ones:
        for _ in range(2):
            open_ones.enter_context(uploads.one_more("acme", most=10, most_of_account=2))
        with pytest.raises(TooManyOpen) as refused:
            open_ones.enter_context(uploads.one_more("acme", most=10, most_of_account=2))
        assert (refused.value.limit, refused.value.of_account) == (2, True)
        open_ones.enter_context(uploads.one_more("other", most=10, most_of_account=2))
    with uploads.one_more("acme", most=10, most_of_account=1):
        pass


def test_worker_has_its_places() -> None:
    """A worker has its places for all accounts together."""
    uploads = OpenRequests()
    with ExitStack() as open_ones:
        for number in range(3):
            open_ones.enter_context(uploads.one_more(f"account{number}", most=3, most_of_account=2))
        with pytest.raises(TooManyOpen) as refused:
            open_ones.enter_context(uploads.one_more("one more", most=3, most_of_account=2))
        assert (refused.value.limit, refused.value.of_account) == (3, False)


def test_failed_upload_frees_its_place() -> None:
    """An upload that fails gives its place back."""
    uploads = OpenRequests()
    for _ in range(3):
        with pytest.raises(OSError), uploads.one_more("acme", most=1, most_of_account=1):
            raise OSError
