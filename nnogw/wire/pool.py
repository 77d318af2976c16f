"""The connections to one address of an upstream: opened when needed, kept for reuse within a bound."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Factory

from nnogw.interfaces import Clock
from nnogw.settings import ServiceSettings
from nnogw.wire.client import UpstreamConnection
from nnogw.wire.connect_errors import cannot_connect, timed_out
from nnogw.wire.outlet import Turn


class ConnectionPool:
    """Connections to one endpoint; the one used last is reused first, so that the others can grow old and close.

    Args:
        endpoint: where they lead.
        tls: the endpoint's connections are TLS.
        clock, turn: the reactor's time and the end of its turns.
        settings: the service's times (seconds) and `max_idle_connections`.
    """

    def __init__(self, endpoint: IStreamClientEndpoint, *, tls: bool, clock: Clock, turn: Turn, settings: ServiceSettings) -> None:
        self.clock = clock
        self.turn = turn
        self.response_timeout = settings.response_timeout
        self.idle_timeout = settings.idle_timeout
        self.keepalive_timeout = settings.keepalive_timeout
        self._connect_timeout = settings.connect_timeout
        self._max_idle = settings.max_idle_connections
        self._endpoint: Any = endpoint
        self._reactor: Any = clock  # as Twisted's own calls want it
        self._factory = Factory.forProtocol(lambda: UpstreamConnection(self, tls=tls))
        self._factory.noisy = False
        self._idle: dict[UpstreamConnection, None] = {}  # a dict is an ordered set: popitem takes the newest
        self.open = 0  # connections that are established

    @property
    def idle(self) -> int:
        """How many connections wait to be used."""
        return len(self._idle)

    def take(self) -> UpstreamConnection | None:
        """Return an idle connection, or None if a new one has to be made."""
        return self._idle.popitem()[0] if self._idle else None

    def connect(self) -> Deferred[UpstreamConnection]:
        """Return a new connection; cancelling gives up.

        Raises (in the Deferred):
            UpstreamTimeout: it took longer than ``connect_timeout``, the TLS handshake included.
            UpstreamFailed: it was refused, the name is not known, or the certificate is not to be trusted.
        """
        connecting: Deferred[UpstreamConnection] = self._endpoint.connect(self._factory)
        connecting.addCallback(lambda connection: connection.ready or succeed(connection))
        connecting.addTimeout(self._connect_timeout, self._reactor, timed_out)
        connecting.addErrback(cannot_connect)
        return connecting

    def opened(self) -> None:
        """Count a connection that is established."""
        self.open += 1

    def released(self, connection: UpstreamConnection) -> None:
        """Keep `connection` for the next request, unless there are enough."""
        if len(self._idle) < self._max_idle:
            self._idle[connection] = None
        else:
            connection.close()

    def lost(self, connection: UpstreamConnection) -> None:
        """Forget `connection`."""
        self.open -= 1
        self._idle.pop(connection, None)

    def close(self) -> None:
        """Close what is idle."""
        for connection in list(self._idle):
            connection.close()
