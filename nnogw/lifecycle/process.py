"""The process that a gateway runs in: its clock, the way of its events, and its garbage collector."""

from __future__ import annotations

import gc
import os
import sys
import time
from collections.abc import Callable

from twisted.logger import Logger

from nnogw.interfaces import Reactor

log = Logger()

#: Objects by which those alive have to grow before the garbage collector looks at the new ones (Python's own figure: 700). A request on its
#: way has about 60, and leaves no cycles.
GROWTH = 10_000
#: Every fifth collection looks at what one has left alive, every tenth at everything. A connection that has ended is a cycle of some 35
#: objects: 20 MiB of them wait at most (with Python's own 10 and 10, up to 180 MiB would).
GENERATIONS = (5, 2)


_STANDARD_STREAMS = 3


def hold_standard_streams() -> None:
    """Open the null device as each standard stream that is closed, before there is a reactor.

    A process may be started without them (``2>&-``). The reactor's own descriptors would then have their numbers: the logs would be written
    to them, and a process that goes to the background would replace them.
    """
    for number in range(_STANDARD_STREAMS):
        if not _is_open(number):
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free is this one


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def prepare(reactor: Reactor) -> None:
    """Make the process of `reactor` fit for a gateway, once, before it starts."""
    use_monotonic_clock(reactor)
    epoll = sys.modules.get("twisted.internet.epollreactor")
    if epoll is not None:  # elsewhere than on Linux there is another reactor
        epoll.log = Events  # type: ignore[attr-defined]  # a module that is found by its name is of no type
    reactor.callWhenRunning(settle)


def use_monotonic_clock(reactor: Reactor) -> None:
    """Let `reactor` count its time on a clock that nobody sets back.

    A Twisted reactor counts in wall-clock time: set back an hour, every timeout of the process would wait an hour longer.
    """
    offset = time.monotonic() - reactor.seconds()
    reactor.seconds = time.monotonic  # type: ignore[method-assign]  # Twisted calls it by this name, too
    for call in reactor.getDelayedCalls():
        call.delay(offset)
        call.seconds = time.monotonic  # type: ignore[attr-defined]  # of Twisted's own, which the interface leaves out


def settle() -> None:
    """Let the garbage collector leave alone what is not garbage; called when the start is over.

    Nobody is answered during a full collection. It looks at everything that lives: the 60 000 objects of the start for 25 to 50 ms, a full
    verdict cache for another 100 ms or more. With Python's own thresholds there is one every two seconds under full load, because
    requests on their way look like growth. So what the start has made is left out for good, and only `GROWTH` is growth. The 99th
    percentile of small requests falls from 50 ms to 20, with a full cache from 65 or 110 to 20, and each request costs 4 % less.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(GROWTH, *GENERATIONS)


def settle_again() -> None:
    """Do the same after a reload, once nothing is left under way of what was before: it would otherwise never be found."""
    gc.unfreeze()
    settle()


class Events:
    """Stands in for ``twisted.python.log`` in the epoll reactor, which calls every event through it.

    Twisted sets up a context of the log for each event, to be found by messages of its old logging system. Nobody here reads it, and it
    costs 6 to 8 % of a request.
    """

    @staticmethod
    def callWithLogger(logger: object, call: Callable[..., object], *args: object) -> object:
        """Make a call for an event; what it raises is logged, and goes no further."""
        try:
            return call(*args)
        except KeyboardInterrupt:
            raise
        except BaseException:
            log.failure("an event failed in {logger}", logger=type(logger).__name__)
            return None
