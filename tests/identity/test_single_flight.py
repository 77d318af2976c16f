"""Many who want the same answer share one call for it."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from nnogw.identity.single_flight import Call, SingleFlight


class SingleFlightTests(SynchronousTestCase):
    """Calls are started here and answered by the test."""

    def setUp(self) -> None:
        self.flights: SingleFlight[str, str] = SingleFlight()
        self.calls: list[Deferred[str]] = []
        self.started: list[Call[str]] = []

    def start(self, call: Call[str]) -> Deferred[str]:
        self.started.append(call)
        self.calls.append(Deferred())
        return self.calls[-1]

    def join(self, key: str = "key") -> Deferred[str]:
        return self.flights.join(key, self.start)

    def test_all_who_wait_for_a_key_share_one_call(self) -> None:
        waiters = [self.join() for _ in range(1000)]
        self.assertEqual(len(self.calls), 1)
        self.calls[0].callback("answer")
        self.assertEqual({self.successResultOf(waiter) for waiter in waiters}, {"answer"})

    def test_each_key_has_its_own_call(self) -> None:
        one, other = self.join("one"), self.join("other")
        self.calls[1].callback("answer")
        self.assertNoResult(one)
        self.assertEqual(self.successResultOf(other), "answer")
        self.assertIn("one", self.flights)
        self.assertNotIn("other", self.flights)

    def test_a_waiter_changes_its_result_for_itself_only(self) -> None:
        one, other = self.join().addCallback(str.upper), self.join()
        self.calls[0].callback("answer")
        self.assertEqual((self.successResultOf(one), self.successResultOf(other)), ("ANSWER", "answer"))

    def test_all_share_a_failure(self) -> None:
        waiters = [self.join(), self.join()]
        self.calls[0].errback(ValueError())
        for waiter in waiters:
            self.failureResultOf(waiter, ValueError)
        self.assertEqual(len(self.flights), 0)

    def test_a_call_that_fails_at_once_fails_its_waiter(self) -> None:
        def start(call: Call[str]) -> Deferred[str]:
            raise ValueError

        self.failureResultOf(self.flights.join("key", start), ValueError)
        self.assertNotIn("key", self.flights)

    def test_a_waiter_that_leaves_does_not_disturb_the_others(self) -> None:
        leaver, stayer = self.join(), self.join()
        leaver.cancel()
        self.failureResultOf(leaver, CancelledError)
        self.calls[0].callback("answer")
        self.assertEqual(self.successResultOf(stayer), "answer")

    def test_a_call_goes_on_when_all_have_left(self) -> None:
        """Its answer may be kept; a newcomer joins it."""
        leaver = self.join()
        leaver.cancel()
        self.failureResultOf(leaver, CancelledError)
        newcomer = self.join()
        self.assertEqual(len(self.calls), 1)
        self.calls[0].callback("answer")
        self.assertEqual(self.successResultOf(newcomer), "answer")

    def test_whoever_started_a_call_is_told_when_all_have_left(self) -> None:
        """Once, and not before the last; newcomers count."""
        told: list[str] = []
        first = self.join()
        self.started[0].abandoned = lambda: told.append("abandoned")
        second = self.join()
        for leaver in (first, second):
            self.assertEqual(told, [])
            leaver.cancel()
            self.failureResultOf(leaver, CancelledError)
        self.assertEqual(told, ["abandoned"])

    def test_a_call_that_ends_because_all_have_left_ends_for_the_last_one_too(self) -> None:
        """A newcomer gets a call of its own."""
        waiter = self.join()
        self.started[0].abandoned = lambda: self.calls[0].errback(CancelledError())
        waiter.cancel()
        self.failureResultOf(waiter, CancelledError)
        newcomer = self.join()
        self.calls[1].callback("answer")
        self.assertEqual(self.successResultOf(newcomer), "answer")

    def test_those_who_got_their_answer_have_not_left(self) -> None:
        told: list[str] = []
        waiter = self.join()
        self.started[0].abandoned = lambda: told.append("abandoned")
        self.calls[0].callback("answer")
        waiter.cancel()
        self.assertEqual((self.successResultOf(waiter), told), ("answer", []))

    def test_a_waiter_may_ask_again_from_its_callback(self) -> None:
        again: list[Deferred[str]] = []
        self.join().addCallback(lambda _: again.append(self.join()))
        self.calls[0].callback("first")
        self.calls[1].callback("second")
        self.assertEqual(self.successResultOf(again[0]), "second")

    def test_a_waiter_may_make_another_leave_from_its_callback(self) -> None:
        first = self.join()
        second = self.join()
        first.addCallback(lambda _: second.cancel())
        self.calls[0].callback("answer")
        self.failureResultOf(second, CancelledError)

    def test_nobody_joins_a_call_that_was_detached(self) -> None:
        """Who waited already gets its answer, and who comes after waits for a call of its own."""
        before = self.join()
        self.flights.detach("key")
        after = self.join()
        self.assertEqual([call.detached for call in self.started], [True, False])
        self.calls[0].callback("old")
        self.assertEqual(self.successResultOf(before), "old")
        self.assertNoResult(after)
        self.assertIn("key", self.flights)
        self.calls[1].callback("new")
        self.assertEqual(self.successResultOf(after), "new")

    def test_all_calls_can_be_detached(self) -> None:
        waiters = [self.join("one"), self.join("other")]
        self.flights.detach_all()
        self.flights.detach("none under way")
        self.assertEqual([call.detached for call in self.started], [True, True])
        for call in self.calls:
            call.callback("answer")
        for waiter in waiters:
            self.successResultOf(waiter)
