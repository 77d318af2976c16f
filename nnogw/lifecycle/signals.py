"""What the process's signals do."""

from __future__ import annotations

import signal
from types import FrameType
from typing import Protocol

from twisted.application.service import Service
from twisted.logger import Logger

from nnogw.interfaces import Reactor, ReloadRefused

log = Logger()

#: Signals that operators send by habit, whose default action ends the process and which the gateway has no use for: what is said to those
#: who send them.
_IGNORED = {
    signal.SIGUSR2: "the gateway cannot start its successor; start another process, then stop this one with TERM",
}


class Served(Protocol):
    """The service that signals are meant for."""

    def cut_short(self) -> None:
        """Stop waiting for what is under way."""

    def reopen_logs(self) -> None:
        """Open the log files anew."""

    def reload(self) -> list[str]:
        """Let the configuration as it is now take over; raises `ReloadRefused`."""


class Signals(Service):
    """Turns signals into what the gateway does, and says in the log what each led to.

    TERM and INT drain, a second one cuts; HUP reloads the configuration; USR1 opens the log files anew; USR2 changes nothing. The reactor's
    own handling of TERM ends with the process killing itself by the same signal: a supervisor would see a failure.

    Args:
        reactor: the reactor.
    """

    def __init__(self, reactor: Reactor) -> None:
        self._reactor = reactor
        self._served: Served | None = None
        self._stopping = False

    def install(self) -> None:
        """Take the signals over that end the process by default: the first thing that a start does.

        One that comes before the reactor runs waits until it does, so that everything ends in order.
        """
        # The reactor installs this when it starts to run; it leaves an INT that is taken alone.
        self._reactor.sigTerm = self._on_stop  # type: ignore[attr-defined]  # no interface of Twisted's has it
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_stop)
        signal.signal(signal.SIGHUP, self._on_reload)
        for number in _IGNORED:
            signal.signal(number, self._on_ignored)

    def serve(self, served: Served) -> None:
        """Say whom the signals are meant for."""
        self._served = served

    def privilegedStartService(self) -> None:
        """Take USR1 over: twistd has just installed its own handler, which rotates its ``--logfile`` and is called, too."""
        super().privilegedStartService()  # type: ignore[no-untyped-call]  # Twisted has no annotations here
        before = signal.getsignal(signal.SIGUSR1)

        def reopen(number: int, frame: FrameType | None) -> None:
            self._reactor.callFromThread(self._reopen_logs)
            if callable(before):
                before(number, frame)

        signal.signal(signal.SIGUSR1, reopen)

    def _on_stop(self, number: int, frame: FrameType | None = None) -> None:
        self._reactor.callFromThread(self._stop, _name(number))

    def _on_reload(self, number: int, frame: FrameType | None) -> None:
        self._reactor.callFromThread(self._reload)

    def _on_ignored(self, number: int, frame: FrameType | None) -> None:
        why = _IGNORED[signal.Signals(number)]
        self._reactor.callFromThread(log.warn, "{signal} changes nothing: {why}", signal=_name(number), why=why)

    def _stop(self, name: str) -> None:
        if not self._stopping:
            self._stopping = True
            log.info("{signal}: draining; another one cuts what is under way", signal=name)
            self._reactor.stop()
        elif self._served is not None:
            log.info("{signal} once more: cutting what is under way", signal=name)
            self._served.cut_short()

    def _reload(self) -> None:
        if self._served is None:
            return
        log.info("HUP: reading the configuration anew")
        try:
            self._served.reload()
        except ReloadRefused as refused:
            for problem in refused.problems:
                log.error("HUP changes nothing: {problem}", problem=problem)

    def _reopen_logs(self) -> None:
        if self._served is not None:
            log.info("USR1: opening the log files anew")
            self._served.reopen_logs()


def _name(number: int) -> str:
    return signal.Signals(number).name.removeprefix("SIG")
