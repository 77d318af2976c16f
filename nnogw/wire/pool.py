"""The connections to one address of an upstream: opened when needed, kept for reuse within a bound."""

from __future__ import annotations

from typing import Any

from OpenSSL import SSL
from service_identity import VerificationError
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.error import TimeoutError as ConnectTimeout
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.python.failure import Failure

from nnogw.errors import UpstreamFailed, UpstreamTimeout
from nnogw.interfaces import Clock
from nnogw.settings import ServiceSettings
from nnogw.wire.client import UpstreamConnection
from nnogw.wire.deadline import within
from nnogw.wire.limits import upstream_limits
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
        self.idle_timeout = settings.idle_timeout
        self.state_limits = upstream_limits(settings)
        self._connect_timeout = settings.connect_timeout
        self._max_idle = settings.max_idle_connections
        self._endpoint: Any = endpoint
        self._factory = Factory.forProtocol(lambda: UpstreamConnection(self, tls=tls))
        self._factory.noisy = False
        self._idle: dict[UpstreamConnection, None] = {}  # a dict is an ordered set: popitem takes the newest
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
        connecting: Deferred[UpstreamConnection] = self._endpoint.connect(self._factory)
        connecting.addCallback(lambda connection: connection.ready or succeed(connection))
        within(self._connect_timeout, connecting, self.clock, _too_late)
        connecting.addErrback(_translate)
        return connecting

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
        """Close what is idle now, and what is busy as soon as it is released."""
        self._closed = True
        for connection in list(self._idle):
            connection.close()


def _too_late() -> UpstreamTimeout:
    return UpstreamTimeout(reason="no connection in time", end="timeout:connect")


def _translate(failure: Failure) -> Failure:
    """Turn what endpoints and TLS raise into the gateway's own errors."""
    if failure.check(CancelledError, UpstreamTimeout):
        return failure
    if failure.check(ConnectTimeout):
        return Failure(_too_late())
    if failure.check(VerificationError, SSL.Error):
        reason = f"TLS: {failure.type.__name__ if failure.type else ''} {failure.getErrorMessage()}"
        return Failure(UpstreamFailed(reason=reason, kind="tls"))
    return Failure(UpstreamFailed(reason=f"cannot connect: {failure.getErrorMessage()}", kind="connect"))
