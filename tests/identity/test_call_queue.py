"""Calls take turns: what one address wants holds up nobody else, and nothing waits without bound."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from nnogw.identity.call_queue import WAITING_PER_CALL, CallQueue, QueuedCall, QueueFull


class CallQueueTests(SynchronousTestCase):
    """Four calls in all, two for one address."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.queue = CallQueue(clock=self.clock, max_calls=4, max_calls_per_address=2)
        self.begun: list[str] = []
        self.calls: dict[str, Deferred[str]] = {}

    def call(self, name: str) -> QueuedCall[str]:
        """Make a call that is named after its address: ``"a1"`` is the first of a."""

        def begin() -> Deferred[str]:
            self.begun.append(name)
            self.calls[name] = Deferred()
            return self.calls[name]

        return self.queue.call(name[0], begin, 3)

    def end(self, name: str) -> None:
        self.calls.pop(name).callback(name)

    def test_a_call_with_room_begins_at_once(self) -> None:
        call = self.call("a1")
        self.assertEqual((self.begun, self.queue.under_way, self.queue.waiting), (["a1"], 1, 0))
        self.end("a1")
        self.assertEqual(self.successResultOf(call.result), "a1")
        self.assertEqual((self.queue.under_way, self.clock.getDelayedCalls()), (0, []))

    def test_an_address_has_only_so_many_under_way(self) -> None:
        """The others go past what it has waiting."""
        for name in ("a1", "a2", "a3", "a4", "b1"):
            self.call(name)
        self.assertEqual((self.begun, self.queue.waiting), (["a1", "a2", "b1"], 2))
        self.end("a1")
        self.assertEqual((self.begun[3:], self.queue.under_way), (["a3"], 3))

    def test_there_are_only_so_many_in_all_and_addresses_take_turns(self) -> None:
        """Whoever has many waiting gets one of them done for one of each other's."""
        for name in ("a1", "a2", "b1", "b2", "c1", "c2", "c3", "d1", "a3"):
            self.call(name)
        self.assertEqual((self.begun, self.queue.under_way, self.queue.waiting), (["a1", "a2", "b1", "b2"], 4, 5))
        for name in ("a1", "a2", "b1", "b2"):
            self.end(name)
        self.assertEqual(self.begun[4:], ["c1", "d1", "a3", "c2"])

    def test_a_call_that_fails_makes_room_as_well(self) -> None:
        first = self.call("a1")
        for name in ("a2", "a3"):
            call = self.call(name)
        self.calls["a1"].errback(ValueError())
        self.failureResultOf(first.result, ValueError)
        self.assertEqual(self.begun[2:], ["a3"])
        self.end("a3")
        self.assertEqual(self.successResultOf(call.result), "a3")

    def test_a_call_that_cannot_be_made_fails(self) -> None:
        def begin() -> Deferred[str]:
            raise ValueError

        self.failureResultOf(self.queue.call("a", begin, 3).result, ValueError)
        self.assertEqual(self.queue.under_way, 0)

    def test_who_gets_no_turn_in_time_fails_and_is_never_called(self) -> None:
        for name in ("a1", "a2", "a3"):
            call = self.call(name)
        self.clock.advance(2.9)
        self.assertNoResult(call.result)
        self.clock.advance(0.1)
        self.assertEqual(str(self.failureResultOf(call.result, QueueFull).value), "no turn within 3 s")
        self.end("a1")
        self.assertEqual((self.begun, self.queue.waiting, self.queue.turned_away), (["a1", "a2"], 0, 1))

    def test_a_turn_ends_the_wait(self) -> None:
        """From then on the call has its own limits."""
        for name in ("a1", "a2", "a3"):
            call = self.call(name)
        self.end("a1")
        self.clock.advance(60)
        self.assertNoResult(call.result)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_who_gives_up_leaves_its_place_to_the_next(self) -> None:
        calls = {name: self.call(name) for name in ("a1", "a2", "a3", "a4")}
        calls["a3"].give_up()
        self.failureResultOf(calls["a3"].result, CancelledError)
        self.end("a1")
        self.assertEqual((self.begun[2:], self.queue.waiting), (["a4"], 0))

    def test_a_call_that_has_begun_goes_on(self) -> None:
        """Whoever gives it up."""
        call = self.call("a1")
        call.give_up()
        self.assertEqual(self.queue.under_way, 1)
        self.end("a1")
        self.assertEqual(self.successResultOf(call.result), "a1")
        call.give_up()

    def test_only_so_many_wait_and_the_longest_line_makes_room(self) -> None:
        """Whoever fills the queue is refused; a newcomer takes the place of its last."""
        room = WAITING_PER_CALL * 4
        calls = [self.call(f"a{number}") for number in range(2 + room)]
        self.call("b1")
        self.call("b2")
        self.assertEqual((self.queue.waiting, self.queue.turned_away), (room, 0))
        self.assertEqual(str(self.failureResultOf(self.call("a").result, QueueFull).value), "too many calls wait")
        newcomer = self.call("b3")
        self.assertNoResult(newcomer.result)
        self.failureResultOf(calls[-1].result, QueueFull)
        self.assertEqual((self.queue.waiting, self.queue.turned_away), (room, 2))
        for call in calls[:-1]:
            self.assertNoResult(call.result)

    def test_with_higher_bounds_what_waits_begins_at_once(self) -> None:
        """As far as there is room, in turns; what it has waited counts no more."""
        calls = [self.call(name) for name in ("a1", "a2", "a3", "a4", "b1", "b2", "c1", "c2", "d1")]
        self.assertEqual((self.begun, self.queue.waiting), (["a1", "a2", "b1", "b2"], 5))
        self.queue.bound(max_calls=7, max_calls_per_address=3)
        self.assertEqual((self.begun[4:], self.queue.under_way, self.queue.waiting), (["a3", "c1", "d1"], 7, 2))
        self.clock.advance(3)
        self.assertEqual([call for call in calls if call.result.called], [calls[3], calls[7]])
        for call in (calls[3], calls[7]):
            self.failureResultOf(call.result, QueueFull)

    def test_with_lower_bounds_what_is_under_way_goes_on_and_nothing_begins_until_they_are_kept(self) -> None:
        for name in ("a1", "a2", "b1", "b2", "a3", "c1"):
            self.call(name)
        self.queue.bound(max_calls=2, max_calls_per_address=1)
        self.assertEqual((self.queue.under_way, self.queue.waiting), (4, 2))
        self.end("a1")
        self.end("b1")
        self.assertEqual((self.begun[4:], self.queue.under_way), ([], 2))
        self.end("b2")
        self.assertEqual((self.begun[4:], self.queue.under_way), (["c1"], 2))
        self.end("c1")
        self.assertEqual((self.begun[5:], self.queue.under_way), ([], 1))
        self.end("a2")
        self.assertEqual((self.begun[5:], self.queue.under_way, self.queue.waiting), (["a3"], 1, 0))

    def test_more_may_wait_than_a_lower_bound_allows(self) -> None:
        """They came before it. Whoever comes after it waits only if it takes another's place."""
        calls = [self.call(f"a{number}") for number in range(12)]
        self.queue.bound(max_calls=1, max_calls_per_address=1)
        self.assertEqual(self.queue.waiting, 10)
        self.failureResultOf(self.call("a").result, QueueFull)
        self.assertNoResult(self.call("b").result)
        self.failureResultOf(calls[-1].result, QueueFull)
        self.assertEqual((self.queue.waiting, self.queue.turned_away), (10, 2))

    def test_calls_that_end_at_once_are_no_stack(self) -> None:
        """A thousand of them may have waited for one that did not."""
        queue = CallQueue(clock=self.clock, max_calls=1000, max_calls_per_address=1)
        first: Deferred[str] = Deferred()
        queue.call("a", lambda: first, 3)
        calls = [queue.call("a", lambda: succeed("done"), 3) for _ in range(3000)]
        first.callback("done")
        self.assertEqual({self.successResultOf(call.result) for call in calls}, {"done"})
        self.assertEqual((queue.under_way, queue.waiting, self.clock.getDelayedCalls()), (0, 0, []))
