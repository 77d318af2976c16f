"""A time limit that is moved far more often than it runs out."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from nnogw.wire.transport.deadline import Deadline, within


class Waiting(SynchronousTestCase):
    """`within`."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.cancelled = 0
        self.waiting: Deferred[str] = Deferred(self.cancel)
        self.result = within(10, self.waiting, self.clock, lambda _: ValueError("too late"))

    def cancel(self, _: object) -> None:
        """Count a cancellation."""
        self.cancelled += 1

    def test_what_comes_in_time_passes(self) -> None:
        """And leaves no timer."""
        self.clock.advance(9)
        self.waiting.callback("here")
        self.assertEqual(self.successResultOf(self.result), "here")
        self.assertEqual((self.clock.getDelayedCalls(), self.cancelled), ([], 0))

    def test_what_does_not_come_in_time_is_cancelled(self) -> None:
        """And fails with the error that was asked for."""
        self.clock.pump([10, 0])
        self.failureResultOf(self.result, ValueError)
        self.assertEqual(self.cancelled, 1)

    def test_another_failure_and_another_cancellation_pass(self) -> None:
        """They are not the clock's."""
        self.waiting.errback(KeyError())
        self.failureResultOf(self.result, KeyError)
        self.setUp()
        self.result.cancel()
        self.failureResultOf(self.result, CancelledError)


class Deadlines(SynchronousTestCase):
    """`Deadline`."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.expired: list[float] = []
        self.deadline = Deadline(self.clock, lambda: self.expired.append(self.clock.seconds()))

    def test_it_expires_once(self) -> None:
        """At its time."""
        self.deadline.set(10)
        self.clock.advance(9)
        self.assertEqual(self.expired, [])
        self.clock.pump([1, 100])
        self.assertEqual(self.expired, [10])

    def test_it_may_be_put_off(self) -> None:
        """Which costs no new timer."""
        self.deadline.set(10)
        (timer,) = self.clock.getDelayedCalls()
        self.clock.advance(5)
        self.deadline.set(10)
        self.assertEqual(self.clock.getDelayedCalls(), [timer])
        self.clock.pump([5, 4.5, 0.5, 100])
        self.assertEqual(self.expired, [15])

    def test_it_may_be_brought_forward(self) -> None:
        """The timer that was running for the later time is cancelled."""
        self.deadline.set(100)
        self.deadline.set(1)
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.clock.pump([1, 1000])
        self.assertEqual(self.expired, [1])

    def test_it_may_be_cleared(self) -> None:
        """And set again, while the timer of before is still running or when it has come to nothing."""
        self.deadline.set(10)
        self.deadline.clear()
        self.clock.advance(5)
        self.deadline.set(10)
        self.clock.pump([5, 5])
        self.assertEqual(self.expired, [15])
        self.deadline.set(10)
        self.deadline.clear()
        self.clock.advance(100)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.deadline.set(1)
        self.clock.advance(1)
        self.assertEqual(self.expired, [15, 116])

    def test_closed_it_leaves_no_timer(self) -> None:
        """Twice is as good as once."""
        self.deadline.set(10)
        self.deadline.close()
        self.deadline.close()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.clock.advance(100)
        self.assertEqual(self.expired, [])

    def test_it_expires_when_the_sockets_have_been_read(self) -> None:
        """After a freeze the reactor runs its timers first, and what was waited for may lie in a socket."""
        self.deadline.set(10)
        self.clock.callLater(10, self.deadline.set, 10)  # runs between the timer and what it puts off, as a read does
        self.clock.advance(100)
        self.assertEqual(self.expired, [])
        self.clock.pump([10, 0])
        self.assertEqual(self.expired, [110])

    def test_closed_it_cannot_be_set(self) -> None:
        """No timer is armed for a connection that is gone."""
        self.deadline.close()
        self.deadline.set(1)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_it_may_be_set_again_when_it_expires(self) -> None:
        """For the next limit."""
        again = Deadline(self.clock, lambda: (self.expired.append(self.clock.seconds()), again.set(5)))
        again.set(5)
        self.clock.pump([5, 5, 5])
        self.assertEqual(self.expired, [5, 10, 15])

    @settings(deadline=None)
    @given(st.lists(st.tuples(st.integers(0, 20), st.none() | st.integers(0, 30)), max_size=30))
    def test_it_expires_when_a_timer_for_every_change_would(self, script: list[tuple[int, int | None]]) -> None:
        """Whatever is set and cleared, and when."""
        clock = Clock()
        expired: list[float] = []
        deadline = Deadline(clock, lambda: expired.append(clock.seconds()))
        expected: list[float] = []
        due: float | None = None
        for step, seconds in [*script, (1000, None)]:
            for _ in range(step):
                clock.advance(1)
                if due is not None and clock.seconds() >= due:
                    expected.append(clock.seconds())
                    due = None
            if seconds is None:
                deadline.clear()
                due = None
            else:
                deadline.set(seconds + 0.5)
                due = clock.seconds() + seconds + 0.5
        self.assertEqual(expired, expected)
