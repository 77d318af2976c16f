"""What a daemon tells the process that started it. That it does so over a fork is in tests/integration/test_start.py."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from io import StringIO

from twisted.internet.interfaces import IReactorDaemonize
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from nnogw.lifecycle.detaching import Detachment


class Reactor:
    """What a Detachment wants of a reactor that survives a fork as it is."""

    def callWhenRunning(self, call: Callable[..., object], *arguments: object) -> None:
        """Do not run."""


@implementer(IReactorDaemonize)
class KqueueReactor(Reactor):
    """One that does not."""

    def __init__(self) -> None:
        self.called: list[str] = []

    def beforeDaemonize(self) -> None:
        """Take note."""
        self.called.append("before")

    def afterDaemonize(self) -> None:
        """Take note."""
        self.called.append("after")


class Detaching(SynchronousTestCase):
    """What the reactor is asked before the process detaches."""

    def test_the_reactor_tells_before_it_detaches(self) -> None:
        """Twistd asks those that have the interface."""
        reactor = Reactor()
        detachment = Detachment(reactor, "log")
        forked: list[str] = []
        self.patch(detachment, "_fork", lambda: forked.append("fork"))
        self.assertTrue(IReactorDaemonize.providedBy(reactor))
        reactor.beforeDaemonize()  # type: ignore[attr-defined]  # the detachment has given it these
        reactor.afterDaemonize()  # type: ignore[attr-defined]
        self.assertEqual(forked, ["fork"])

    def test_what_a_reactor_has_to_do_itself_it_does(self) -> None:
        """After the fork, in the process that goes on."""
        reactor = KqueueReactor()
        detachment = Detachment(reactor, "log")
        self.patch(detachment, "_fork", lambda: reactor.called.append("fork"))
        reactor.beforeDaemonize()
        reactor.afterDaemonize()
        self.assertEqual(reactor.called, ["fork", "before", "after"])

    def test_in_the_foreground_nobody_waits_to_be_told(self) -> None:
        """So that nothing is written."""
        written: list[bytes] = []
        self.patch(os, "write", lambda _, data: written.append(data))
        Detachment(Reactor(), "log").failed("nnogw: no")
        self.assertEqual(written, [])

    def test_nobody_waits_any_more(self) -> None:
        """The process that waited was killed: that concerns neither the start nor the daemon's log, and the pipe is closed."""
        read_end, write_end = os.pipe()
        os.close(read_end)
        detachment = Detachment(Reactor(), "log")
        detachment._pipe = write_end
        detachment.failed("nnogw: no")
        self.assertRaises(OSError, os.fstat, write_end)


class Waiting(SynchronousTestCase):
    """What the process that started the daemon makes of what it is told."""

    def outcome(self, told: bytes) -> tuple[int, str]:
        """Return the exit status, and what is said on standard error, when a daemon has told `told` or has ended."""
        err = StringIO()
        self.patch(sys, "__stderr__", err)
        read_end, write_end = os.pipe()
        self.addCleanup(os.close, read_end)
        os.write(write_end, told)
        os.close(write_end)
        return Detachment(Reactor(), "twistd.log")._wait(read_end), err.getvalue()

    def test_a_daemon_that_serves_is_a_success(self) -> None:
        """Without a word."""
        self.assertEqual(self.outcome(b"started"), (0, ""))

    def test_a_line_is_why_it_failed(self) -> None:
        """However long it is."""
        self.assertEqual(self.outcome(b"nnogw: " + b"x" * 9000), (1, "nnogw: " + "x" * 9000 + "\n"))

    def test_a_daemon_that_ends_without_a_word_has_one_in_its_log(self) -> None:
        """Killed, or ended by twistd itself."""
        self.assertEqual(self.outcome(b""), (1, "nnogw: the daemon ended while it started; its log (twistd.log) says why\n"))
