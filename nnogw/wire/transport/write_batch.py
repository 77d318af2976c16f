"""What is to be written at the end of a turn of the reactor."""

from __future__ import annotations

from collections.abc import Callable

from twisted.logger import Logger

from nnogw.interfaces import Clock

log = Logger()


class WriteBatch:
    """Collects what is to be done when the current turn of the reactor has handled all its events.

    Args:
        clock: the reactor, or a test's clock.
    """

    __slots__ = ("_calls", "_clock")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._calls: list[Callable[[], None]] = []

    def at_end(self, call: Callable[[], None]) -> None:
        """Call `call` before the reactor waits for events again."""
        if not self._calls:
            self._clock.callLater(0, self._run)
        self._calls.append(call)

    def _run(self) -> None:
        calls, self._calls = self._calls, []
        for call in calls:
            try:
                call()
            except Exception:  # noqa: PERF203  one connection's failure is not the others'
                log.failure("a connection failed to send")
