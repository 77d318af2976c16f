"""Listeners from endpoint strings, and what is said when one cannot be opened."""

from __future__ import annotations

from typing import Any

from attrs import frozen
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IListeningPort, IProtocolFactory
from twisted.python.failure import Failure

from nnogw.interfaces import Reactor
from nnogw.lifecycle.start_errors import not_bound
from nnogw.wire.transport.ports import BACKLOG, PortReactor

#: Where a listener on all addresses can be reached from its own machine.
_FROM_HERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  nothing binds here
_WITH_BACKLOG = ("tcp:", "tcp6:", "unix:", "ssl:")


class StartError(Exception):
    """The gateway cannot start, for a reason that its operator can mend: one line, no traceback."""


@frozen
class Purpose:
    """What a listener is for, and what an operator can do about it.

    Attributes:
        name: in a sentence.
        remedy: which option or setting names another address.
    """

    name: str
    remedy: str


CLIENTS = Purpose("clients", 'name another address with --listen ENDPOINT or with "listen" in [server]')
ADMIN = Purpose("the admin listener", 'name another address with --admin ENDPOINT or with "admin" in [server]')


class Listeners:
    """Opens listeners.

    Args:
        reactor: the reactor.
    """

    def __init__(self, reactor: Reactor) -> None:
        self._reactor = PortReactor(reactor)

    def listen(self, description: str, factory: IProtocolFactory, purpose: Purpose) -> IListeningPort:
        """Return the port that listens where the endpoint string `description` says.

        Raises:
            StartError: the address is in use, or not ours.
        """
        endpoint = description
        if "backlog=" not in endpoint and endpoint.startswith(_WITH_BACKLOG):
            endpoint += f":backlog={BACKLOG}"
        outcome: list[IListeningPort | Failure] = []
        serverFromString(self._reactor, endpoint).listen(factory).addBoth(outcome.append)
        found = outcome[0] if outcome else None
        if found is None or isinstance(found, Failure):
            why = "it does not bind at once" if found is None else not_bound(description, found.value)
            raise StartError(f"nnogw: cannot listen on {description} for {purpose.name}: {why}; {purpose.remedy}")
        return found


def address_of(port: IListeningPort) -> str:
    """Return where a listening port can be reached: a URL, or the path of a socket."""
    host: Any = port.getHost()  # Any: an IAddress says nothing of a name, a host and a port
    name = getattr(host, "name", None)
    if name is not None:
        return f"unix:{name.decode() if isinstance(name, bytes) else name}"
    shown = _FROM_HERE.get(host.host, host.host)
    return f"http://{f'[{shown}]' if ':' in shown else shown}:{host.port}"
