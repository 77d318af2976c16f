"""What is to be written is written at the end of a turn of the reactor."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from nnogw.wire.transport.write_batch import WriteBatch


class Batches(SynchronousTestCase):
    """`WriteBatch`."""

    def test_what_is_to_be_done_is_done_once_at_the_end(self) -> None:
        """In order, with one timer; what is added by it comes after."""
        clock = Clock()
        batch = WriteBatch(clock)
        done: list[str] = []
        batch.at_end(lambda: (done.append("a"), batch.at_end(lambda: done.append("c"))))
        batch.at_end(lambda: done.append("b"))
        self.assertEqual(len(clock.getDelayedCalls()), 1)
        clock.advance(0)
        self.assertEqual(done, ["a", "b", "c"])

    def test_a_failure_of_one_connection_is_not_the_others(self) -> None:
        """It goes to the log."""
        clock = Clock()
        batch = WriteBatch(clock)
        done: list[str] = []
        batch.at_end(lambda: 1 / 0)
        batch.at_end(lambda: done.append("b"))
        clock.advance(0)
        self.assertEqual(done, ["b"])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
