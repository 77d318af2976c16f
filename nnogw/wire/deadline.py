"""A time limit that is moved far more often than it runs out."""

from __future__ import annotations

from collections.abc import Callable
from math import inf

from nnogw.interfaces import Clock, DelayedCall


class Deadline:
    """Calls `expired` when the time that was set last has come.

    Every request moves its connection's limits several times, and a ``callLater`` with its ``cancel`` costs 3–5 µs. So moving a
    deadline only notes the new time; the one timer that is running looks at it when it fires, and goes on waiting if it was too early.

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
        """Let the deadline be `seconds` from now, instead of whenever it was."""
        self._at = at = self._clock.seconds() + seconds
        if at < self._timer_at:
            if self._timer is not None:
                self._timer.cancel()
            self._arm()

    def clear(self) -> None:
        """Let there be no deadline for now."""
        self._at = inf

    def close(self) -> None:
        """Let there never be one again: the timer is cancelled."""
        self._at = inf
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._timer_at = inf

    def _arm(self) -> None:
        self._timer_at = self._at
        self._timer = self._clock.callLater(self._at - self._clock.seconds(), self._fired)

    def _fired(self) -> None:
        self._timer = None
        self._timer_at = inf
        if self._clock.seconds() >= self._at:
            self._at = inf
            self._expired()
        elif self._at < inf:
            self._arm()
