"""What the process's signals do."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

from twisted.internet.base import ReactorBase
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from nnogw.interfaces import ReloadRefused
from nnogw.lifecycle.signals import Signals

TAKEN = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


class Reactor(MemoryReactorClock):
    """Makes the calls of signal handlers when the test says that it runs."""

    def __init__(self, called: list[str]) -> None:
        super().__init__()
        self.called = called
        self.waiting: list[Callable[[], object]] = []

    def stop(self) -> None:
        """Take note."""
        self.called.append("stop")

    def callFromThread(self, callable: Callable[..., object], *args: object, **kw: object) -> None:  # noqa: A002  Twisted's name
        """Make a call when the reactor runs."""
        self.waiting.append(lambda: callable(*args, **kw))

    def run_once(self) -> None:
        """Make the calls."""
        waiting, self.waiting = self.waiting, []
        for call in waiting:
            call()


class SignalsTests(SynchronousTestCase):
    """Each signal, and what is said of it in the log."""

    def setUp(self) -> None:
        for number in TAKEN:
            self.addCleanup(signal.signal, number, signal.getsignal(number))
        self.called: list[str] = []
        self.problems: list[str] = []
        self.reactor = Reactor(self.called)
        self.signals = Signals(self.reactor)

    def cut_short(self) -> None:
        """Take note."""
        self.called.append("cut_short")

    def reopen_logs(self) -> None:
        """Take note."""
        self.called.append("reopen")

    def reload(self) -> list[str]:
        """Take note, and do what the test says."""
        self.called.append("reload")
        if self.problems:
            raise ReloadRefused(self.problems)
        return []

    def send(self, *numbers: int) -> list[str]:
        """Send this process signals; returns what the log says when the reactor has run."""
        with capturedLogs() as events:
            for number in numbers:
                os.kill(os.getpid(), number)
                self.reactor.run_once()
        return [event["log_format"].format(**event) for event in events]

    def test_term_drains_and_a_second_one_cuts_it_short(self) -> None:
        """INT does the same."""
        self.signals.install()
        self.signals.serve(self)
        said = self.send(signal.SIGTERM, signal.SIGINT, signal.SIGTERM)
        self.assertEqual(self.called, ["stop", "cut_short", "cut_short"])
        self.assertEqual(
            said,
            [
                "TERM: draining; another one cuts what is under way",
                "INT once more: cutting what is under way",
                "TERM once more: cutting what is under way",
            ],
        )

    def test_a_signal_before_the_reactor_runs_waits_for_it(self) -> None:
        """Then everything ends in order: the process is not killed half-way through its start."""
        self.signals.install()
        os.kill(os.getpid(), signal.SIGTERM)
        self.assertEqual(self.called, [])
        self.signals.serve(self)
        self.reactor.run_once()
        self.assertEqual(self.called, ["stop"])

    def test_signals_before_there_is_anything_to_serve_are_harmless(self) -> None:
        """The start goes on to the point where it can be stopped."""
        self.signals.install()
        self.send(signal.SIGTERM, signal.SIGTERM, signal.SIGHUP)
        self.assertEqual(self.called, ["stop"])

    def test_the_reactor_does_not_take_term_back_when_it_starts(self) -> None:
        """Its own handler would end the process by the same signal."""

        class Real(ReactorBase):
            def installWaker(self) -> None:
                """There is nothing to wake."""

        reactor = Real()
        Signals(reactor).install()
        ours = signal.getsignal(signal.SIGTERM)
        reactor._signalsFactory().install()
        self.assertEqual(signal.getsignal(signal.SIGTERM), ours)
        self.assertEqual(signal.getsignal(signal.SIGINT), ours)

    def test_hup_reloads_the_configuration(self) -> None:
        """And goes on doing so: each is a reload of its own."""
        self.signals.install()
        self.signals.serve(self)
        self.assertEqual(self.send(signal.SIGHUP, signal.SIGHUP), ["HUP: reading the configuration anew"] * 2)
        self.assertEqual(self.called, ["reload", "reload"])

    def test_a_hup_that_changes_nothing_says_why(self) -> None:
        """In a line for each problem; the next one may succeed."""
        self.signals.install()
        self.signals.serve(self)
        self.problems = ["[limits] max_body: -1", "[routes] 1: no prefix"]
        self.assertEqual(
            self.send(signal.SIGHUP)[1:], ["HUP changes nothing: [limits] max_body: -1", "HUP changes nothing: [routes] 1: no prefix"]
        )
        self.problems.clear()
        self.assertEqual(self.send(signal.SIGHUP), ["HUP: reading the configuration anew"])

    def test_usr2_changes_nothing_and_says_so(self) -> None:
        """Its default action would end the process."""
        self.signals.install()
        self.signals.serve(self)
        (usr2,) = self.send(signal.SIGUSR2)
        self.assertEqual(self.called, [])
        self.assertIn("USR2 changes nothing: ", usr2)

    def test_usr1_reopens_the_logs_twistds_own_included(self) -> None:
        """Whose handler was there before."""
        for before, expected in ((self._twistds, ["twistd's", "reopen"]), (signal.SIG_DFL, ["reopen"])):
            self.called.clear()
            signal.signal(signal.SIGUSR1, before)
            signals = Signals(self.reactor)
            signals.serve(self)
            signals.privilegedStartService()
            self.assertEqual(self.send(signal.SIGUSR1), ["USR1: opening the log files anew"])
            self.assertEqual(self.called, expected)

    def test_usr1_before_there_is_a_log_is_harmless(self) -> None:
        """There is nothing to open anew."""
        self.signals.privilegedStartService()
        self.assertEqual(self.send(signal.SIGUSR1), [])

    def _twistds(self, number: int, frame: object) -> None:
        self.called.append("twistd's")
