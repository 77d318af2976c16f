"""The process that a gateway runs in."""

from __future__ import annotations

import gc
import subprocess
import sys
import time
from pathlib import Path
from weakref import ref

from twisted.internet import epollreactor
from twisted.internet.base import DelayedCall
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from nnogw.lifecycle.process import Events, prepare, settle, use_monotonic_clock

PROJECT = Path(__file__).resolve().parents[2]


class ThePreparation(SynchronousTestCase):
    """Everything at once, before the start."""

    def test_the_reactor_gets_its_clock_and_its_events_and_settles_when_it_runs(self) -> None:
        """Not before: what the start makes is to be settled too."""
        self.patch(epollreactor, "log", epollreactor.log)
        reactor = MemoryReactorClock()
        prepare(reactor)
        self.assertIs(reactor.seconds, time.monotonic)
        self.assertIs(epollreactor.log, Events)
        self.assertEqual(reactor.whenRunningHooks, [(settle, (), {})])


class TheStandardStreams(SynchronousTestCase):
    """They may be closed when the process begins."""

    def test_no_other_descriptor_gets_their_numbers(self) -> None:
        """What is open stays as it is; what is closed leads nowhere from then on."""
        code = """
import os
from nnogw.lifecycle.process import hold_standard_streams
os.close(0)
os.close(2)
hold_standard_streams()
print([os.path.samestat(os.fstat(number), os.stat(os.devnull)) for number in range(3)])
"""
        done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, stdout=subprocess.PIPE, check=True)
        self.assertEqual(done.stdout, b"[True, False, True]\n")


class Knot:
    """Refers to itself, so that only the garbage collector finds it."""

    itself: Knot


class TheGarbageCollector(SynchronousTestCase):
    """What is there for good is not looked at again."""

    def setUp(self) -> None:
        self.addCleanup(gc.set_threshold, *gc.get_threshold())
        self.addCleanup(gc.unfreeze)

    def test_what_the_start_has_made_is_left_out_of_later_collections(self) -> None:
        """A new object is not."""
        made = [object()]
        settle()
        new = [object()]
        looked_at = {id(thing) for thing in gc.get_objects()}
        self.assertNotIn(id(made), looked_at)
        self.assertIn(id(new), looked_at)

    def test_requests_on_their_way_are_not_taken_for_growth(self) -> None:
        """A hundred of them, alive at once, are no reason to look at anything."""
        settle()
        looked: list[str] = []

        def watch(phase: str, _: dict[str, int]) -> None:
            looked.append(phase)

        gc.callbacks.append(watch)
        self.addCleanup(gc.callbacks.remove, watch)
        alive = [[object()] for _ in range(100 * 60)]
        self.assertEqual((looked, len(alive)), ([], 6000))

    def test_garbage_of_the_start_is_not_kept(self) -> None:
        """What is left out of collections is never collected."""
        gc.disable()
        self.addCleanup(gc.enable)
        garbage = Knot()
        garbage.itself = garbage
        left = ref(garbage)
        del garbage
        settle()
        self.assertIsNone(left())


class TheEvents(SynchronousTestCase):
    """The reactor's events, without a context of the log for each."""

    def test_an_event_gets_its_call_and_a_failing_one_harms_nobody(self) -> None:
        """What it raises is told in the log."""
        self.assertEqual(Events.callWithLogger(self, max, 1, 2), 2)
        self.assertIsNone(Events.callWithLogger(self, int, "x"))
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_an_interrupt_passes(self) -> None:
        """It is meant for the reactor."""

        def interrupted() -> None:
            raise KeyboardInterrupt

        self.assertRaises(KeyboardInterrupt, Events.callWithLogger, self, interrupted)


class TheClock(SynchronousTestCase):
    """A reactor's time is nobody's to set back."""

    def test_the_reactor_counts_on_the_monotonic_clock(self) -> None:
        """What it was to call later, it still calls at the same moment."""
        reactor = MemoryReactorClock()
        reactor.rightNow = 1_700_000_000.0  # the wall's time
        fired: list[str] = []
        call: DelayedCall = reactor.callLater(10, fired.append, "x")
        use_monotonic_clock(reactor)
        self.assertIs(reactor.seconds, time.monotonic)
        left = call.getTime() - time.monotonic()
        self.assertTrue(9 < left <= 10.1, left)
