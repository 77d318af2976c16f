"""A time limit that fires late looks again: what the process slept through is not the peer's fault."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from nnogw.identity.time_limit import LATE, TimeLimit, limit
from tests.identity.doubles import FreezableClock


class LimitTests(SynchronousTestCase):
    """A Deferred that must not take longer than two seconds."""

    def setUp(self) -> None:
        self.clock = FreezableClock()
        self.cancelled = 0
        self.deferred: Deferred[str] = Deferred(self.cancel)
        limit(self.deferred, 2, self.clock, lambda: ValueError("over"))

    def cancel(self, _: object) -> None:
        self.cancelled += 1

    def test_what_is_in_time_leaves_no_timer(self) -> None:
        self.deferred.callback("result")
        self.assertEqual(self.successResultOf(self.deferred), "result")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_what_fails_in_time_fails_as_it_did(self) -> None:
        self.deferred.errback(KeyError())
        self.failureResultOf(self.deferred, KeyError)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_what_is_not_in_time_is_cancelled(self) -> None:
        self.clock.advance(1.9)
        self.assertNoResult(self.deferred)
        self.clock.advance(0.1)
        self.failureResultOf(self.deferred, ValueError)
        self.assertEqual((self.cancelled, self.clock.getDelayedCalls()), (1, []))

    def test_cancelling_it_is_not_its_end_in_time(self) -> None:
        """Whoever cancels it is told that it was cancelled."""
        self.deferred.addErrback(lambda failure: failure.type.__name__)
        self.deferred.cancel()
        self.assertEqual(self.successResultOf(self.deferred), "CancelledError")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_after_a_freeze_what_waits_in_the_socket_counts(self) -> None:
        self.clock.sockets.append(lambda: self.deferred.callback("result"))
        self.clock.thaw(60)
        self.assertEqual(self.successResultOf(self.deferred), "result")
        self.assertEqual((self.cancelled, self.clock.getDelayedCalls()), (0, []))

    def test_after_a_freeze_what_has_not_come_is_cancelled(self) -> None:
        self.clock.thaw(60)
        self.failureResultOf(self.deferred, ValueError)

    def test_a_timer_that_is_hardly_late_does_not_look_again(self) -> None:
        self.clock.sockets.append(lambda: self.fail("too late") if not self.deferred.called else None)
        self.clock.thaw(2 + LATE / 2)
        self.failureResultOf(self.deferred, ValueError)


class TimeLimitTests(SynchronousTestCase):
    """The timer by itself."""

    def test_it_expires_once_and_can_be_cancelled(self) -> None:
        """Also between the two looks, and when it is over."""
        clock = FreezableClock()
        expired: list[str] = []
        TimeLimit(clock, 1, lambda: expired.append("first"))
        second = TimeLimit(clock, 1, lambda: expired.append("second"))
        clock.sockets.append(second.cancel)
        clock.thaw(60)
        clock.advance(60)
        self.assertEqual(expired, ["first"])
        second.cancel()
