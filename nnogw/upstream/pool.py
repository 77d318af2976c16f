"""The connections to one address of an upstream: opened when needed, kept for reuse within a bound."""

from __future__ import annotations

from typing import TypeVar

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Factory

from nnogw.interfaces import Clock
from nnogw.settings import ServiceSettings
from nnogw.wire.http1.client import UpstreamConnection
from nnogw.wire.http1.limits import TimeLimits, upstream_limits
from nnogw.wire.transport.connect_errors import cannot_connect, timed_out
from nnogw.wire.transport.deadline import within
from nnogw.wire.transport.write_batch import WriteBatch

T = TypeVar("T")


class ConnectionPool:
    """Connections to one endpoint; the one used last is reused first, so that the others can grow old and close.

    A pool outlives the configuration that it was made for. The time limits of a request come with the request.

    Args:
        endpoint: where they lead.
        tls: the endpoint's connections are TLS.
        clock: the reactor's time.
        batch: collects writes until the end of the reactor's turn.
        settings: the service's times (seconds) and `max_idle_connections`, at first.

    Attributes:
        limits: how long the states of a connection may last that carries no request.
        open: how many connections are established.
    """

    def __init__(self, endpoint: IStreamClientEndpoint, *, tls: bool, clock: Clock, batch: WriteBatch, settings: ServiceSettings) -> None:
        self.clock = clock
        self.batch = batch
        self.limits = upstream_limits(settings)
        self._max_idle = settings.max_idle_connections
        self._endpoint = endpoint
        self._factory = Factory.forProtocol(lambda: UpstreamConnection(self, tls=tls))
        self._factory.noisy = False
        self._idle: dict[UpstreamConnection, None] = {}  # a dict is an ordered set: popitem takes the newest
        self._connecting: dict[Deferred[UpstreamConnection], None] = {}
        self._retired = False
        self.open = 0

    @property
    def idle(self) -> int:
        """How many connections wait to be used."""
        return len(self._idle)

    def take(self, *, look: bool = False) -> UpstreamConnection | None:
        """Return an idle connection, or None if a new one has to be made.

        Args:
            look: return none whose end has already arrived, unread, for a request that must not be sent twice. It costs a system call.
        """
        while self._idle:
            connection, _ = self._idle.popitem()
            if not look or connection.quiet:
                return connection
            connection.close()
        return None

    def connect(self, timeout: float) -> Deferred[UpstreamConnection]:
        """Return a new connection; cancelling gives up.

        Args:
            timeout: seconds that it may take.

        Raises (in the Deferred):
            UpstreamTimeout: it took longer, the TLS handshake included.
            UpstreamFailed: it was refused, the name is not known, or the certificate is not to be trusted.
        """
        connecting: Deferred[UpstreamConnection] = self._endpoint.connect(self._factory)  # type: ignore[assignment]  # the factory's only kind
        connecting.addCallback(lambda connection: connection.ready or succeed(connection))
        self._connecting[connecting] = None
        within(timeout, connecting, self.clock, timed_out)
        connecting.addErrback(cannot_connect)
        connecting.addBoth(self._connected, connecting)
        return connecting

    def _connected(self, outcome: T, connecting: Deferred[UpstreamConnection]) -> T:
        self._connecting.pop(connecting, None)
        return outcome

    def opened(self) -> None:
        """Count a connection that is established."""
        self.open += 1

    def released(self, connection: UpstreamConnection) -> None:
        """Keep `connection` for the next request, unless there are enough."""
        if len(self._idle) < self._max_idle and not self._retired:
            self._idle[connection] = None
        else:
            connection.close()

    def closing(self, connection: UpstreamConnection) -> None:
        """Let nobody have `connection` any more: it is about to be closed."""
        self._idle.pop(connection, None)

    def lost(self, connection: UpstreamConnection) -> None:
        """Forget `connection`."""
        self.open -= 1
        self._idle.pop(connection, None)

    def renew(self, limits: TimeLimits, max_idle: int) -> None:
        """Let other limits count: for what is idle at once, for what is busy as soon as it is released.

        Args:
            limits: how long the states of a connection may last.
            max_idle: how many connections may wait to be used.
        """
        self.limits = limits
        self._max_idle = max_idle
        idle = list(self._idle)
        for connection in idle:
            connection.renew(self.limits)
        for connection in idle[: max(0, len(idle) - self._max_idle)]:
            connection.close()

    def retire(self) -> None:
        """Close what is idle now, and what is busy as soon as it is released. Requests that began before may still connect."""
        self._retired = True
        for connection in list(self._idle):
            connection.close()

    def close(self) -> None:
        """Retire, and give up connections that are being made."""
        self.retire()
        for connecting in list(self._connecting):
            connecting.cancel()
