"""A service behind the gateway: where it is, and how a request gets there."""

from __future__ import annotations

from urllib.parse import urlsplit

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from nnogw.errors import UpstreamFailed, UpstreamTimeout
from nnogw.interfaces import DegradedLedger, Reactor
from nnogw.observability.outage import Outage
from nnogw.settings import ServiceSettings
from nnogw.upstream.binding import Binding, ascii_host, parse_binding
from nnogw.upstream.endpoints import endpoint_for
from nnogw.upstream.pool import ConnectionPool
from nnogw.upstream.resolver import Resolver
from nnogw.wire.http1.client import DiedUnused, UpstreamRequest
from nnogw.wire.response import UpstreamResponse
from nnogw.wire.transport.write_batch import WriteBatch

#: Methods whose request may be sent twice (RFC 9110 §9.2.2).
IDEMPOTENT = frozenset({b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE", b"TRACE"})


class Upstream:
    """One service.

    Args:
        name: the service's name.
        address: where it is, as an operator wrote it.
        host: the value of ``Host`` that it expects.
        base_path: put in front of every path; without a trailing slash.
        pool: its connections.
        settings: the service's settings.
        ledger: told of ``service-failing``; None for nobody.
    """

    def __init__(
        self,
        name: str,
        address: str,
        host: bytes,
        base_path: bytes,
        pool: ConnectionPool,
        settings: ServiceSettings,
        ledger: DegradedLedger | None = None,
    ) -> None:
        self.name = name
        self.address = address
        self.host = host
        self.base_path = base_path
        self.pool = pool
        self.settings = settings
        self._outage = Outage("service-failing", name, seconds=pool.clock.seconds, ledger=ledger)

    def send(self, request: UpstreamRequest) -> Deferred[UpstreamResponse]:
        """Send `request` over a pooled connection or a new one, and return the answer.

        A pooled connection that turns out to have been closed is replaced by a new one, if the request may be repeated and has no body, or
        says itself that it is repeatable: any other body that has begun to flow cannot be taken back.

        Raises (in the Deferred): as `UpstreamConnection.send` and `ConnectionPool.connect` do.
        """
        repeatable = request.repeatable or (request.body is None and request.method in IDEMPOTENT)
        connection = self.pool.take(look=not repeatable)
        if connection is None:
            return self._send_anew(request)
        outage = self._outage
        return connection.send(request).addCallbacks(outage.succeeded, self._died, errbackArgs=(request, repeatable, outage.successes))

    def _send_anew(self, request: UpstreamRequest) -> Deferred[UpstreamResponse]:
        outage = self._outage
        response = self.pool.connect().addCallback(lambda connection: connection.send(request))
        return response.addCallbacks(outage.succeeded, self._failed, errbackArgs=(outage.successes,))

    def _died(self, failure: Failure, request: UpstreamRequest, repeatable: bool, successes: int) -> Deferred[UpstreamResponse] | Failure:
        if not failure.check(DiedUnused):
            return self._failed(failure, successes)
        if repeatable:
            return self._send_anew(request)
        raise UpstreamFailed(reason="the kept connection was closed before it answered")

    def _failed(self, failure: Failure, successes: int) -> Failure:
        """Count what the service did wrong; a client that leaves or whose body breaks off is none of that."""
        error = failure.value
        if isinstance(error, (UpstreamFailed, UpstreamTimeout)):
            self._outage.failed(error.reason, successes)
        return failure


def upstream_for(
    name: str, settings: ServiceSettings, reactor: Reactor, batch: WriteBatch, resolver: Resolver, ledger: DegradedLedger | None = None
) -> Upstream | None:
    """Return the service that `settings` describe, or None if they have neither a binding nor a URL.

    Args:
        name: the service's name.
        settings: where it is; a binding goes before a URL.
        reactor: makes the connections and tells the time.
        batch: collects writes until the end of the reactor's turn.
        resolver: knows the addresses of names.
        ledger: told when the service fails for a while; None for nobody.
    """
    base_path = b""
    if settings.binding:
        binding = parse_binding(settings.binding)
        address = settings.binding
    elif settings.url:
        url = urlsplit(settings.url)
        tls = url.scheme == "https"
        binding = Binding("tls" if tls else "tcp", ascii_host(url.hostname or ""), url.port or (443 if tls else 80))
        base_path = url.path.rstrip("/").encode("ascii")
        address = f"{url.scheme}://{url.netloc}"
    else:
        return None
    tls = binding.scheme == "tls"
    endpoint = endpoint_for(binding, reactor, resolver, settings.connect_timeout)
    pool = ConnectionPool(endpoint, tls=tls, clock=reactor, batch=batch, settings=settings)
    return Upstream(name, address, _authority(binding.host, binding.port, tls=tls), base_path, pool, settings, ledger)


def _authority(host: str, port: int, *, tls: bool) -> bytes:
    """Return the value of ``Host`` (RFC 9110 §7.2): the port only where it is not the scheme's own."""
    name = f"[{host}]" if ":" in host else host
    return (name if port == (443 if tls else 80) else f"{name}:{port}").encode("ascii")
