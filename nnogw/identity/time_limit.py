"""A time limit for a Deferred that takes a late timer for what it is: a process that was frozen, not a peer that was slow."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from nnogw.interfaces import Clock, DelayedCall

T = TypeVar("T")

#: Seconds after its time at which a timer is late. A busy reactor may be that late too; the one iteration more does no harm then.
LATE = 0.1


class TimeLimit:
    """Calls `expired` once, when `seconds` are over, unless it is cancelled before.

    A reactor runs its timers before it reads its sockets. After a freeze that is longer than the limit (SIGSTOP, a paused virtual machine)
    the response may be waiting in the socket. So a timer that fires late lets the reactor read once, and looks again.

    Args:
        clock: calls later.
        seconds: the limit.
        expired: called without arguments.
    """

    __slots__ = ("_clock", "_due", "_expired", "_timer")

    def __init__(self, clock: Clock, seconds: float, expired: Callable[[], object]) -> None:
        self._clock = clock
        self._due = clock.seconds() + seconds
        self._expired = expired
        self._timer: DelayedCall = clock.callLater(seconds, self._fired)

    def cancel(self) -> None:
        """Do not call any more."""
        if self._timer.active():
            self._timer.cancel()

    def _fired(self) -> None:
        if self._clock.seconds() - self._due > LATE:
            self._timer = self._clock.callLater(0, self._expired)
        else:
            self._expired()


def limit(deferred: Deferred[T], seconds: float, clock: Clock, error: Callable[[], Exception]) -> Deferred[T]:
    """Cancel `deferred` if it has no result within `seconds`; it then fails with `error`. As `Deferred.addTimeout`, with a `TimeLimit`.

    Args:
        deferred: what must not take too long.
        seconds: the limit.
        clock: measures it.
        error: returns what `deferred` fails with when the time is over.

    Returns:
        `deferred` itself.
    """
    over = False

    def expired() -> None:
        nonlocal over
        over = True
        deferred.cancel()

    def ended(result: T | Failure) -> T | Failure:
        time_limit.cancel()
        if over and isinstance(result, Failure):  # whatever the cancelling made of it
            return Failure(error())
        return result

    time_limit = TimeLimit(clock, seconds, expired)
    return deferred.addBoth(ended)
