"""The connections to one address of an upstream: opened when needed, kept for reuse within a bound."""

from __future__ import annotations

from typing import TypeVar

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Factory

from nnogw.interfaces import Clock
from nnogw.settings import ServiceSettings
from nnogw.wire.http1.client import UpstreamConnection
from nnogw.wire.http1.limits import upstream_limits
from nnogw.wire.transport.connect_errors import cannot_connect, timed_out
from nnogw.wire.transport.deadline import within
from nnogw.wire.transport.write_batch import WriteBatch

T = TypeVar("T")


class ConnectionPool:
    """Connections to one endpoint; the one used last is reused first, so that the others can grow old and close.

    Args:
        endpoint: where they lead.
        tls: the endpoint's connections are TLS.
        clock, turn: the reactor's time and the end of its turns.
        settings: the service's times (seconds) and `max_idle_connections`.
    """

    def __init__(self, endpoint: IStreamClientEndpoint, *, tls: bool, clock: Clock, batch: WriteBatch, settings: ServiceSettings) -> None:
        self.clock = clock
        self.batch = batch
        self.idle_timeout = settings.idle_timeout
        self.state_limits = upstream_limits(settings)
        self._connect_timeout = settings.connect_timeout
        self._max_idle = settings.max_idle_connections
        self._endpoint = endpoint
        self._factory = Factory.forProtocol(lambda: UpstreamConnection(self, tls=tls))
        self._factory.noisy = False
        self._idle: dict[UpstreamConnection, None] = {}  # a dict is an ordered set: popitem takes the newest
        self._connecting: dict[Deferred[UpstreamConnection], None] = {}
        self._closed = False
        self.open = 0  # connections that are established

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

    def connect(self) -> Deferred[UpstreamConnection]:
        """Return a new connection; cancelling gives up.

        Raises (in the Deferred):
            UpstreamTimeout: it took longer than ``connect_timeout``, the TLS handshake included.
            UpstreamFailed: it was refused, the name is not known, or the certificate is not to be trusted.
        """
        connecting: Deferred[UpstreamConnection] = self._endpoint.connect(self._factory)  # type: ignore[assignment]  # the factory's only kind
        connecting.addCallback(lambda connection: connection.ready or succeed(connection))
        self._connecting[connecting] = None
        within(self._connect_timeout, connecting, self.clock, timed_out)
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
        if len(self._idle) < self._max_idle and not self._closed:
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

    def close(self) -> None:
        """Close what is idle now, and what is busy as soon as it is released; give up connections that are being made."""
        self._closed = True
        for connecting in list(self._connecting):
            connecting.cancel()
        for connection in list(self._idle):
            connection.close()
