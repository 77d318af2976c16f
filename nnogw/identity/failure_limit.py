"""Guessing: how many credentials of one address IAM may refuse before it is not asked any more."""

from __future__ import annotations

import math

from nnogw.errors import RateLimited
from nnogw.interfaces import FailureStore

#: Addresses whose refused credentials are counted at the same time; those that are near their limit are the last to make room.
MAX_ADDRESSES = 10_000


class FailureLimit:
    """Counts the credentials that IAM refused, per address and whatever the path.

    Args:
        limit: how many may be refused in a window; 0 for no limit.
        period: the length of the window, in seconds.
        store: counts.
    """

    def __init__(self, limit: int, period: float, store: FailureStore) -> None:
        self._limit = limit
        self._period = period
        self._store = store

    def refused(self, address: str) -> None:
        """Count a credential of `address` that IAM has refused."""
        if self._limit:
            self._store.hit(address, self._limit, self._period)

    def check(self, address: str) -> None:
        """Pass if IAM may be asked about another credential of `address`.

        Raises:
            RateLimited: too many were refused.
        """
        if not self._limit:
            return
        decision = self._store.peek(address, self._limit)
        if not decision.allowed:
            reason = f"{self._limit} credentials of this address were refused within {self._period:g} s"
            raise RateLimited(max(math.ceil(decision.reset), 1), reason=reason)
