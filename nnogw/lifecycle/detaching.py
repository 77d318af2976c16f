"""The way of a daemon into the background: whoever started it learns how its start ended.

``twistd`` detaches first and starts then. Of a start that fails it tells no more than a hundred characters, and it tells of none that
fails later than its services are called. Here a process more is forked before: it holds the terminal until the daemon serves or has
failed, says why in one whole line, and ends with the exit status that scripts read.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress

from twisted.internet.interfaces import IReactorDaemonize
from zope.interface import alsoProvides

from nnogw.interfaces import Reactor

_STARTED = b"started"
_STANDARD_ERROR = 2
_PIECE = 4096  # bytes that are read at once


class Detachment:
    """Tells the process that the operator has started how the start of the daemon ended.

    Nothing happens unless the process detaches: ``twistd`` calls ``beforeDaemonize`` right before.

    Args:
        reactor: the reactor, which gets the two methods of ``IReactorDaemonize``; its own ones are called, too.
        log_name: where the daemon's log is, in words.
    """

    def __init__(self, reactor: Reactor, log_name: str) -> None:
        self._reactor = reactor
        self._log_name = log_name
        self._pipe = -1
        own_before: Callable[[], None] = _nothing
        if IReactorDaemonize.providedBy(reactor):  # the kqueue reactor
            own_before = reactor.beforeDaemonize
        else:
            reactor.afterDaemonize = _nothing  # type: ignore[attr-defined]  # by this the reactor comes to have the interface
            alsoProvides(reactor, IReactorDaemonize)

        def before() -> None:
            self._fork()
            own_before()

        reactor.beforeDaemonize = before  # type: ignore[attr-defined]  # as above

    def failed(self, line: str) -> None:
        """Say that the start has failed, and why; nothing happens before the process has detached, and once it serves."""
        self._tell(line.encode("utf-8", "replace"))

    def _fork(self) -> None:
        """Fork. The parent waits for the end of the start, and ends; the child returns, and goes on as the process did."""
        read_end, write_end = os.pipe()
        child = os.fork()
        if child:
            os.close(write_end)
            status = 1
            try:
                status = self._wait(read_end)
                if status:  # twistd's own waiting process waits for ever, if the daemon ended without a word to it
                    os.kill(child, signal.SIGKILL)
            finally:  # whatever interrupts the waiting: what is to be done at an exit is the daemon's to do
                os._exit(status)
        os.close(read_end)
        self._pipe = write_end
        os.register_at_fork(after_in_parent=self._leave)  # of the processes to come only the daemon, the last, holds the pipe
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, _STANDARD_ERROR)  # twistd's own, shortened words to the terminal
        os.close(nowhere)
        self._reactor.callWhenRunning(self._tell, _STARTED)

    def _leave(self) -> None:
        """Close the pipe without a word: it ends when the daemon has ended, however that came."""
        pipe, self._pipe = self._pipe, -1
        if pipe >= 0:
            os.close(pipe)

    def _tell(self, outcome: bytes) -> None:
        pipe, self._pipe = self._pipe, -1
        if pipe >= 0:
            with suppress(BrokenPipeError):  # whoever waited has been killed
                os.write(pipe, outcome)
            os.close(pipe)

    def _wait(self, read_end: int) -> int:
        """Return the exit status of the start; one that has failed is said on standard error."""
        outcome = b""
        while piece := os.read(read_end, _PIECE):
            outcome += piece
        if outcome == _STARTED:
            return 0
        line = outcome.decode("utf-8", "replace") or f"nnogw: the daemon ended while it started; its log ({self._log_name}) says why"
        stream = sys.__stderr__
        if stream is not None:
            stream.write(line + "\n")
            stream.flush()
        return 1


def _nothing() -> None:
    """Do nothing."""
