"""The one policy: what may be used for how long, and who asks again."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from nnogw.identity.freshness import PAUSE, Freshness, Kept, Source, freshness
from nnogw.observability.outage import FAILURES, Outage

KEPT = Kept("value", fresh_until=10, stale_until=20)


class FreshnessTests(SynchronousTestCase):
    """A table of states."""

    def test_each_state_has_its_time(self) -> None:
        unanswered = KEPT.not_answered(10)
        for kept, now, down, expected in (
            (None, 0, False, Freshness.GONE),
            (None, 0, True, Freshness.GONE),
            (KEPT, 9.9, False, Freshness.FRESH),
            (KEPT, 9.9, True, Freshness.FRESH),
            (KEPT, 10, False, Freshness.STALE),
            (KEPT, 19.9, False, Freshness.STALE),
            (KEPT, 10, True, Freshness.BRIDGING),
            (KEPT, 19.9, True, Freshness.BRIDGING),
            (KEPT, 20, False, Freshness.GONE),
            (KEPT, 20, True, Freshness.GONE),
            (unanswered, 10, False, Freshness.BRIDGING),
            (unanswered, 19.9, False, Freshness.BRIDGING),
            (unanswered, 20, False, Freshness.GONE),
        ):
            self.assertIs(freshness(kept, now, down=down), expected, (kept, now, down))


class SourceTests(SynchronousTestCase):
    """Who may ask a source."""

    def setUp(self) -> None:
        self.outage = Outage("down", "source", seconds=Clock().seconds, ledger=None)
        self.source = Source(self.outage, probes=2)

    def go_down(self) -> None:
        for _ in range(FAILURES):
            self.outage.failed("silent", self.outage.successes)
        self.assertTrue(self.source.down)

    def test_while_it_is_up_everybody_may_wait(self) -> None:
        self.assertEqual([self.source.may_wait(subject) for subject in "aaabbb"], [True] * 6)

    def test_while_it_is_down_few_may_wait_each_for_another_question(self) -> None:
        self.go_down()
        self.assertEqual([self.source.may_wait(subject) for subject in "aabc"], [True, False, True, False])
        self.source.ended("a", 0)
        self.assertEqual([self.source.may_wait(subject) for subject in "bca"], [False, True, False])

    def test_what_waited_for_its_turn_may_not_begin_when_it_has_gone_down_meanwhile(self) -> None:
        """But what was let wait for it may."""
        self.source.may_wait("a")
        self.assertTrue(self.source.may_begin("a"))
        self.go_down()
        self.source.may_wait("b")
        self.assertEqual([self.source.may_begin(subject) for subject in "ab"], [False, True])

    def test_the_first_response_ends_it(self) -> None:
        self.go_down()
        self.outage.succeeded()
        self.assertFalse(self.source.down)
        self.assertEqual([self.source.may_wait(subject) for subject in "aabbcc"], [True] * 6)

    def test_while_it_is_down_it_is_asked_from_time_to_time_beside_the_requests(self) -> None:
        """One question at a time, whatever it is about, with a pause after each."""
        self.go_down()
        self.assertEqual([self.source.may_ask_beside(subject, KEPT, 11) for subject in "ab"], [True, False])
        self.source.ended("a", 13)
        self.assertFalse(self.source.may_ask_beside("b", KEPT, 13 + PAUSE - 0.1))
        self.assertTrue(self.source.may_ask_beside("b", KEPT, 13 + PAUSE))

    def test_while_it_is_up_what_was_not_answered_is_asked_again_after_a_pause(self) -> None:
        """Of each subject by itself."""
        unanswered = KEPT.not_answered(11)
        self.assertEqual(
            [self.source.may_ask_beside("a", unanswered, now) for now in (11, 11 + PAUSE - 0.1, 11 + PAUSE)], [False, False, True]
        )

    def test_the_end_of_a_question_that_was_not_counted_is_nothing(self) -> None:
        self.go_down()
        self.source.ended("z", 100)
        self.assertTrue(self.source.may_ask_beside("a", KEPT, 11))
