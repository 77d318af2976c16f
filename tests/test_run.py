"""The last line of ``make test`` is honest."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.run import verdict


class Verdict(SynchronousTestCase):
    """Read from what trial wrote."""

    def test_tests_that_pass(self) -> None:
        """A line without a complaint."""
        self.assertEqual(verdict("Ran 3 tests in 0.1s\n\nPASSED (successes=3)\n", []), ([], "3 passed, 0 failed"))

    def test_every_way_to_fail_counts(self) -> None:
        """Errors are failures too, and so is a test that passed against its author's word."""
        output = "FAILED (skips=1, failures=2, errors=3, unexpectedSuccesses=1, successes=4)\n"
        self.assertEqual(verdict(output, ["nginx"]), ([], "4 passed, 6 failed, 1 skipped"))

    def test_what_a_test_prints_is_no_summary(self) -> None:
        """The last one counts, on a line of its own."""
        output = "PASSED (successes=9)\nit said PASSED (successes=8)\nFAILED (errors=1)\n"
        self.assertEqual(verdict(output, []), ([], "0 passed, 1 failed"))

    def test_a_skipped_test_is_a_complaint(self) -> None:
        """But for those whose program is known to be missing."""
        output = "PASSED (skips=2, successes=3)\n"
        self.assertEqual(verdict(output, []), (["2 tests were skipped"], "3 passed, 0 failed, 2 skipped"))
        self.assertEqual(verdict(output, ["nginx"]), ([], "3 passed, 0 failed, 2 skipped"))

    def test_an_unhandled_error_is_a_complaint(self) -> None:
        """Though every test passed."""
        complaints, line = verdict("Unhandled error in Deferred:\n\nPASSED (successes=3)\n", [])
        self.assertEqual(complaints, ["the output has an 'Unhandled error in Deferred'"])
        self.assertEqual(line, "3 passed, 0 failed")

    def test_no_test_at_all_is_a_complaint(self) -> None:
        """Nothing failed, and nothing is known."""
        self.assertEqual(verdict("Ran 0 tests in 0.000s\n\nPASSED\n", []), (["no test was run"], "0 passed, 0 failed"))

    def test_a_run_without_a_summary_is_a_failure(self) -> None:
        """It was killed, or never started."""
        self.assertEqual(verdict("Killed\n", []), (["trial broke off, it gave no summary"], "0 passed, 1 failed"))
