"""A service behind the gateway: what requests to it are like, and how one gets there."""

from __future__ import annotations

from urllib.parse import urlsplit

from attrs import field, frozen
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from nnogw.errors import UpstreamFailed, UpstreamTimeout
from nnogw.settings import ServiceSettings
from nnogw.upstream.address import Address, AddressKey
from nnogw.upstream.addresses import Addresses
from nnogw.upstream.binding import Binding, ascii_host, parse_binding
from nnogw.upstream.pool import ConnectionPool
from nnogw.upstream.tls import TlsFiles
from nnogw.wire.http1.client import DiedUnused, UpstreamRequest
from nnogw.wire.http1.limits import TimeLimits, upstream_limits
from nnogw.wire.response import UpstreamResponse

#: Methods whose request may be sent twice (RFC 9110 §9.2.2).
IDEMPOTENT = frozenset({b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE", b"TRACE"})


@frozen(eq=False)
class Service:
    """One service, as one generation of the configuration has it. Its address, with the connections, outlives that.

    Attributes:
        name: the service's name.
        label: where it is, as an operator wrote it.
        host: the value of ``Host`` that it expects.
        base_path: put in front of every path; without a trailing slash.
        address: its connections, and what is known of them.
        settings: the service's settings.
        limits: how long the states of its connections may last, from the settings.
    """

    name: str
    label: str
    host: bytes
    base_path: bytes
    address: Address
    settings: ServiceSettings
    limits: TimeLimits = field(init=False)

    @limits.default
    def _limits(self) -> TimeLimits:
        return upstream_limits(self.settings)

    @property
    def pool(self) -> ConnectionPool:
        """Its connections."""
        return self.address.pool

    def send(self, request: UpstreamRequest) -> Deferred[UpstreamResponse]:
        """Send `request` over a pooled connection or a new one, and return the response.

        A pooled connection that turns out to have been closed is replaced by a new one, if the request may be repeated and has no body, or
        says itself that it is repeatable: any other body that has begun to flow cannot be taken back.

        Raises (in the Deferred): as `UpstreamConnection.send` and `ConnectionPool.connect` do.
        """
        repeatable = request.repeatable or (request.body is None and request.method in IDEMPOTENT)
        connection = self.address.pool.take(look=not repeatable)
        if connection is None:
            return self._send_anew(request)
        outage = self.address.outage
        response = connection.send(request, self.limits)
        return response.addCallbacks(outage.succeeded, self._died, errbackArgs=(request, repeatable, outage.successes))

    def _send_anew(self, request: UpstreamRequest) -> Deferred[UpstreamResponse]:
        outage = self.address.outage
        connecting = self.address.pool.connect(self.settings.connect_timeout)
        response = connecting.addCallback(lambda connection: connection.send(request, self.limits))
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
            self.address.outage.failed(error.reason, successes)
        return failure


def service_for(name: str, settings: ServiceSettings, addresses: Addresses, files: TlsFiles | None = None) -> Service | None:
    """Return the service that `settings` describe, or None if they have neither a binding nor a URL.

    Args:
        name: the service's name.
        settings: where it is; a binding goes before a URL.
        addresses: has the address, if it is in use already.
        files: what is in the files of a ``tls`` binding.

    Raises:
        BadBinding: the files do not hold what they should.
    """
    base_path = b""
    if settings.binding:
        binding = parse_binding(settings.binding)
        label = settings.binding
    elif settings.url:
        url = urlsplit(settings.url)
        tls = url.scheme == "https"
        binding = Binding("tls" if tls else "tcp", ascii_host(url.hostname or ""), url.port or (443 if tls else 80))
        base_path = url.path.rstrip("/").encode("ascii")
        label = f"{url.scheme}://{url.netloc}"
    else:
        return None
    address = addresses.find(AddressKey(name, binding, files or TlsFiles()), settings)
    return Service(name, label, _authority(binding.host, binding.port, tls=binding.scheme == "tls"), base_path, address, settings)


def _authority(host: str, port: int, *, tls: bool) -> bytes:
    """Return the value of ``Host`` (RFC 9110 §7.2): the port only where it is not the scheme's own."""
    name = f"[{host}]" if ":" in host else host
    return (name if port == (443 if tls else 80) else f"{name}:{port}").encode("ascii")
