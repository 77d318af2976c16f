"""A time limit that is moved far more often than it runs out."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from nnogw.interfaces import Clock, DelayedCall

T = TypeVar("T")


class Deadline:
    """Calls `expired` when the time that was set last has come.

    Every request moves its connection's limits several times, and a ``callLater`` with its ``cancel`` costs 3–5 µs. So moving a
    deadline only notes the new time; the one timer that is running looks at it when it fires, and goes on waiting if it was too early.

    A reactor runs its timers before it reads its sockets. After the process was stopped for a while (SIGSTOP, a virtual machine that was
    paused) every limit has passed, while what it waited for lies in the socket. So a deadline whose time has come lets the reactor come
    round once more, and expires only if nobody has moved it by then.

    Args:
        clock: tells monotonic seconds and calls later.
        expired: called without arguments, once per `set`.
    """

    __slots__ = ("_at", "_clock", "_expired", "_timer", "_timer_at")

    def __init__(self, clock: Clock, expired: Callable[[], object]) -> None:
        self._clock = clock
        self._expired = expired
        self._at = inf
        self._timer: DelayedCall | None = None
        self._timer_at = inf

    def set(self, seconds: float) -> None:
        """Let the deadline be `seconds` from now, instead of whenever it was; nothing happens after `close`."""
        self._at = at = self._clock.seconds() + seconds
        if at < self._timer_at:
            self._bring_forward()

    def clear(self) -> None:
        """Let there be no deadline for now."""
        self._at = inf

    def close(self) -> None:
        """Let there never be one again: the timer is cancelled."""
        self._at = inf
        self._timer_at = -inf  # no time is before it: `set` arms no timer
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _bring_forward(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._arm()

    def _arm(self) -> None:
        self._timer_at = self._at
        self._timer = self._clock.callLater(self._at - self._clock.seconds(), self._fired)

    def _fired(self) -> None:
        self._timer = None
        self._timer_at = inf
        if self._clock.seconds() >= self._at:
            self._timer = self._clock.callLater(0, self._sockets_were_read)
        elif self._at < inf:
            self._arm()

    def _sockets_were_read(self) -> None:
        self._timer = None
        if self._clock.seconds() >= self._at:
            self._at = inf
            self._expired()
        elif self._at < inf:
            self._arm()


def within(seconds: float, waiting: Deferred[T], clock: Clock, too_late: Callable[[Failure], Exception]) -> Deferred[T]:
    """Cancel `waiting` if it does not fire in time; as ``Deferred.addTimeout`` does it, with a `Deadline`.

    Args:
        seconds: the limit.
        waiting: what is waited for; it is returned.
        clock: tells monotonic seconds and calls later.
        too_late: makes the error that it fails with then, from what it was cancelled with.
    """
    expired = False

    def expire() -> None:
        nonlocal expired
        expired = True
        waiting.cancel()

    deadline = Deadline(clock, expire)
    deadline.set(seconds)

    def over(result: T | Failure) -> T | Failure:
        deadline.close()
        if expired and isinstance(result, Failure):  # whatever the cancelling made of it
            return Failure(too_late(result))
        return result

    return waiting.addBoth(over)
