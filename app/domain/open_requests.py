"""How many long requests (uploads, streams of events) a worker has at the same time, of all accounts and of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager


class TooManyOpen(Exception):
    """There are as many as there may be at the same time.

    Attributes:
        of_account: Whether that is the limit of the account; else it is that of the worker.
        limit: How many there may be.
    """

    def __init__(self, limit: int, *, of_account: bool) -> None:
        super().__init__(limit)
        self.limit, self.of_account = limit, of_account


class OpenRequests:
    """Requests of one kind that this process is answering."""

    def __init__(self) -> None:
        self._by_account: Counter[str] = Counter()

    @property
    def total(self) -> int:
        """How many there are."""
        return self._by_account.total()

    @contextmanager
    def one_more(self, account_id: str, *, most: int, most_of_account: int) -> Iterator[None]:
        """Count a request while it is answered.

        Raises:
            TooManyOpen: there is no place for it.
        """
        if self._by_account[account_id] >= most_of_account:
            raise TooManyOpen(most_of_account, of_account=True)
        if self.total >= most:
            raise TooManyOpen(most, of_account=False)
        self._by_account[account_id] += 1
        try:
            yield
        finally:
            self._by_account[account_id] -= 1
            # Accounts come and go: those without a request are not kept.
            self._by_account += Counter()
