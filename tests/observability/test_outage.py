"""Single failures are no outage, and an outage does not flap."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from nnogw.observability.outage import AGAIN, FAILURES, LONG, SECONDS, SUCCESSES, Outage
from tests.identity.doubles import ReadableLedger

DOWN = ("source-down", "iam")


class OutageTestCase(SynchronousTestCase):
    """An outage that is written into a ledger."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.ledger = ReadableLedger()
        self.outage = Outage("source-down", "iam", seconds=self.clock.seconds, ledger=self.ledger)

    def fail_times(self, times: int, subject: str | None = None) -> None:
        for _ in range(times):
            self.outage.failed("refused", self.outage.successes, subject)


class BeginningTests(OutageTestCase):
    """When it begins."""

    def test_failures_in_a_row_are_an_outage(self) -> None:
        self.fail_times(FAILURES - 1)
        self.assertEqual((self.outage.ongoing, self.outage.silent, self.ledger.current), (False, False, {}))
        self.fail_times(1)
        self.assertEqual((self.outage.ongoing, self.outage.silent, self.ledger.current), (True, True, {DOWN: "refused"}))

    def test_a_success_between_them_begins_the_count_anew(self) -> None:
        """However often that happens: every other call fails."""
        for _ in range(100):
            self.fail_times(FAILURES - 1)
            self.outage.succeeded()
        self.assertEqual((self.outage.ongoing, self.ledger.current), (False, {}))

    def test_with_little_traffic_two_failures_some_seconds_apart_are_enough(self) -> None:
        self.fail_times(1)
        self.clock.advance(SECONDS)
        self.fail_times(1)
        self.assertTrue(self.outage.ongoing)

    def test_failures_that_concern_one_subject_alone_are_none(self) -> None:
        """IAM responds with an error for one token; for all others its good responses are remembered."""
        self.fail_times(100, "token")
        self.clock.advance(LONG - 1)
        self.fail_times(100, "token")
        self.assertEqual((self.outage.ongoing, self.outage.silent), (False, False))

    def test_they_are_one_if_they_go_on_for_long(self) -> None:
        """Others would have been asked about meanwhile."""
        self.fail_times(1, "token")
        self.clock.advance(LONG)
        self.fail_times(1, "token")
        self.assertEqual((self.outage.ongoing, self.outage.silent), (True, False))

    def test_failures_that_concern_several_subjects_are_an_outage_of_a_source_that_responds(self) -> None:
        self.fail_times(2, "token")
        self.fail_times(1, "another")
        self.assertEqual((self.outage.ongoing, self.outage.silent), (True, False))

    def test_a_call_that_another_one_has_overtaken_proves_nothing(self) -> None:
        """It began before the source was seen to be well."""
        before = self.outage.successes
        self.outage.succeeded()
        for _ in range(10):
            self.outage.failed("too slow", before)
        self.assertFalse(self.outage.ongoing)

    def test_the_ledger_hears_of_every_further_failure(self) -> None:
        """It counts them, and keeps the latest reason."""
        self.fail_times(FAILURES)
        self.outage.failed("timed out", 0)
        self.assertEqual(self.ledger.current, {DOWN: "timed out"})


class EndTests(OutageTestCase):
    """When it is over."""

    def setUp(self) -> None:
        super().setUp()
        self.fail_times(FAILURES)

    def test_the_first_success_ends_it(self) -> None:
        self.outage.succeeded()
        self.assertEqual((self.outage.ongoing, self.outage.silent, self.ledger.current), (False, False, {}))

    def test_one_that_begins_again_soon_ends_with_several_successes_in_a_row(self) -> None:
        """So that it does not come and go with every fourth call; the source is asked again at once all the same."""
        self.outage.succeeded()
        self.clock.advance(AGAIN - 1)
        for _ in range(10):
            self.fail_times(FAILURES)
            for _ in range(SUCCESSES - 1):
                self.outage.succeeded()
                self.assertEqual((self.outage.ongoing, self.outage.silent), (True, False))
        self.outage.succeeded()
        self.outage.succeeded()
        self.assertFalse(self.outage.ongoing)

    def test_one_that_begins_much_later_is_a_new_one(self) -> None:
        self.outage.succeeded()
        self.clock.advance(AGAIN)
        self.fail_times(FAILURES)
        self.outage.succeeded()
        self.assertFalse(self.outage.ongoing)

    def test_what_follows_from_it_ends_with_it(self) -> None:
        """And is nothing without it."""
        self.outage.follow("stale", "refused")
        self.assertEqual(set(self.ledger.current), {DOWN, ("stale", "iam")})
        self.outage.succeeded()
        self.assertEqual(self.ledger.current, {})
        self.outage.follow("stale", "refused")
        self.assertEqual(self.ledger.current, {})

    def test_it_ends_when_it_is_forgotten_with_what_follows_from_it(self) -> None:
        """The source is another one now."""
        self.outage.follow("stale", "refused")
        self.outage.forget()
        self.assertEqual((self.outage.ongoing, self.outage.silent, self.ledger.current), (False, False, {}))

    def test_failures_that_are_forgotten_count_no_more(self) -> None:
        """Neither those of an outage nor those that were none yet, of one subject or of several."""
        for subjects in ((None,) * FAILURES, (None,) * (FAILURES - 1), ("token", "token"), ("token", "another")):
            for subject in subjects:
                self.fail_times(1, subject)
            self.outage.forget()
            self.fail_times(FAILURES - 1)
            self.assertEqual((self.outage.ongoing, self.outage.silent), (False, False))
            self.outage.forget()
            self.fail_times(100, "token")
            self.assertFalse(self.outage.ongoing)
            self.outage.forget()

    def test_a_call_that_began_before_it_was_forgotten_proves_nothing(self) -> None:
        """It has asked the source of that time."""
        before = self.outage.successes
        self.outage.forget()
        for _ in range(10):
            self.outage.failed("too slow", before)
        self.assertEqual((self.outage.ongoing, self.outage.silent, self.ledger.current), (False, False, {}))

    def test_the_outage_of_another_source_is_its_first(self) -> None:
        """Its first success ends it, however soon it comes."""
        self.outage.forget()
        self.fail_times(FAILURES)
        self.assertTrue(self.outage.ongoing)
        self.outage.succeeded()
        self.assertFalse(self.outage.ongoing)

    def test_it_may_be_written_down_nowhere(self) -> None:
        outage = Outage("source-down", "iam", seconds=self.clock.seconds, ledger=None)
        for _ in range(FAILURES):
            outage.failed("refused", 0)
        outage.follow("stale", "refused")
        self.assertTrue(outage.ongoing)
        outage.succeeded()
        self.assertFalse(outage.ongoing)
