"""From names to addresses: one lookup a name at a time, its answer kept for a while, and nobody held up by a zone that is silent.

`HostnameEndpoint` asks for each connection, in the reactor's ten threads: ten lookups of one silent zone keep all other names waiting, and
the process cannot end before they do.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Container, Sequence

from attrs import Factory, define
from twisted.internet.defer import Deferred, fail, succeed

from nnogw.interfaces import DegradedLedger, DelayedCall, ReactorThread
from nnogw.wire.transport.connect_errors import ConnectFailed

#: Addresses of one name that are kept: a service with more is behind a load balancer.
MAX_ADDRESSES = 16
#: Lookups under way in all, each a thread. Names come from the configuration, so that this is met only by a hundred names in a silent zone.
MAX_LOOKUPS = 64
#: Seconds that a failure is remembered (Java 10, nscd 20): short, so that a service which has just been started is found.
FAILURE_LIFE = 2.0
#: For so many times their life, addresses serve at once while they are looked up again. Later they are the last resort only, as they may
#: belong to somebody else by now.
STALE_LIVES = 10
#: Seconds that a lookup has before such old addresses serve all the same.
PATIENCE = 0.5


class LookupFailed(ConnectFailed):
    """The addresses of a name are not to be found out; the text says why."""


def system_lookup(host: str) -> Sequence[str]:
    """Ask the system (``/etc/hosts``, DNS, whatever nsswitch.conf says) for the addresses of `host`; blocks.

    Raises:
        OSError: there are none, or nobody can tell.
    """
    return [str(found[4][0]) for found in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)]


def start_thread(work: Callable[[], None]) -> None:
    """Do `work` in a thread that does not keep the process from ending.

    The reactor's thread pool and `concurrent.futures` both wait for theirs at exit.
    """
    threading.Thread(target=work, name="nnogw lookup", daemon=True).start()


@define(eq=False)
class _Name:
    """What is known of one name."""

    addresses: tuple[str, ...] = ()  # the last good answer
    learnt: float = 0  # when it came
    fresh_until: float = 0
    ask_from: float = 0  # not again before: the latest lookup has just failed
    failure: str = ""  # of the latest lookup; empty if it was good
    looking: bool = False
    slow: bool = False  # a lookup takes longer than anybody should wait for
    waiting: dict[Deferred[tuple[str, ...]], None] = Factory(dict)
    patience: DelayedCall | None = None


class Resolver:
    """Resolves the names of services, and remembers them.

    Args:
        reactor: tells the time, and takes results from other threads.
        life: seconds that an answer is fresh (getaddrinfo does not tell DNS's own).
        ledger: hears of names that cannot be resolved.
        lookup: asks for addresses and blocks meanwhile.
        start: runs a lookup in a thread of its own.
    """

    def __init__(
        self,
        reactor: ReactorThread,
        *,
        life: float,
        ledger: DegradedLedger,
        lookup: Callable[[str], Sequence[str]] = system_lookup,
        start: Callable[[Callable[[], None]], None] = start_thread,
    ) -> None:
        self._reactor = reactor
        self._life = life
        self._ledger = ledger
        self._lookup = lookup
        self._start = start
        self._names: dict[str, _Name] = {}
        self._in_use: Container[str] | None = None  # None: all
        self._lookups = 0  # under way
        self._closed = False

    def resolve(self, host: str) -> Deferred[tuple[str, ...]]:
        """Return the addresses of `host`, of both families, the best first; never none.

        Known addresses come at once, also while they are looked up again. Cancelling stops the wait, not the lookup.

        Raises (in the Deferred):
            LookupFailed: there is no such name, or nobody can tell and it was never known.
        """
        if self._closed:
            return fail(LookupFailed("the gateway is stopping"))
        name = self._names.get(host)
        if name is None:
            name = self._names[host] = _Name()
        now = self._reactor.seconds()
        if now < name.fresh_until:
            return succeed(name.addresses)
        if not name.looking and now >= name.ask_from:
            self._look_up(host, name)
        old = now >= name.fresh_until + (STALE_LIVES - 1) * self._life
        if name.addresses and (not old or not name.looking or name.slow):
            return succeed(name.addresses)
        if not name.looking:
            return fail(LookupFailed(name.failure))
        return self._wait(name)

    def doubt(self, host: str) -> None:
        """Take note that none of the addresses of `host` could be connected to: they are looked up again with the next connection.

        A service that has moved is found at once, and one that is down costs no more than a lookup every two seconds.
        """
        name = self._names.get(host)
        now = self._reactor.seconds()
        if name is not None and now >= name.learnt + FAILURE_LIFE:
            name.fresh_until = min(name.fresh_until, now)

    def keep(self, hosts: Container[str], life: float) -> None:
        """Forget all names but `hosts`, those that the configuration has now; one that is being looked up is forgotten afterwards.

        Args:
            hosts: the names.
            life: seconds that an answer is fresh from now on.
        """
        self._in_use = hosts
        self._life = life
        for host, name in list(self._names.items()):
            if host not in hosts and not name.looking:
                self._forget(host)

    def close(self) -> None:
        """Give up: whoever waits fails, and what is still being looked up is of no interest any more."""
        self._closed = True
        for name in self._names.values():
            _stop(name.patience)
            self._tell(name, None, "the gateway is stopping")

    def _wait(self, name: _Name) -> Deferred[tuple[str, ...]]:
        waiter: Deferred[tuple[str, ...]] = Deferred(lambda given_up: name.waiting.pop(given_up, None))
        name.waiting[waiter] = None
        if name.addresses and name.patience is None:
            name.patience = self._reactor.callLater(PATIENCE, self._too_slow, name)
        return waiter

    def _too_slow(self, name: _Name) -> None:
        name.patience = None
        name.slow = True
        self._tell(name, name.addresses, "")

    def _look_up(self, host: str, name: _Name) -> None:
        if self._lookups >= MAX_LOOKUPS:
            name.failure = f"the name {host} cannot be looked up now: {MAX_LOOKUPS} other names are being looked up, and nobody answers"
            return
        name.looking = True
        self._lookups += 1
        try:
            self._start(lambda: self._in_thread(host))
        except RuntimeError as error:  # no thread is to be had
            self._found(host, (), f"the name {host} cannot be looked up: {error}")

    def _in_thread(self, host: str) -> None:
        """Look up `host`, and hand over what was found out; the only part that runs outside the reactor's thread."""
        addresses: tuple[str, ...] = ()
        failure = f"the name {host} has no address"
        try:
            addresses = tuple(dict.fromkeys(self._lookup(host)))[:MAX_ADDRESSES]
        except socket.gaierror as error:
            failure = f"the name {host} cannot be resolved: {error.strerror}"
        except (OSError, UnicodeError) as error:  # a label of more than 63 characters is a UnicodeError
            failure = f"the name {host} cannot be resolved: {error}"
        finally:
            if not self._closed:
                self._reactor.callFromThread(self._found, host, addresses, "" if addresses else failure)

    def _found(self, host: str, addresses: tuple[str, ...], failure: str) -> None:
        self._lookups -= 1
        name = self._names[host]
        name.looking = False
        now = self._reactor.seconds()
        name.failure = failure
        if failure:
            name.ask_from = now + FAILURE_LIFE
            name.slow = bool(name.addresses)  # nobody waits for the next ones
            self._ledger.begin("name-unresolved", host, failure)
        else:
            name.addresses = addresses
            name.learnt = now
            name.fresh_until = now + self._life
            name.slow = False
            self._ledger.end("name-unresolved", host)
        _stop(name.patience)
        name.patience = None
        self._tell(name, name.addresses, failure)
        if self._in_use is not None and host not in self._in_use:
            self._forget(host)

    def _forget(self, host: str) -> None:
        del self._names[host]
        self._ledger.end("name-unresolved", host)

    def _tell(self, name: _Name, addresses: tuple[str, ...] | None, failure: str) -> None:
        waiting, name.waiting = name.waiting, {}
        for waiter in waiting:
            if waiter.called:  # cancelled by one before it
                continue
            if addresses:
                waiter.callback(addresses)
            else:
                waiter.errback(LookupFailed(failure))


def _stop(call: DelayedCall | None) -> None:
    if call is not None and call.active():
        call.cancel()
