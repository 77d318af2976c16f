"""Who may call IAM now, and who waits: calls under way are bounded in all and per address, and addresses take turns."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.python.failure import Failure

from nnogw.interfaces import Clock
from nnogw.wire.transport.deadline import Deadline

R = TypeVar("R")

#: Calls that may wait, for each that may be under way: with 256 under way 1024, some hundred bytes each.
WAITING_PER_CALL = 4


class QueueFull(Exception):
    """A call was not made: too many wait already, or its turn did not come in time. The message says which."""


class CallQueue:
    """Makes calls, at most `max_calls` at a time and at most `max_calls_per_address` of them for one address.

    More calls wait. Addresses take turns, so that whoever has hundreds of calls waiting delays nobody else's. When too many wait, the
    newcomer takes the place of the last call of the address that has most waiting; if that is its own, it is refused.

    Args:
        clock: measures how long a call waits.
        max_calls: calls under way in all.
        max_calls_per_address: calls under way for one address.

    Attributes:
        under_way: how many calls have begun and not ended.
        waiting: how many calls wait.
        turned_away: how many calls were not made, for want of a place or of a turn in time.
    """

    def __init__(self, *, clock: Clock, max_calls: int = 256, max_calls_per_address: int = 16) -> None:
        self.under_way = self.waiting = self.turned_away = 0
        self._clock = clock
        self._max_calls = max_calls
        self._max_per_address = max_calls_per_address
        self._active: dict[str, int] = {}  # address → its calls under way, if there are any
        #: Address → its calls that wait, if there are any. The address whose turn is next comes first.
        self._lines: dict[str, deque[QueuedCall[Any]]] = {}  # Any: each call has a result of its own type
        self._advancing = False

    def bound(self, *, max_calls: int, max_calls_per_address: int) -> None:
        """Let other bounds count. Calls that are under way or wait already stay."""
        self._max_calls = max_calls
        self._max_per_address = max_calls_per_address
        self._advance()

    def call(self, address: str, begin: Callable[[], Deferred[R]], timeout: float) -> QueuedCall[R]:
        """Make a call for `address` when its turn comes.

        Args:
            address: whose call it is.
            begin: makes it.
            timeout: seconds that it may wait for its turn. Once it has begun it has its own limits.

        Returns:
            The call. Its `result` fails with `QueueFull` if it was not made.
        """
        queued: QueuedCall[R] = QueuedCall(self, address, begin)
        if self.under_way < self._max_calls and self._active.get(address, 0) < self._max_per_address and address not in self._lines:
            self._begin(queued)
        elif self.waiting < WAITING_PER_CALL * self._max_calls or self._make_room(address):
            self._lines.setdefault(address, deque()).append(queued)
            self.waiting += 1
            queued.limit = Deadline(self._clock, lambda: self._turn_away(queued, f"no turn within {timeout:g} s"))
            queued.limit.set(timeout)
        else:
            self.turned_away += 1
            queued.result.errback(QueueFull("too many calls wait"))
        return queued

    def withdraw(self, queued: QueuedCall[R]) -> bool:
        """Take a call that waits out of its line, and say whether it did wait."""
        if queued.limit is None:
            return False
        queued.limit.close()
        queued.limit = None
        line = self._lines[queued.address]
        line.remove(queued)
        if not line:
            del self._lines[queued.address]
        self.waiting -= 1
        return True

    def _make_room(self, address: str) -> bool:
        """Turn the last call of the longest line away, unless the line of `address` would then be as long."""
        longest = max(self._lines.values(), key=len)
        if len(longest) <= len(self._lines.get(address, ())) + 1:
            return False
        self._turn_away(longest[-1], "too many calls wait")
        return True

    def _turn_away(self, queued: QueuedCall[R], why: str) -> None:
        if self.withdraw(queued):
            self.turned_away += 1
            queued.result.errback(QueueFull(why))

    def _begin(self, queued: QueuedCall[R]) -> None:
        self.under_way += 1
        self._active[queued.address] = self._active.get(queued.address, 0) + 1
        maybeDeferred(queued.begin).addBoth(self._ended, queued)

    def _ended(self, outcome: R | Failure, queued: QueuedCall[R]) -> None:
        self.under_way -= 1
        left = self._active.pop(queued.address) - 1
        if left:
            self._active[queued.address] = left
        if isinstance(outcome, Failure):
            queued.result.errback(outcome)
        else:
            queued.result.callback(outcome)
        self._advance()

    def _advance(self) -> None:
        """Begin what may begin now. A call that ends at once comes back here, and leaves the rest to the loop."""
        if self._advancing:
            return
        self._advancing = True
        try:
            while self.under_way < self._max_calls and (queued := self._next()) is not None:
                self._begin(queued)
        finally:
            self._advancing = False

    def _next(self) -> QueuedCall[Any] | None:  # Any: as in the lines
        """Take out the first call of the first address that has room; that address is then the last whose turn it is.

        At most ``max_calls / max_calls_per_address`` addresses have none, so that the search is short.
        """
        address = next((address for address in self._lines if self._active.get(address, 0) < self._max_per_address), None)
        if address is None:
            return None
        queued = self._lines[address][0]
        self.withdraw(queued)
        if address in self._lines:
            self._lines[address] = self._lines.pop(address)
        return queued


class QueuedCall(Generic[R]):
    """A call that waits for its turn, or has begun.

    Attributes:
        result: what comes of it.
        address: for whom it is made.
        begin: makes it.
        limit: how long it may wait; None when it does not wait.
    """

    __slots__ = ("_queue", "address", "begin", "limit", "result")

    def __init__(self, queue: CallQueue, address: str, begin: Callable[[], Deferred[R]]) -> None:
        self._queue = queue
        self.address = address
        self.begin = begin
        self.limit: Deadline | None = None
        self.result: Deferred[R] = Deferred()

    def give_up(self) -> None:
        """Nobody waits for the call: if it has not begun, it fails with `CancelledError`; if it has, it goes on."""
        if self._queue.withdraw(self):
            self.result.errback(CancelledError())
