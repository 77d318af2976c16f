"""The small platform inside the process: every service of the routing table on a loopback port of its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Protocol

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, gatherResults, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IProtocolFactory
from twisted.web.http import Request
from twisted.web.server import Site

from nnogw.demo.billing import billing_responders
from nnogw.demo.echo import DemoService, Responders
from nnogw.demo.iam import iam_responders
from nnogw.demo.registry import registry_responders
from nnogw.interfaces import Clock
from nnogw.settings import SERVICE_NAMES

_KEEPALIVE = 90  # seconds: longer than the gateway's pool keeps a connection, so that it is the gateway that closes


class DemoSite(Site):
    """A stock twisted.web site that leaves the log to the gateway, and every body unparsed."""

    noisy = False

    def __init__(self, service: DemoService, clock: Clock) -> None:
        super().__init__(  # type: ignore[no-untyped-call]  # twisted.web has no annotations here
            service, timeout=_KEEPALIVE, reactor=clock, parsePOSTFormSubmission=False
        )

    def log(self, request: Request) -> None:
        """Write nothing: the line that a newcomer should see is the gateway's."""


class Listening(Clock, Protocol):
    """What the demo needs of a reactor: it listens, and counts the waits."""

    def listenTCP(self, port: int, factory: IProtocolFactory, *, interface: str) -> IListeningPort:
        """Listen on a port of an address of this machine; 0 is one that is free."""


class DemoPlatform:
    """IAM, registry, billing, provisioning, stack-registry and cli, as a newcomer's gateway needs them.

    Args:
        reactor: listens, and counts the waits.
        now: the wall time in Unix seconds.
    """

    def __init__(self, reactor: Listening, now: Callable[[], float] = time.time) -> None:
        self._reactor = reactor
        responders: dict[str, Responders] = {
            "iam": iam_responders(now),
            "registry": registry_responders(),
            "billing": billing_responders(reactor),
        }
        self._services = {name: DemoService(name, responders.get(name)) for name in SERVICE_NAMES}
        self._ports: dict[str, IListeningPort] = {}  # service → where it listens

    def start(self) -> Mapping[str, str]:
        """Listen on a free loopback port for each service.

        Returns:
            Service name → ``http://127.0.0.1:<port>``.

        Raises:
            twisted.internet.error.CannotListenError: there is no port; none stays open.
        """
        try:
            for name, service in self._services.items():
                self._ports[name] = self._reactor.listenTCP(0, DemoSite(service, self._reactor), interface="127.0.0.1")
        except CannotListenError:
            self.stop()
            raise
        return {name: f"http://127.0.0.1:{_number(port)}" for name, port in self._ports.items()}

    def stop(self) -> Deferred[None]:
        """Stop listening; connections that are open stay until their other end closes them."""
        ports, self._ports = self._ports, {}
        stopped = gatherResults([maybeDeferred(port.stopListening) for port in ports.values()])
        return stopped.addCallback(lambda _: None)


def _number(port: IListeningPort) -> int:
    address = port.getHost()
    assert isinstance(address, IPv4Address)
    return address.port
