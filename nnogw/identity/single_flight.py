"""Single flight: many who want the same answer at the same time share one call for it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Generic, TypeVar

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.python.failure import Failure

K = TypeVar("K")
R = TypeVar("R")


class Call(Generic[R]):
    """One call under way.

    Attributes:
        detached: what it was to find out was forgotten meanwhile: its answer serves those who wait for it, and nobody later.
        abandoned: called when the last who waited has left, if whoever started the call has set it: a call that has not begun need not be
            made.
    """

    __slots__ = ("abandoned", "detached", "waiters", "waiting")

    def __init__(self) -> None:
        self.detached = False
        self.waiting = 0  # waiters that have not left
        self.abandoned: Callable[[], object] | None = None
        self.waiters: list[Deferred[R]] = []


class SingleFlight(Generic[K, R]):
    """The calls under way, at most one for a key.

    Each waiter gets a Deferred of its own. A waiter that is cancelled leaves the others and the call alone; a call that nobody waits for
    any more goes on, for what may be kept of its answer, unless whoever started it has it stopped (`Call.abandoned`).
    """

    __slots__ = ("_calls",)

    def __init__(self) -> None:
        self._calls: dict[K, Call[R]] = {}

    def __contains__(self, key: K) -> bool:
        return key in self._calls

    def __len__(self) -> int:
        return len(self._calls)

    def join(self, key: K, start: Callable[[Call[R]], Deferred[R]]) -> Deferred[R]:
        """Wait for the call under `key`; where there is none, `start` one.

        Returns:
            A Deferred of this waiter's own, which fires with the call's result or failure.
        """
        call = self._calls.get(key)
        begins = call is None
        if call is None:
            call = self._calls[key] = Call()
        waiter: Deferred[R] = Deferred(partial(_leave, call))
        call.waiting += 1
        call.waiters.append(waiter)
        if begins:
            maybeDeferred(start, call).addBoth(self._land, key, call)
        return waiter

    def detach(self, key: K) -> None:
        """Let nobody join the call under `key` any more: what it finds out may be out of date."""
        call = self._calls.pop(key, None)
        if call is not None:
            call.detached = True

    def detach_all(self) -> None:
        """Let nobody join any of the calls under way."""
        for key in list(self._calls):
            self.detach(key)

    def _land(self, result: R | Failure, key: K, call: Call[R]) -> None:
        if not call.detached:
            del self._calls[key]  # first: a waiter's callback may want the next call
        for waiter in call.waiters:
            if waiter.called:  # cancelled
                continue
            if isinstance(result, Failure):
                waiter.errback(result)
            else:
                waiter.callback(result)


def _leave(call: Call[R], _: Deferred[R]) -> None:
    call.waiting -= 1
    if not call.waiting and call.abandoned is not None:
        call.abandoned()
