"""Upstreams in memory: a pool whose connections lead to transports that a test reads and answers."""

from __future__ import annotations

from typing import Any

from attrs import evolve
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from nnogw.interfaces import DegradedLedger
from nnogw.observability.outage import Outage
from nnogw.settings import ServiceSettings
from nnogw.upstream.address import Address, AddressKey
from nnogw.upstream.binding import Binding
from nnogw.upstream.pool import ConnectionPool
from nnogw.upstream.service import Service
from nnogw.upstream.tls import TlsFiles
from nnogw.wire.http1.client import UpstreamConnection, UpstreamRequest
from nnogw.wire.http1.limits import upstream_limits
from nnogw.wire.transport.write_batch import WriteBatch


class Line(StringTransport):
    """The upstream's end of one connection.

    Attributes:
        connection: the gateway's end.
        aborted: the gateway has cut it.
        lingers: it does not close when the gateway does.
    """

    def __init__(self, connection: UpstreamConnection, clock: Clock) -> None:
        super().__init__(peerAddress=IPv4Address("TCP", "192.0.2.9", 80))
        self.connection = connection
        self.clock = clock
        self.aborted = False
        self.lingers = False
        self.lost = False

    @property
    def received(self) -> bytes:
        """What has come, this turn's included."""
        self.clock.advance(0)
        return self.value()

    @property
    def paused(self) -> bool:
        """Whether the gateway does not read."""
        return self.producerState == "paused"

    def answer(self, data: bytes) -> None:
        """Send `data` in one segment, after what it answers has come, and let the turn end."""
        self.clock.advance(0)
        self.connection.dataReceived(data)
        self.clock.advance(0)

    def lose(self, reason: Exception | None = None) -> None:
        """End the connection, in order by default."""
        if not self.lost:
            self.lost = True
            self.connection.connectionLost(Failure(reason or ConnectionDone()))

    def setTcpNoDelay(self, enabled: bool) -> None:
        """Take note of nothing."""

    def abortConnection(self) -> None:
        """Cut; as with a socket, its end is told in the next turn."""
        self.aborted = True
        self.clock.callLater(0, self.lose, ConnectionLost())

    def loseConnection(self) -> None:
        """Close; as with a socket, its end is told in the next turn."""
        super().loseConnection()
        if not self.lingers:
            self.clock.callLater(0, self.lose)

    def pauseProducing(self) -> None:
        """Stop reading."""
        self.producerState = "paused"

    def resumeProducing(self) -> None:
        """Go on reading."""
        self.producerState = "producing"


class Endpoint:
    """Where the connections of a pool lead (an `IStreamClientEndpoint`).

    Attributes:
        lines: the connections, in the order in which they were made.
        outcome: instead of a connection, if it is set.
    """

    def __init__(self, clock: Clock) -> None:
        self.lines: list[Line] = []
        self.outcome: Deferred[Any] | None = None
        self._clock = clock

    def connect(self, factory: Any) -> Deferred[Any]:
        """Connect."""
        if self.outcome is not None:
            return self.outcome
        connection = factory.buildProtocol(None)
        self.lines.append(Line(connection, self._clock))
        connection.makeConnection(self.lines[-1])
        return succeed(connection)


class Upstreams:
    """A pool and what it leads to.

    Attributes:
        clock: the reactor's.
        endpoint: makes connections.
        settings: the service's.
        pool: keeps them.
    """

    def __init__(self, *, tls: bool = False, **settings: Any) -> None:
        self.clock = Clock()
        self.endpoint = Endpoint(self.clock)
        clock: Any = self.clock
        endpoint: Any = self.endpoint
        self.settings = ServiceSettings(**settings)
        self.pool = ConnectionPool(endpoint, tls=tls, clock=clock, batch=WriteBatch(clock), settings=self.settings)

    def advance(self, seconds: float) -> None:
        """Let time pass, and the reactor come round as often as something is to be done."""
        self.clock.pump([seconds, 0, 0, 0])

    @property
    def line(self) -> Line:
        """The latest connection."""
        return self.endpoint.lines[-1]

    def send(self, request: UpstreamRequest) -> Deferred[Any]:
        """Send `request` on an idle connection, or on a new one."""
        idle = self.pool.take()
        limits = upstream_limits(self.settings)
        if idle is not None:
            return idle.send(request, limits)
        return self.connect().addCallback(lambda connection: connection.send(request, limits))

    def connect(self) -> Deferred[UpstreamConnection]:
        """Make a new connection."""
        return self.pool.connect(self.settings.connect_timeout)

    def service(
        self, name: str, host: bytes, base_path: bytes = b"", *, label: str = "a", ledger: DegradedLedger | None = None, **settings: Any
    ) -> Service:
        """Return a service whose connections these are."""
        key = AddressKey(name, Binding("tcp"), TlsFiles())
        address = Address(key, self.pool, Outage("service-failing", name, seconds=self.clock.seconds, ledger=ledger))
        return Service(name, label, host, base_path, address, evolve(self.settings, **settings))

    def get(self, method: bytes = b"GET", target: bytes = b"/x") -> Deferred[Any]:
        """Send a request without a body."""
        return self.send(UpstreamRequest(method, target, b"service", []))
